"""What several partitions brought at once is one transaction; what cannot be is left for one by one, untouched."""

import time
from collections.abc import Sequence

import asyncpg
import msgspec
import pytest
from tests.builders import BASE_US, NATIVE, batch, document, ended, llm, record, recorded, started, step_id, task_started

from ams_contracts.documents import Slot, Status, TaskDocument
from ams_contracts.events import AgentRegistered, Batch, PayloadStored, TaskDeleted
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import LogRecord, PartitionBatch
from ams_trace_ingest.projector.applier import CHUNK_BYTES_MAX, pack_slices
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.payloads import PayloadsProjection

NOW_MS = int(time.time() * 1_000)  # a day that has a partition
RUNNING = TaskDocument(name="work", status=Status.RUNNING, started_at_us=BASE_US)
AGENT = AgentRegistered(event_id="a" * 32, seq=0, at_us=BASE_US, name="planner")
DELETION = TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")


def input_of(step: int) -> PayloadStored:
    return PayloadStored(
        event_id=f"9{step:031x}", seq=0, at_us=BASE_US, step_id=step_id(step), slot=Slot.INPUT, mime="text/plain", text="text", bytes=4
    )


def slices(*values: Sequence[Batch | bytes], first: int = 0, topic: str = STEPS.name) -> list[PartitionBatch]:
    """One per partition, from 0."""
    return [
        PartitionBatch(
            number,
            [
                record(first + offset, value, partition=number, topic=topic, timestamp_ms=NOW_MS)
                for offset, value in enumerate(of_partition)
            ],
            first,
        )
        for number, of_partition in enumerate(values)
    ]


FIRST = (
    [batch(1, recorded(1, llm(5, agent="planner")), recorded(2, document())), batch(2, task_started(RUNNING), started(3, document(), seq=2), producer=NATIVE)],
    [b"nonsense", batch(3, recorded(4, llm(7, agent="planner")), recorded(4, llm(7, agent="planner")))],
    [batch(4, recorded(5, document()), AGENT), batch(5, recorded(6, document()))],
)  # fmt: skip
SECOND = (
    [batch(2, ended(3, document(), seq=3), producer=NATIVE)],
    [batch(3, DELETION), batch(3, recorded(7, document()))],
    [batch(4, recorded(5, document()), recorded(8, document()))],
)


async def test_the_tables_and_accounts_are_those_of_one_by_one(pool: asyncpg.Pool, store) -> None:
    projection = StepsProjection(pool)
    for one in (*slices(*FIRST), *(PartitionBatch(one.partition, one.records, 2) for one in slices(*SECOND, first=2))):
        await projection.apply(STEPS.name, one.partition, one.records, one.expected)
    expected, account = await store.everything(), await store.account()
    await store.empty()

    assert await projection.apply_together(STEPS.name, slices(*FIRST)) == {0: 2, 1: 2, 2: 2}
    assert await projection.apply_together(STEPS.name, slices(*SECOND, first=2)) == {0: 3, 1: 4, 2: 3}

    assert await store.everything() == expected
    assert await store.account() == account
    assert len({row["xmin"] for row in await store.connection.fetch("SELECT xmin FROM g1.positions")}) == 1


async def test_payloads_too_and_one_that_comes_again_is_left_for_one_by_one(pool: asyncpg.Pool, store) -> None:
    projection = PayloadsProjection(pool)
    first = [[batch(task, input_of(task))] for task in range(1, 4)]
    assert await projection.apply_together(PAYLOADS.name, slices(*first, topic=PAYLOADS.name)) == {0: 1, 1: 1, 2: 1}

    again = slices(*first, first=1, topic=PAYLOADS.name)
    assert await projection.apply_together(PAYLOADS.name, again) == {}

    for one in again:
        await projection.apply(PAYLOADS.name, one.partition, one.records, one.expected)
    assert await store.account("payloads") == {"projected": 3, "duplicate": 3}


@pytest.mark.parametrize("why", ["moved", "refused", "two-partitions"])
async def test_one_that_cannot_leaves_all_as_they_were(pool: asyncpg.Pool, store, why: str) -> None:
    projection = StepsProjection(pool)
    given = slices([batch(1, recorded(1, document()))], [batch(2, recorded(2, document()))])
    if why == "moved":
        given[1] = msgspec.structs.replace(given[1], expected=7, records=[msgspec.structs.replace(given[1].records[0], offset=7)])
    elif why == "refused":
        given[1] = slices([], [batch(2, recorded(2, document(agent="x" * 256)))])[1]
        await store.connection.execute("ALTER TABLE g1.agents ADD CONSTRAINT short CHECK (length(name) < 200)")
    else:
        given[1] = slices([], [batch(1, recorded(2, document()))])[1]
    try:
        assert await projection.apply_together(STEPS.name, given) == {}
    finally:
        await store.connection.execute("ALTER TABLE g1.agents DROP CONSTRAINT IF EXISTS short")

    assert await store.rows("steps") == []
    assert [row["next_offset"] for row in await store.rows("positions")] in ([], [0, 0])
    assert await projection.apply(STEPS.name, 0, given[0].records, 0) == 1


async def test_what_is_nobodys_fault_is_raised(pool: asyncpg.Pool) -> None:
    given = slices([batch(1, recorded(1, document()))], [batch(2, recorded(2, document()))])
    await pool.close()

    with pytest.raises(asyncpg.InterfaceError):
        await StepsProjection(pool).apply_together(STEPS.name, given)


def test_a_pack_is_of_several_partitions_and_not_too_large() -> None:
    def of(partition: int, size: int) -> PartitionBatch:
        return PartitionBatch(
            partition, [LogRecord(topic="t", partition=partition, offset=0, key=None, value=b"x" * size, headers=(), timestamp_ms=1)], 0
        )

    half = CHUNK_BYTES_MAX // 2
    found = pack_slices([of(0, 10), of(1, CHUNK_BYTES_MAX), of(2, half), of(3, half), of(4, half), of(5, half + 1), of(6, 1)])

    assert [[one.partition for one in pack] for pack in found] == [[0, 2, 3], [4, 5]]
