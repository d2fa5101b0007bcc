"""What retention reads and deletes. Every statement is bounded; a caller repeats it until nothing is left."""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec
from msgspec import Struct

from ams_trace_ingest.store.connections import Connection, affected

PLATFORM = ""
"""The row of ``public.retention`` that holds for projects without a row of their own."""
ADVISORY_LOCK = 7_232_003
"""Held by the process that prunes, and by a replay: both sides of a comparison must be cut at the same day."""

TASK_TABLES = ("remapped", "step_logs", "step_log_counts", "scores", "task_media", "task_producers", "task_media", "deleted_tasks", "tasks")
"""Rows of a task outside the day partitions, in the order of their deletion."""
DAY_TABLES = ("step_text", "step_payloads", "steps")
"""Tables with a partition for each UTC day, in the order of their deletion."""

_KEPT_DAYS = "SELECT project_id, retention_days FROM app.project_settings WHERE retention_days IS NOT NULL"
_ADVANCE = """
INSERT INTO public.retention (project_id, days, kept_from) SELECT * FROM unnest($1::text[], $2::int[], $3::date[])
ON CONFLICT (project_id) DO UPDATE SET days = EXCLUDED.days, kept_from = greatest(retention.kept_from, EXCLUDED.kept_from)
"""
_CUTS = "SELECT project_id, kept_from FROM public.retention"
# one look-up a project in the partial index, whatever the number of tasks
_PROJECTS = """
WITH RECURSIVE found AS (
    (SELECT project_id FROM task_days WHERE NOT pruned ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.project_id FROM task_days d WHERE NOT d.pruned AND d.project_id > f.project_id ORDER BY d.project_id LIMIT 1)
    FROM found f WHERE f.project_id IS NOT NULL
)
SELECT project_id FROM found WHERE project_id IS NOT NULL
"""
_OLDEST_DAY = "SELECT day FROM task_days WHERE NOT pruned AND project_id = $1 AND day < $2 ORDER BY day LIMIT 1"
_BATCH = "SELECT task_id FROM task_days WHERE NOT pruned AND project_id = $1 AND day = $2 LIMIT $3"
_CLAIMED_KEYS = """
SELECT task_id, step_id, response_id, call_key FROM steps
WHERE project_id = $1 AND day = $2 AND task_id = ANY($3::text[]) AND (task_id, step_id) > ($4, $5)
ORDER BY task_id, step_id LIMIT $6
"""
_DELETE_CLAIMS = """
DELETE FROM response_claims c USING unnest($2::text[]) AS wanted (response_id)
WHERE c.project_id = $1 AND c.response_id = wanted.response_id AND c.overflow = 0
    AND NOT EXISTS (SELECT FROM jsonb_array_elements(c.claims) claim WHERE claim ->> 0 <> ALL($3::text[]))
"""
_SHARED_CLAIMS = """
SELECT response_id, array_agg(DISTINCT task_id) FROM (
    SELECT c.response_id, claim ->> 0 AS task_id FROM unnest($2::text[]) AS wanted (response_id)
    JOIN response_claims c ON c.project_id = $1 AND c.response_id = wanted.response_id, jsonb_array_elements(c.claims) claim
    UNION
    SELECT o.response_id, o.task_id FROM response_claims_overflow o
    WHERE o.project_id = $1 AND o.task_id = ANY($3::text[]) AND o.response_id = ANY($2::text[])
) claims
WHERE task_id = ANY($3::text[]) GROUP BY response_id
"""
_PRUNED = "UPDATE task_days SET pruned = true WHERE project_id = $1 AND task_id = ANY($2::text[]) AND NOT pruned"
_COUNT = """
INSERT INTO public.retention (project_id, days, kept_from, tasks_pruned, pruned_at)
SELECT wanted.project_id, p.days, p.kept_from, $2, $3 FROM public.retention p, unnest(ARRAY['', $1]) AS wanted (project_id) WHERE p.project_id = ''
ORDER BY wanted.project_id
ON CONFLICT (project_id) DO UPDATE SET tasks_pruned = retention.tasks_pruned + EXCLUDED.tasks_pruned, pruned_at = EXCLUDED.pruned_at
"""
_FORGET_DAYS = """
DELETE FROM task_days WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM task_days WHERE pruned AND day < $1 AND (late_day IS NULL OR late_day < $2) LIMIT $3
))
"""
_DELETE_LETTERS = """
DELETE FROM dead_letters WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM dead_letters WHERE project_id IS NOT DISTINCT FROM $1 AND at_us < $2 LIMIT $3
))
"""
_DELETE_AGENTS = """
DELETE FROM agents WHERE ctid = ANY(ARRAY(SELECT ctid FROM agents WHERE project_id = $1 AND last_seen_at_us < $2 LIMIT $3))
"""
_LETTER_PROJECTS = """
WITH RECURSIVE found AS (
    (SELECT project_id FROM dead_letters WHERE project_id IS NOT NULL ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.project_id FROM dead_letters d WHERE d.project_id > f.project_id ORDER BY d.project_id LIMIT 1)
    FROM found f WHERE f.project_id IS NOT NULL
)
SELECT project_id FROM found WHERE project_id IS NOT NULL
"""
_AGENT_PROJECTS = _LETTER_PROJECTS.replace("dead_letters", "agents")
_ROLLUP_PROJECTS = _LETTER_PROJECTS.replace("dead_letters", "hourly_rollups")
_BEGIN_RUN = """
INSERT INTO public.retention_runs (day, started_at) VALUES ($1, $2)
ON CONFLICT (day) DO UPDATE SET started_at = retention_runs.started_at RETURNING finished_at IS NOT NULL
"""
_STORE_RUN = "UPDATE public.retention_runs SET counts = $2::jsonb, finished_at = $3 WHERE day = $1"
_PARTITIONS = "SELECT name FROM unnest($1::text[]) AS tables (name) WHERE to_regclass(name || $2::text) IS NOT NULL"
_FORGET_RUNS = "DELETE FROM public.retention_runs WHERE day < $1"


class TaskBatch(Struct, frozen=True):
    """Tasks of one project and UTC day."""

    project_id: str
    day: date
    task_ids: list[str]


class Cuts(Struct, frozen=True):
    """The first UTC day that is kept: of the platform, and of projects that keep less.

    Attributes:
        platform: Null before the first run: everything is kept.
        projects: Never before the platform's.
    """

    platform: date | None
    projects: Mapping[str, date]

    def of(self, project_id: str) -> date | None:
        """The first day that a project keeps."""
        own = self.projects.get(project_id)
        return self.platform if own is None else max(own, self.platform or own)


async def settings(connection: Connection) -> dict[str, int]:
    """Days that projects keep, where their owners have set it."""
    return {row[0]: row[1] for row in await connection.fetch(_KEPT_DAYS)}


async def advance(connection: Connection, cuts: Mapping[str, tuple[int, date]]) -> None:
    """Move cuts forward; none goes back.

    Args:
        connection: In a transaction.
        cuts: By project (``PLATFORM`` for the platform) the days to keep and the first day.
    """
    keys = sorted(cuts)
    await connection.execute(_ADVANCE, keys, [cuts[key][0] for key in keys], [cuts[key][1] for key in keys])


async def cuts(connection: Connection) -> Cuts:
    """The cuts that hold now."""
    found = {row[0]: row[1] for row in await connection.fetch(_CUTS)}
    platform = found.pop(PLATFORM, None)
    return Cuts(platform, found)


async def projects(connection: Connection) -> list[str]:
    """Projects with tasks that are not pruned."""
    return [row[0] for row in await connection.fetch(_PROJECTS)]


async def oldest_day(connection: Connection, project_id: str, before: date) -> date | None:
    """The oldest day before ``before`` with tasks to prune."""
    return await connection.fetchval(_OLDEST_DAY, project_id, before)


async def next_batch(connection: Connection, project_id: str, day: date, limit: int) -> TaskBatch | None:
    """Tasks of a day that are not pruned yet; null when all are."""
    found = sorted(row[0] for row in await connection.fetch(_BATCH, project_id, day, limit))
    return TaskBatch(project_id, day, found) if found else None


async def partitions_of(connection: Connection, day: date) -> frozenset[str]:
    """The tables that have a partition for a day; rows of the others are in the default one."""
    rows = await connection.fetch(_PARTITIONS, list(DAY_TABLES), f"_{day:%Y%m%d}")
    return frozenset(row[0] for row in rows)


async def delete_of_tasks(connection: Connection, table: str, batch: TaskBatch, limit: int) -> int:
    """Delete at most ``limit`` rows of tasks from a table.

    Returns:
        How many rows were deleted.
    """
    by_day = table in DAY_TABLES
    condition = "project_id = $1 AND task_id = ANY($2::text[])" + (" AND day = $4" if by_day else "")
    statement = f"DELETE FROM {table} WHERE {condition} AND ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT $3))"
    return affected(await connection.execute(statement, batch.project_id, batch.task_ids, limit, *([batch.day] if by_day else [])))


async def claimed_keys(
    connection: Connection, batch: TaskBatch, after: tuple[str, str], limit: int
) -> list[tuple[str, str, str | None, str | None]]:
    """Task, step, response id and call key of the next steps, in order of task and step."""
    rows = await connection.fetch(_CLAIMED_KEYS, batch.project_id, batch.day, batch.task_ids, *after, limit)
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def delete_claims(connection: Connection, batch: TaskBatch, ids: list[str]) -> tuple[int, dict[str, set[str]]]:
    """Delete the claims on response ids that these tasks alone hold.

    Returns:
        How many rows were deleted; and per response id that other tasks claim too, which of these tasks do.
    """
    deleted = affected(await connection.execute(_DELETE_CLAIMS, batch.project_id, ids, batch.task_ids))
    shared = await connection.fetch(_SHARED_CLAIMS, batch.project_id, ids, batch.task_ids)
    return deleted, {row[0]: set(row[1]) for row in shared}


async def mark_pruned(connection: Connection, batch: TaskBatch, at: datetime) -> int:
    """Remember that these tasks are pruned, and count them for their project and the platform."""
    pruned = affected(await connection.execute(_PRUNED, batch.project_id, batch.task_ids))
    await connection.execute(_COUNT, batch.project_id, pruned, at)
    return pruned


async def drop_partitions(connection: Connection, before: date, limit: int) -> int:
    """Drop at most ``limit`` day partitions before a day; how many were dropped."""
    return int(await connection.fetchval("SELECT drop_partitions($1, $2)", before, limit) or 0)


async def forget_days(connection: Connection, before: date, late_before: date, limit: int) -> int:
    """Forget pruned tasks of days before ``before`` of which no late record was seen since ``late_before``."""
    return affected(await connection.execute(_FORGET_DAYS, before, late_before, limit))


async def letter_projects(connection: Connection) -> list[str | None]:
    """Projects with dead letters; null for letters that belong to none."""
    return [None, *(row[0] for row in await connection.fetch(_LETTER_PROJECTS))]


async def delete_letters(connection: Connection, project_id: str | None, before_us: int, limit: int) -> int:
    """Delete at most ``limit`` dead letters that were found before a moment."""
    return affected(await connection.execute(_DELETE_LETTERS, project_id, before_us, limit))


async def agent_projects(connection: Connection) -> list[str]:
    """Projects with agents."""
    return [row[0] for row in await connection.fetch(_AGENT_PROJECTS)]


async def rollup_projects(connection: Connection) -> list[str]:
    """Projects with hourly rollups."""
    return [row[0] for row in await connection.fetch(_ROLLUP_PROJECTS)]


async def delete_agents(connection: Connection, project_id: str, before_us: int, limit: int) -> int:
    """Delete at most ``limit`` agents that were last seen before a moment."""
    return affected(await connection.execute(_DELETE_AGENTS, project_id, before_us, limit))


async def begin_run(connection: Connection, day: date, at: datetime) -> bool:
    """Note that the run of a day begins, or continues.

    Returns:
        Whether it is finished already.
    """
    return bool(await connection.fetchval(_BEGIN_RUN, day, at))


async def store_run(connection: Connection, day: date, counts: Mapping[str, int], finished_at: datetime | None) -> None:
    """Store what the run of a day has deleted so far."""
    await connection.execute(_STORE_RUN, day, msgspec.json.encode(counts).decode(), finished_at)


async def forget_runs(connection: Connection, before: date) -> None:
    """Forget runs of days before ``before``."""
    await connection.execute(_FORGET_RUNS, before)
