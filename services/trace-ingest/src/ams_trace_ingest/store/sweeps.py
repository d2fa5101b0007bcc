"""Questions that time answers and no event: who is silent, what has no root, what is alive."""

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from ams_contracts.tables import tasks
from ams_trace_ingest.store.columns import names, quoted
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskRow, task_row

_TASK_COLUMNS = ", ".join(f"t.{quoted(name)}" for name in names(tasks))

_SILENT = """
SELECT s.project_id, s.task_id, s.step_id, coalesce(s.last_beat_us, s.stamp_at_us)
FROM tasks t JOIN steps s ON s.project_id = t.project_id AND s.task_id = t.task_id AND s.day = t.day
WHERE t.heartbeats AND t.running_steps + t.waiting_steps > 0 AND t."partition" = ANY($1::int[])
  AND s.status IN ('running', 'waiting') AND s.seen_at_us < $2 AND (s.last_beat_us IS NOT NULL OR s.stamp_seq > 0)
ORDER BY s.project_id, s.task_id LIMIT $3
"""
# what a task without a root shows: its steps' span of time, and the name and agent of the earliest
_ROOTLESS = f"""
UPDATE tasks t SET
    flags = array_append(t.flags, $3),
    status = CASE
        WHEN t.waiting_steps > 0 THEN 'waiting' WHEN t.running_steps > 0 THEN 'running' WHEN t.lost_steps > 0 THEN 'lost'
        WHEN t.errors > 0 THEN 'error' ELSE 'ok'
    END,
    name = coalesce(first.name, t.name), agent = coalesce(t.agent, first.agent), started_at_us = first.started_at_us, sort_at_us = coalesce(first.started_at_us, t.sort_at_us),
    ended_at_us = CASE WHEN t.waiting_steps + t.running_steps = 0 THEN span.ended_at_us END,
    duration_us = CASE WHEN t.waiting_steps + t.running_steps = 0 AND span.ended_at_us >= first.started_at_us THEN span.ended_at_us - first.started_at_us END
FROM (
    SELECT project_id, task_id FROM tasks
    WHERE status IN ('running', 'waiting') AND seen_at_us < $2 AND document IS NULL AND root_step_id IS NULL
      AND "partition" = ANY($1::int[]) AND NOT $3 = ANY(flags)
    ORDER BY project_id, task_id LIMIT $4 FOR UPDATE SKIP LOCKED
) found
JOIN tasks me ON me.project_id = found.project_id AND me.task_id = found.task_id
LEFT JOIN LATERAL (
    SELECT s.name, s.agent, s.started_at_us FROM steps s WHERE s.project_id = me.project_id AND s.task_id = me.task_id AND s.day = me.day
    ORDER BY s.started_at_us NULLS LAST, s.seq, s.step_id LIMIT 1
) first ON true
LEFT JOIN LATERAL (
    SELECT max(s.ended_at_us) AS ended_at_us FROM steps s WHERE s.project_id = me.project_id AND s.task_id = me.task_id AND s.day = me.day
) span ON true
WHERE t.project_id = found.project_id AND t.task_id = found.task_id
RETURNING {_TASK_COLUMNS}
"""
_RUNNING = f"""
SELECT {_TASK_COLUMNS} FROM tasks t WHERE t.status IN ('running', 'waiting') AND t."partition" = ANY($1::int[])
ORDER BY t.seen_at_us DESC LIMIT $2
"""


class SilentStep(Struct, frozen=True):
    """An open step of a producer that used to beat."""

    project_id: str
    task_id: str
    step_id: str
    last_beat_us: int


async def silent_steps(connection: Connection, partitions: Sequence[int], seen_before_us: int, limit: int) -> list[SilentStep]:
    """Open steps of which nothing came since ``seen_before_us`` (by the broker's clock)."""
    return [SilentStep(*row) for row in await connection.fetch(_SILENT, list(partitions), seen_before_us, limit)]


async def mark_rootless(connection: Connection, partitions: Sequence[int], seen_before_us: int, flag: str, limit: int) -> list[TaskRow]:
    """Tasks known by their steps alone, without a root, and quiet since then: they are shown by their steps, with a flag."""
    return [task_row(row) for row in await connection.fetch(_ROOTLESS, list(partitions), seen_before_us, flag, limit)]


async def running_tasks(connection: Connection, partitions: Sequence[int], limit: int) -> list[TaskRow]:
    """Running and waiting tasks, those with the latest news first."""
    return [task_row(row) for row in await connection.fetch(_RUNNING, list(partitions), limit)]


async def ensure_partitions(connection: Connection, first: date, last: date) -> int:
    """Make the partitions of these days that are not there; how many were made."""
    return int(await connection.fetchval("SELECT ensure_partitions($1, $2)", first, last) or 0)
