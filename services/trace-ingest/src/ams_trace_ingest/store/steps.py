"""Steps in their table: looked up, copied in, replaced."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from ams_contracts.documents import BILLABLE_TYPES, STEP_FIELDS
from ams_contracts.tables import steps
from ams_trace_ingest.rollup import DEPTH_MAX, PASSIVE_TYPES, STOP_TYPES, Counted
from ams_trace_ingest.store.columns import array_literals, names, upsert
from ams_trace_ingest.store.connections import Connection, copy_rows
from ams_trace_ingest.store.day_partitions import copy_new
from ams_trace_ingest.store.row_codec import stored_columns
from ams_trace_ingest.store.step_rows import Neighbour, StoredStep, node_of_row

COLUMNS = names(steps)
WRITTEN_COLUMNS = [field.name for field in stored_columns(STEP_FIELDS, "any")]
NEW_COLUMNS = [field.name for field in stored_columns(STEP_FIELDS, "new")]
PLAIN_COLUMNS = [field.name for field in stored_columns(STEP_FIELDS, "plain")]
UPSERT = upsert(steps, only=WRITTEN_COLUMNS)

_ALL = ", ".join(f"s.{name}" for name in COLUMNS)
_FEW = """s.project_id, s.task_id, s.step_id, s.parent_step_id, s.type, s.rest, s.cost_nusd, s.response_id, s.call_key, s.usage_wrapper,
    s.document_status, s.preview_output"""
_WANTED = "unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[]) AS wanted (project_id, task_id, step_id, day)"
_STOPS = "(" + ", ".join(f"'{kind}'" for kind in sorted(STOP_TYPES)) + ")"


def _look_up(columns: str, of: str, column: str, value: str, condition: str = "true") -> str:
    """The steps of one task with one value in a column, by the index of (project_id, task_id, column).

    A plan that was made while a day was empty, or held nothing but small tasks, finds all indexes alike, and is kept while a large task
    comes: looked up as "all of the task, and of those this one", each step costs as much as its task has. The order leaves one index
    to choose (in a transaction that may not sort); equality would make the order void, hence the stretch of one value.
    """
    return f"""LATERAL (
        SELECT {columns} FROM steps s
        WHERE s.project_id = {of}.project_id AND s.task_id = {of}.task_id AND s.day = {of}.day
            AND s.{column} BETWEEN {value} AND {value} AND {condition}
        ORDER BY s.{column}
    ) s"""


_SAID = "s.stamp_phase IS NOT NULL"
_BY_ID = f"SELECT {_ALL} FROM {_WANTED}, {_look_up(_ALL, 'wanted', 'step_id', 'wanted.step_id')}"
_ABOVE = f"""
WITH RECURSIVE near AS (
    SELECT {_FEW}, s.day, 1 AS depth FROM {_WANTED}, {_look_up("s.*", "wanted", "step_id", "wanted.step_id", _SAID)}
    UNION
    SELECT {_FEW}, s.day, near.depth + 1 FROM near, {_look_up("s.*", "near", "step_id", "near.parent_step_id", _SAID)}
    WHERE near.type NOT IN {_STOPS} AND near.depth < {DEPTH_MAX}
)
SELECT * FROM near"""
_BELOW = f"""
WITH RECURSIVE near AS (
    SELECT {_FEW}, s.day, 1 AS depth FROM {_WANTED}, {_look_up("s.*", "wanted", "parent_step_id", "wanted.step_id", _SAID)}
    UNION
    SELECT {_FEW}, s.day, near.depth + 1 FROM near, {_look_up("s.*", "near", "parent_step_id", "near.step_id", _SAID)}
    WHERE near.type NOT IN {_STOPS} AND near.depth < {DEPTH_MAX}
)
SELECT * FROM near"""
_EARLIEST_ROOT = f"""
SELECT {_ALL} FROM (
    SELECT * FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3 AND parent_step_id IS NULL AND stamp_phase IS NOT NULL
    ORDER BY parent_step_id
) s
ORDER BY s.started_at_us NULLS LAST, s.seq, s.step_id LIMIT 1"""
_DELETE = """
DELETE FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3
RETURNING response_id, call_key, day, stamp_phase, stamp_at_us, started_at_us, duration_us,
    coalesce(document_agent, CASE WHEN type = 'agent' THEN name END), model, type, document_status, tool_name,
    coalesce(repeats_response, task_id) <> task_id OR coalesce(repeats_call, task_id) <> task_id,
    counted_input, counted_output, counted_nusd
"""

_OWN = f"""
(o.type NOT IN ('{"', '".join(sorted((*BILLABLE_TYPES, *PASSIVE_TYPES)))}') OR (o.type IN ('{"', '".join(sorted(BILLABLE_TYPES))}') AND NOT o.usage_shadowed))
"""
_REPEATED_TASKS = f"""
SELECT w.project_id, w.task_id, (
    SELECT min(coalesce(nullif(s.repeats_call, s.task_id), nullif(s.repeats_response, s.task_id))) FROM steps s
    WHERE s.project_id = w.project_id AND s.task_id = w.task_id AND s.day = w.day
)
FROM unnest($1::text::text[], $2::text::text[], $3::text::date[]) AS w (project_id, task_id, day)
WHERE NOT EXISTS (
    SELECT FROM steps o WHERE o.project_id = w.project_id AND o.task_id = w.task_id AND o.day = w.day AND {_OWN}
)
"""

StepPlace = tuple[str, str, str, date]
"""Project, task, step and the task's day."""


class DeletedStep(Struct, frozen=True, gc=False):
    """What claims and hourly rollups need to know of a step whose row was deleted."""

    counted: Counted
    response_id: str | None
    call_key: str | None
    day: date
    stamp_phase: int | None
    stamp_at_us: int | None
    started_at_us: int | None
    duration_us: int | None
    agent: str | None
    model: str | None
    type: str
    status: str | None
    tool_name: str | None
    repeats_other: bool


async def load(connection: Connection, places: Sequence[StepPlace]) -> list[StoredStep]:
    """The rows at these places, as many as there are."""
    return [StoredStep(row) for row in await connection.fetch(_BY_ID, *_columns(places))] if places else []


async def load_above(connection: Connection, places: Sequence[StepPlace]) -> list[Neighbour]:
    """The steps at these places and what is above them, up to and with the first stop type or missing parent (may repeat)."""
    return await _neighbours(connection, _ABOVE, places)


async def load_below(connection: Connection, places: Sequence[StepPlace]) -> list[Neighbour]:
    """The descendants of these steps, down to and with the next stop types (may repeat)."""
    return await _neighbours(connection, _BELOW, places)


async def _neighbours(connection: Connection, query: str, places: Sequence[StepPlace]) -> list[Neighbour]:
    if not places:
        return []
    rows = await connection.fetch(query, *_columns(places))
    return [Neighbour(row["project_id"], row["task_id"], node_of_row(row), row["usage_wrapper"]) for row in rows]


async def earliest_root(connection: Connection, project_id: str, task_id: str, day: date) -> StoredStep | None:
    """The earliest parentless step of a task."""
    row = await connection.fetchrow(_EARLIEST_ROOT, project_id, task_id, day)
    return None if row is None else StoredStep(row)


async def repeated_tasks(connection: Connection, places: Sequence[tuple[str, str, date]]) -> dict[tuple[str, str], str]:
    """Which of these tasks only repeat calls of other tasks, and one of those.

    Such a task has no model call that counts, and nothing else but plain spans, logs and workflows around the repeated calls.
    """
    if not places:
        return {}
    columns = array_literals((project_id, task_id, day.isoformat()) for project_id, task_id, day in places)
    return {(row[0], row[1]): row[2] for row in await connection.fetch(_REPEATED_TASKS, *columns) if row[2] is not None}


async def insert(connection: Connection, rows: Sequence[tuple[Any, ...]], columns: Sequence[str] = NEW_COLUMNS) -> None:
    """Insert rows that are not there yet, into partitions that are.

    Args:
        connection: In a transaction.
        rows: Each step once, made by ``encode_new_row``, or by ``encode_plain_row``.
        columns: ``NEW_COLUMNS``, or ``PLAIN_COLUMNS``: the order of the values.

    Raises:
        UniqueViolationError: One exists already.
    """
    await copy_new(connection, "steps", rows, columns)


async def write(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those that exist.

    Args:
        connection: In a transaction.
        rows: Values in the order of ``WRITTEN_COLUMNS``, each step once.
    """
    await copy_rows(connection, "steps_staging", rows, WRITTEN_COLUMNS)
    await connection.execute(UPSERT)


async def delete(connection: Connection, project_id: str, task_id: str, day: date) -> list[DeletedStep]:
    """Delete the steps of a task.

    Returns:
        What else they were counted in.
    """
    return [
        DeletedStep(Counted(row[13], row[14], row[15], unpriced=False), *row[:13])
        for row in await connection.fetch(_DELETE, project_id, task_id, day)
    ]


def _columns(places: Sequence[StepPlace]) -> list[str]:
    return array_literals((*key, day.isoformat()) for *key, day in places)
