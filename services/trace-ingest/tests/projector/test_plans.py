"""What a look-up by key reads, when its plan was made while the tables knew nothing: never all of a task, or of a day."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta

import asyncpg
import pytest

from ams_trace_ingest.store import steps
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.day_partitions import partition_name
from ams_trace_ingest.store.steps import StepPlace

PROJECT = "0199a000-0000-7000-8000-000000000001"
LARGE = "aa" * 16
STEPS = 5_000
ASKED = 50  # each has ten steps below it, and three above
OFTEN = 8  # from the sixth time on a statement may keep one plan for all values

_FILL = """
INSERT INTO g1.steps (project_id, task_id, step_id, day, first_offset, seen_at_us, stamp_phase, stamp_at_us, stamp_seq, stamp_event_id,
    parent_step_id, type, name, status, document_status, started_at_us, seq, cost_source, flags, rest, counted_input, counted_output,
    usage_shadowed, usage_wrapper)
SELECT $1, CASE WHEN $2 = '' THEN lpad(to_hex(n), 32, '0') ELSE $2 END, lpad(to_hex(n), 16, '0'), $3, 0, 0, 2, n, 0, '',
    CASE WHEN n = $5::int OR $2 = '' THEN NULL ELSE lpad(to_hex(n / 10), 16, '0') END, 'llm', 'x', 'ok', 'ok',
    n, n, 'unknown', '{}', '{}', 0, 0, false, false
FROM generate_series(1, $4::int) AS n
"""
_READ = """
SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int FROM pg_stat_xact_user_tables WHERE relname = $1
"""

Lookup = Callable[[Connection, list[StepPlace]], Awaitable[object]]


async def first_root(connection: Connection, places: list[StepPlace]) -> object:
    project, task, _, day = places[0]
    return await steps.earliest_root(connection, project, task, day)


LOOK_UPS: dict[str, tuple[Lookup, int]] = {
    "steps": (steps.load, 1),
    "what is above them": (steps.load_above, 5),
    "what is below them": (steps.load_below, 12),
    "the first root": (first_root, 1),
    "a root that is not there": (first_root, 1),
}


@pytest.mark.parametrize("known", ["nothing", "small tasks"])
@pytest.mark.parametrize("wanted", LOOK_UPS)
async def test_a_look_up_reads_no_more_of_a_large_task_than_it_asks_for(pool: asyncpg.Pool, store, wanted: str, known: str) -> None:
    look_up, rows_a_place = LOOK_UPS[wanted]
    day = date(2031, 3, 1) + timedelta(days=2 * list(LOOK_UPS).index(wanted) + (known == "nothing"))
    name = partition_name("steps", day)
    places = [(PROJECT, LARGE, f"{n + 400:016x}", day) for n in range(ASKED)]
    async with pool.acquire() as writer:
        async with writer.transaction():
            await set_generation(writer)
            await writer.fetchval("SELECT ensure_partitions($1, $1)", day)
        if known == "small tasks":
            await store.connection.execute(_FILL, PROJECT, "", day, 100, 1)
            await store.connection.execute(f"ANALYZE g1.{name}")
        for _ in range(OFTEN):
            async with writer.transaction():
                await set_generation(writer)
                await look_up(writer, places[:1])
        await store.connection.execute(_FILL, PROJECT, LARGE, day, STEPS, 0 if wanted == "a root that is not there" else 1)

        async with writer.transaction():
            await set_generation(writer)
            before = await writer.fetchval(_READ, name)
            await look_up(writer, places)
            read = await writer.fetchval(_READ, name) - before

    assert read <= 2 * rows_a_place * ASKED
