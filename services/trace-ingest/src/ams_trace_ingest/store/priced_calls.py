"""Stored calls with what their price depends on, a page at a time."""

from datetime import date
from typing import Any

from ams_contracts.documents import BILLABLE_TYPES
from ams_trace_ingest.store.connections import Connection

_COLUMNS = """s.project_id, s.task_id, s.step_id, s.day, s.provider, s.model, s.model_requested, s.started_at_us, s.stamp_at_us,
       s.cost_nusd, s.cost_source, s.usage_shadowed, s.rest"""
_OF_ALL = f"""
SELECT {_COLUMNS} FROM {{schema}}.steps s
WHERE (s.project_id, s.task_id, s.step_id, s.day) > ($1, $2, $3, $4) AND s.type = ANY($5::text[]) AND s.rest ? 'usage'
ORDER BY s.project_id, s.task_id, s.step_id, s.day LIMIT $6
"""
# the rows of a day that have usage, in the order of the primary key: a page scans the calls of the project on that day once
_OF_DAY = f"""
SELECT {_COLUMNS} FROM steps s
WHERE s.project_id = $1 AND s.day = $2 AND (s.task_id, s.step_id) > ($3, $4) AND s.type = ANY($5::text[]) AND s.rest ? 'usage'
ORDER BY s.task_id, s.step_id LIMIT $6
"""
_DAYS = """
SELECT DISTINCT day FROM hourly_rollups WHERE project_id = $1 AND day >= $2 ORDER BY day DESC LIMIT $3
"""
FIRST = ("", "", "", date(1, 1, 1))
Place = tuple[str, str, str, date]
"""Project, task, step and day."""


async def of_all(connection: Connection, schema: str, after: Place, limit: int) -> list[Any]:
    """Calls of all projects in a generation, after a place."""
    return await connection.fetch(_OF_ALL.format(schema=schema), *after, [*BILLABLE_TYPES], limit)


async def of_day(connection: Connection, project_id: str, day: date, after: tuple[str, str], limit: int) -> list[Any]:
    """Calls of tasks of one day, after a task and step.

    Args:
        connection: In a transaction with a generation set.
        project_id: Of the calls.
        day: Of the tasks.
        after: The last task and step that were read; empty texts at the beginning.
        limit: Rows at most.
    """
    return await connection.fetch(_OF_DAY, project_id, day, *after, [*BILLABLE_TYPES], limit)


async def days(connection: Connection, project_id: str, since: date, limit: int) -> list[date]:
    """The days of a project's tasks with ended steps since one, the last first."""
    return [row[0] for row in await connection.fetch(_DAYS, project_id, since, limit)]
