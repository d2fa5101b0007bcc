"""New rows go straight into their partitions, past staging: as the role that runs the projector, and right when they are not new."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from tests.builders import BASE_US, batch, document, record, recorded, step_id

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored
from ams_contracts.topics import PAYLOADS, STEPS
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.store.connections import open_writer, set_generation
from ams_trace_ingest.store.day_partitions import DayPartitions, partition_name


@pytest_asyncio.fixture
async def writers(traces_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections of the role ams_writer, for which row-level security holds."""
    pool = await open_writer(f"{traces_url}?role=ams_writer", application="test", size_max=2)
    yield pool
    await pool.close()


def payload(step: int, text: str, *, at_us: int = BASE_US) -> PayloadStored:
    return PayloadStored(
        event_id=f"{step:032x}", seq=0, at_us=at_us, step_id=step_id(step), slot=Slot.INPUT, mime="text/plain", text=text, bytes=len(text)
    )


async def test_the_writer_may_copy_into_the_partitions_of_these_days_and_the_reader_may_not_look(writers: asyncpg.Pool, store) -> None:
    today = datetime.now(UTC).date()
    day_partitions = DayPartitions()

    async with writers.acquire() as connection, connection.transaction():
        generation = await set_generation(connection)
        there = [await day_partitions.exist(connection, generation, table, [today]) for table in ("steps", "step_payloads")]
        nowhere = await day_partitions.exist(connection, generation, "steps", [today, today + timedelta(days=4_000)])
        readable = await connection.fetchval(
            "SELECT has_table_privilege('ams_reader', $1, 'SELECT')", f"g1.{partition_name('steps', today)}"
        )

    assert there == [True, True]
    assert not nowhere
    assert not readable


async def test_answers_are_bounded_and_looked_up_again(writers: asyncpg.Pool, store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ams_trace_ingest.store.day_partitions.ANSWERS_MAX", 3)
    today = datetime.now(UTC).date()
    day_partitions = DayPartitions()

    async with writers.acquire() as connection, connection.transaction():
        generation = await set_generation(connection)
        for number in range(10):
            assert not await day_partitions.exist(connection, generation, "steps", [today + timedelta(days=4_000 + number)])
            assert len(day_partitions) <= 3
        assert await day_partitions.exist(connection, generation, "steps", [today])


async def test_rows_of_one_batch_that_came_before_and_such_that_did_not_are_all_there_once(writers: asyncpg.Pool, store) -> None:
    projection = PayloadsProjection(writers)
    log = [
        record(0, batch(1, payload(2, "first"), payload(3, "other")), topic=PAYLOADS.name),
        record(1, batch(1, payload(4, "new"), payload(2, "second", at_us=BASE_US + 1)), topic=PAYLOADS.name),
        record(2, batch(1, payload(5, "last")), topic=PAYLOADS.name),
    ]

    for item in log:
        await projection.apply(PAYLOADS.name, 0, [item], item.offset)

    rows = {row["step_id"]: row["text"] for row in await store.rows("step_payloads")}
    assert rows == {step_id(2): "second", step_id(3): "other", step_id(4): "new", step_id(5): "last"}
    assert await store.rows("dead_letters") == []


async def test_a_step_that_is_stored_is_replaced_beside_one_that_is_new(writers: asyncpg.Pool, store) -> None:
    projection = StepsProjection(writers)
    before, after = recorded(2, document(), seq=1), recorded(2, document(name="again"), seq=2)

    await projection.apply(STEPS.name, 0, [record(0, batch(1, before))], 0)
    await projection.apply(STEPS.name, 0, [record(1, batch(1, after, recorded(3, document(flags=["a", 'b"c']), seq=3)))], 1)

    steps = {row["step_id"]: row for row in await store.rows("steps")}
    assert steps[step_id(2)]["name"] == "again"
    assert list(steps[step_id(3)]["flags"]) == ["a", 'b"c']
