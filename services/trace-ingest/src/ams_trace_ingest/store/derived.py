"""What the tables hold of trees and of what was derived from them (ADR 0042)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from ams_contracts.derive import DerivedStep, DeriveStep
from ams_contracts.derive_tree import WRONG_CLOCK_FLAGS
from ams_contracts.documents import Failure, Status, StepType
from ams_contracts.tables import tasks
from ams_trace_ingest.store.columns import array_literals, names, quoted
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey, TaskRow, task_row

ROWS_AT_ONCE = 2_000  # of one fetch from a cursor: other work continues between two

TaskPlace = tuple[str, str, date]
"""Project, task and the task's day."""

_WRONG_CLOCK = "ARRAY[" + ", ".join(f"'{flag}'" for flag in sorted(WRONG_CLOCK_FLAGS)) + "]"
_NODE = f"""s.project_id, s.task_id, s.step_id, s.parent_step_id, s.type, s.status, s.document_agent, s.rest ->> 'service' AS service,
    s.started_at_us, s.ended_at_us, s.duration_us, s.seq, s.error_type, s.error_message,
    s.preview_input <> '' AS asks, s.preview_output <> '' AS answers, s.flags && {_WRONG_CLOCK} AS wrong_clock,
    s.agent, s.affected, s.derived_flags"""
# in the order of the primary key, which names its index (``store.steps``)
_OF_ONE = f"""
SELECT {_NODE} FROM steps s WHERE s.project_id = $1 AND s.task_id = $2 AND s.day = $3 AND s.stamp_phase IS NOT NULL ORDER BY s.step_id LIMIT $4
"""
_OF_MANY = f"""
SELECT s.* FROM unnest($1::text::text[], $2::text::text[], $3::text::date[]) AS wanted (project_id, task_id, day), LATERAL (
    SELECT {_NODE} FROM steps s
    WHERE s.project_id = wanted.project_id AND s.task_id = wanted.task_id AND s.day = wanted.day AND s.stamp_phase IS NOT NULL
    ORDER BY s.step_id
) s
"""
_UPDATE = """
UPDATE steps s SET agent = new.agent, affected = new.affected, derived_flags = string_to_array(new.flags, ',')
FROM unnest($4::text[], $5::text[], $6::boolean[], $7::text[]) AS new (step_id, agent, affected, flags)
WHERE s.project_id = $1 AND s.task_id = $2 AND s.day = $3 AND s.step_id = new.step_id
"""
_PREVIEWS = """
SELECT step_id, preview_input, preview_output FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3 AND step_id = ANY($4)
"""
_TASK_COLUMNS = ", ".join(f"t.{quoted(name)}" for name in names(tasks))
_NEXT_DUE = f"""
SELECT {_TASK_COLUMNS} FROM tasks t WHERE t.derive_due AND t."partition" = ANY($1::int[])
ORDER BY t.seen_at_us LIMIT 1 FOR UPDATE SKIP LOCKED
"""


class StoredNode(NamedTuple):
    """A step as ``derive`` needs it, and what was derived for it before."""

    step: DeriveStep
    derived: DerivedStep


async def load_trees(connection: Connection, places: Sequence[TaskPlace]) -> dict[TaskKey, list[StoredNode]]:
    """All steps of these tasks that have a document."""
    found: dict[TaskKey, list[StoredNode]] = {(project_id, task_id): [] for project_id, task_id, _ in places}
    if places:
        for row in await connection.fetch(_OF_MANY, *array_literals((*key, day.isoformat()) for *key, day in places)):
            found[row["project_id"], row["task_id"]].append(_node(row))
    return found


async def read_tree(connection: Connection, place: TaskPlace, steps_max: int) -> AsyncIterator[list[StoredNode]]:
    """The same of one task, in pieces."""
    cursor = await connection.cursor(_OF_ONE, *place, steps_max)
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        yield [_node(row) for row in rows]


async def update(connection: Connection, place: TaskPlace, rows: Iterable[tuple[str, DerivedStep]]) -> None:
    """Write what is derived of steps that have rows."""
    ids, agents, affected, flags = [], [], [], []
    for step_id, derived in rows:
        ids.append(step_id)
        agents.append(derived.agent)
        affected.append(derived.affected)
        flags.append(",".join(derived.flags))
    if ids:
        await connection.execute(_UPDATE, *place, ids, agents, affected, flags)


async def previews(connection: Connection, place: TaskPlace, step_ids: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    """Input and output previews of these steps."""
    rows = await connection.fetch(_PREVIEWS, *place, step_ids)
    return {row["step_id"]: (row["preview_input"], row["preview_output"]) for row in rows}


async def lock_next_due(connection: Connection, partitions: Sequence[int]) -> TaskRow | None:
    """The marked task of these partitions that has been quiet for longest, held until the transaction ends; busy ones come last."""
    row = await connection.fetchrow(_NEXT_DUE, list(partitions))
    return None if row is None else task_row(row)


def _node(row: Any) -> StoredNode:
    failed = row["error_type"] is not None or row["error_message"] is not None
    step = DeriveStep(
        step_id=row["step_id"],
        parent_step_id=row["parent_step_id"],
        type=StepType(row["type"]),
        status=Status(row["status"]),
        agent=row["document_agent"],
        service=row["service"],
        started_at_us=row["started_at_us"],
        ended_at_us=row["ended_at_us"],
        duration_us=row["duration_us"],
        seq=row["seq"],
        error=Failure(type=row["error_type"], message=row["error_message"]) if failed else None,
        asks=bool(row["asks"]),
        answers=bool(row["answers"]),
        wrong_clock=row["wrong_clock"],
    )
    return StoredNode(step, DerivedStep(agent=row["agent"], affected=row["affected"], flags=list(row["derived_flags"])))
