"""Rows of millions of steps for benchmarks of queries: Postgres makes them once, they are kept as files of COPY, and copied into each database.

The rows are the same on every machine: every value is a function of the number of its task and step. One task has 100,000 steps, the others share
the rest equally. A twentieth of the steps has an input in the text index, of 12 common words; one in 5,000 of these also has a rare word.
"""

from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

PROJECT = "01900000-0000-7000-8000-0000000be9c4"
LARGE_TASK_STEPS = 100_000
DAYS = 14
END_US = 1_795_000_000_000_000
STRIDE = 131_072  # of the ids of a task's steps
VERSION = 2  # of the rows: files of another one are not used
RARE_WORD = "quetzalcoatlus"

_TASKS = """
SELECT '{project}' AS project_id, md5('task' || t) AS task_id, to_timestamp(at_us / 1e6)::date AS day, (t % 12)::int AS partition,
    1::bigint AS first_offset, 2::bigint AS last_offset, at_us AS seen_at_us, false AS heartbeats, 'trip ' || t AS name, 'task' AS kind,
    (ARRAY['planner', 'researcher', 'writer', 'critic'])[1 + t % 4] AS agent,
    CASE WHEN h % 100 < 5 THEN 'error' WHEN h % 400 = 7 THEN 'running' ELSE 'ok' END AS status, at_us AS started_at_us,
    at_us + h % 90000000 AS ended_at_us, h % 90000000 AS duration_us, 'user-' || h % 300 AS user_id,
    (ARRAY['prod', 'dev', 'staging'])[1 + h % 3] AS environment,
    jsonb_build_object('tier', (ARRAY['gold', 'free'])[1 + h % 2], 'release', '1.' || h % 30) AS tags,
    repeat('a plan for a trip to Kyoto with hotels and trains ', 6) AS preview,
    CASE WHEN h % 100 < 5 THEN 'TimeoutError' END AS error_type, '{{}}'::text[] AS flags,
    CASE WHEN t = 1 THEN {large} ELSE {each} END::int AS steps, CASE WHEN h % 100 < 5 THEN 1 ELSE 0 END AS errors, 0 AS running_steps,
    0 AS waiting_steps, 0 AS lost_steps, h % 90000 AS input_tokens, h % 7000 AS output_tokens, h % 900000000 AS cost_nusd,
    CASE WHEN h % 10 = 0 THEN 0 ELSE 3 END AS priced_steps, 0 AS unpriced_steps, at_us + h % 90000000 AS last_event_at_us, at_us AS sort_at_us,
    false AS derive_due
FROM (
    SELECT t, {end} - t * {apart} AS at_us, hashint8(t)::bigint & 2147483647 AS h FROM generate_series(1::bigint, {tasks}) t
) numbered
"""
_STEPS = """
SELECT '{project}' AS project_id, md5('task' || t) AS task_id, lpad(to_hex(t * {stride} + s), 16, '0') AS step_id,
    to_timestamp(task_us / 1e6)::date AS day, s AS first_offset, s + 1 AS end_offset, task_us AS seen_at_us, 2::smallint AS stamp_phase,
    task_us + s * 1000 + 500 AS stamp_at_us, s AS stamp_seq, repeat('e', 32) AS stamp_event_id,
    CASE WHEN s > 1 THEN lpad(to_hex(t * {stride} + (s - 2) / 4 + 1), 16, '0') END AS parent_step_id,
    (ARRAY['llm', 'tool', 'llm', 'tool', 'retrieval', 'agent'])[1 + s % 6] AS type, 'work ' || s % 40 AS name,
    (ARRAY['planner', 'researcher', 'writer', 'critic'])[1 + s % 4] AS agent, CASE WHEN h % 100 = 0 THEN 'error' ELSE 'ok' END AS status,
    CASE WHEN h % 100 = 0 THEN 'error' ELSE 'ok' END AS document_status, task_us + s * 1000 AS started_at_us,
    task_us + s * 1000 + h % 3000000 AS ended_at_us, h % 3000000 AS duration_us, s AS seq,
    CASE WHEN s % 6 IN (0, 2) THEN (ARRAY['gpt-4o-2024-08-06', 'gpt-4o-mini', 'claude-sonnet-4', 'gemini-2.5-pro'])[1 + h % 4] END AS model,
    CASE WHEN s % 6 IN (0, 2) THEN h % 4000 END AS input_tokens, CASE WHEN s % 6 IN (0, 2) THEN h % 900 END AS output_tokens,
    CASE WHEN s % 6 IN (0, 2) THEN h % 40000000 END AS cost_nusd, CASE WHEN s % 6 IN (0, 2) THEN 'computed' ELSE 'unknown' END AS cost_source,
    CASE WHEN s % 6 IN (1, 3) THEN 'search' END AS tool_name, 'hotels and trains near temple ' || h % 900 AS preview_input,
    'found ' || h % 30 || ' of them' AS preview_output, '{{}}'::text[] AS flags, '{{}}'::jsonb AS rest,
    CASE WHEN s % 6 IN (0, 2) THEN h % 4000 ELSE 0 END AS counted_input, CASE WHEN s % 6 IN (0, 2) THEN h % 900 ELSE 0 END AS counted_output,
    CASE WHEN s % 6 IN (0, 2) THEN h % 40000000 END AS counted_nusd, false AS usage_shadowed, false AS usage_wrapper
FROM (
    SELECT t, s, {end} - t * {apart} AS task_us, hashint8(t * {stride} + s)::bigint & 2147483647 AS h
    FROM generate_series(1::bigint, {tasks}) t, LATERAL generate_series(1::bigint, CASE WHEN t = 1 THEN {large} ELSE {each} END) s
) numbered
"""
_TEXTS = """
SELECT '{project}' AS project_id, md5('task' || t) AS task_id, lpad(to_hex(t * {stride} + s), 16, '0') AS step_id, 'input' AS slot,
    to_timestamp(task_us / 1e6)::date AS day, task_us + s * 1000 AS at_us, s AS seq, repeat('f', 32) AS event_id,
    to_tsvector('simple', (SELECT string_agg('word' || (hashint8(t * {stride} + s + n * 7)::bigint & 2147483647) % 3000, ' ')
        FROM generate_series(1, 12) n) || CASE WHEN h % 5000 = 0 THEN ' {rare}' ELSE '' END)
    || array_to_tsvector(ARRAY[' {project}', ' ' || md5('task' || t)]) AS words
FROM (
    SELECT t, s, {end} - t * {apart} AS task_us, hashint8(t * {stride} + s)::bigint & 2147483647 AS h
    FROM generate_series(1::bigint, {tasks}) t, LATERAL generate_series(1::bigint, CASE WHEN t = 1 THEN {large} ELSE {each} END) s WHERE s % 20 = 0
) numbered
"""
_ROWS = {"tasks": _TASKS, "steps": _STEPS, "step_text": _TEXTS}


class Size(Struct, frozen=True):
    """How much to make."""

    steps: int
    tasks: int

    @property
    def large(self) -> int:
        return min(LARGE_TASK_STEPS, max(1, self.steps // 10))

    @property
    def each(self) -> int:
        return max(1, (self.steps - self.large) // max(1, self.tasks - 1))

    @property
    def apart_us(self) -> int:
        return DAYS * 86_400_000_000 // self.tasks


def statement_of(table: str, size: Size) -> str:
    """The SELECT that makes the rows of a table."""
    return _ROWS[table].format(
        project=PROJECT, end=END_US, apart=size.apart_us, tasks=size.tasks, large=size.large, each=size.each, stride=STRIDE, rare=RARE_WORD
    )


async def fill(connection: asyncpg.Connection, size: Size, cache: Path) -> dict[str, int]:
    """Copy the rows into the first generation of a migrated, empty database; makes the files that are not there yet.

    Args:
        connection: As the owner of the tables.
        size: How much.
        cache: A folder for the files: some 2.5 GB for 5 million steps.

    Returns:
        Bytes of the files by table.
    """
    folder = cache / f"v{VERSION}-{size.steps}-{size.tasks}"
    folder.mkdir(parents=True, exist_ok=True)
    await connection.execute("SET synchronous_commit = off; SET search_path = g1; SET max_parallel_workers_per_gather = 0")
    await connection.fetchval(
        "SELECT ensure_partitions(to_timestamp($1::float8)::date, to_timestamp($2::float8)::date)",
        END_US / 1e6 - (DAYS + 1) * 86_400,
        END_US / 1e6,
    )
    written: dict[str, int] = {}
    for table in _ROWS:
        statement = statement_of(table, size)
        path = folder / f"{table}.copy"
        if not path.exists():
            new = path.with_suffix(".new")
            await connection.copy_from_query(statement, output=str(new), format="binary", timeout=3_600)
            new.rename(path)
        names = await columns_of(connection, statement)
        await connection.copy_to_table(table, source=str(path), columns=names, format="binary", timeout=3_600)
        written[table] = path.stat().st_size
    await connection.execute("VACUUM ANALYZE tasks, steps, step_text", timeout=3_600)
    return written


async def columns_of(connection: asyncpg.Connection, statement: str) -> list[Any]:
    """The names of the columns of a SELECT."""
    prepared = await connection.prepare(statement)
    return [attribute.name for attribute in prepared.get_attributes()]
