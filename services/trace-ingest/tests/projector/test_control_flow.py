"""The projector's control flow over tables in memory: halving, single events, positions, upserts instead of COPY. No server."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import BASE_US, batch, document, record, recorded, step_id

from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord, PartitionBatch, PositionMovedError
from ams_trace_ingest.projector import applier
from ams_trace_ingest.projector.applier import UPSERT_BATCHES, BatchApplier, NotTogetherError
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected, StepsDecoder, TwoPartitionsError


class Transaction:
    """One that was begun: of which partitions, how many events, and how."""

    def __init__(self, batches: Sequence[PartitionBatch], decoder: BatchDecoder, *, trial: bool) -> None:
        self.partitions = [one.partition for one in batches]
        self.records = sum(len(one.records) for one in batches)
        self.direct = decoder.direct
        self.trial = trial


class InMemoryProjection(BatchApplier):
    """Steps in a dict. It keeps the promises of ``BatchApplier.transact``, and refuses what a test says."""

    projection = "memory"

    def __init__(self, refused: Iterable[str] = ()) -> None:
        super().__init__()
        self.refused = set(refused)
        self.failures: list[Exception] = []  # of the next transactions
        self.steps: Counter[str] = Counter()
        self.letters: list[tuple[int, int]] = []
        self.positions: dict[int, int] = {}
        self.transactions: list[Transaction] = []
        self.forgotten = 0

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> BatchDecoder:
        return StepsDecoder(self.projection, BASE_US, rejected=rejected, events_max=events_max)

    def on_not_new(self) -> None:
        self.forgotten += 1

    async def transact(self, batches: Sequence[PartitionBatch], decoder: BatchDecoder, *, trial: bool = False) -> dict[int, int]:
        self.transactions.append(Transaction(batches, decoder, trial=trial))
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        for one in batches:
            if self.positions.get(one.partition, 0) != one.expected:
                raise PositionMovedError(self.positions.get(one.partition, 0))
        steps = [step for task in decoder.changes.tasks.values() for step in task.steps]
        if self.refused.intersection(steps):
            raise asyncpg.DataError("refused")
        if decoder.direct and any(step in self.steps for step in steps):
            raise asyncpg.UniqueViolationError("repeated")
        moved = {one.partition: one.records[-1].offset + 1 for one in batches}
        if not trial:
            self.steps.update(steps)
            self.letters += [(letter.offset, letter.index) for letter in decoder.changes.letters]
            self.positions.update(moved)
        return moved


def a_record(offset: int, *steps: int, partition: int = 0) -> LogRecord:
    return record(offset, batch(partition + 1, *(recorded(step, document()) for step in steps)), partition=partition)


async def test_one_refused_event_among_many_records_becomes_a_dead_letter_alone() -> None:
    projection = InMemoryProjection([step_id(6)])

    position = await projection.apply(STEPS.name, 0, [a_record(offset, 2 * offset + 1, 2 * offset + 2) for offset in range(16)], 0)

    assert position == projection.positions[0] == 16
    assert projection.steps == Counter(step_id(step) for step in range(1, 33) if step != 6)
    assert projection.letters == [(2, 1)]
    assert len(projection.transactions) <= 2 * 5 + 6  # two a halving, and the search in one record


async def test_the_search_in_one_record_takes_two_transactions_a_bit_for_each_event() -> None:
    projection = InMemoryProjection(map(step_id, (17, 64)))

    await projection.apply(STEPS.name, 0, [a_record(0, *range(1, 101))], 0)

    assert sorted(projection.letters) == [(0, 16), (0, 63)]
    assert len(projection.steps) == 98
    assert len([one for one in projection.transactions if one.trial]) <= 2 * (7 + 1)


async def test_a_refusal_that_no_event_explains_is_raised() -> None:
    projection = InMemoryProjection()
    projection.failures = [asyncpg.DataError("always")] * 100

    with pytest.raises(asyncpg.DataError):
        await projection.apply(STEPS.name, 0, [a_record(0, 1, 2, 3)], 0)

    assert (projection.steps, projection.letters, projection.positions) == (Counter(), [], {})


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncpg.InterfaceError("closed"), asyncpg.DeadlockDetectedError("again")])
async def test_what_is_not_the_datas_fault_is_raised_at_once(error: Exception) -> None:
    projection = InMemoryProjection()
    projection.failures = [error]

    with pytest.raises(type(error)):
        await projection.apply(STEPS.name, 0, [a_record(0, 1), a_record(1, 2)], 0)

    assert len(projection.transactions) == 1


async def test_a_repeated_event_is_upserted_and_so_are_the_next_batches() -> None:
    projection = InMemoryProjection()
    await projection.apply(STEPS.name, 0, [a_record(0, 1)], 0)
    projection.transactions.clear()

    for offset in range(1, UPSERT_BATCHES + 2):
        await projection.apply(STEPS.name, 0, [a_record(offset, 1 if offset == 1 else offset)], offset)

    assert [one.direct for one in projection.transactions] == [True, *[False] * UPSERT_BATCHES, True]
    assert projection.forgotten == 1


async def test_a_cached_task_that_was_not_current_is_read_again() -> None:
    projection = InMemoryProjection()
    projection.failures = [TwoPartitionsError()]

    assert await projection.apply(STEPS.name, 0, [a_record(0, 1)], 0) == 1
    assert len(projection.transactions) == 2


async def test_a_timeout_halves_the_next_attempts_until_one_succeeds() -> None:
    projection = InMemoryProjection()
    records = [a_record(offset, offset + 1) for offset in range(8)]
    sizes: list[int] = []
    for _ in range(3):
        projection.failures = [TimeoutError()]
        with pytest.raises(TimeoutError):
            await projection.apply(STEPS.name, 0, records, 0)
        sizes.append(projection.transactions[-1].records)

    await projection.apply(STEPS.name, 0, records, 0)
    await projection.apply(STEPS.name, 0, [a_record(8, 9), a_record(9, 10)], 8)

    assert sizes == [8, 4, 2]
    assert [one.records for one in projection.transactions[3:]] == [1] * 8 + [2]


async def test_records_before_the_position_are_skipped() -> None:
    projection = InMemoryProjection()
    records = [a_record(offset, offset + 1) for offset in range(4)]
    await projection.apply(STEPS.name, 0, records[:2], 0)

    await projection.apply(STEPS.name, 0, records, 2)

    assert projection.steps == Counter(map(step_id, range(1, 5)))


async def test_a_position_that_moved_is_raised_and_nothing_is_written() -> None:
    projection = InMemoryProjection()
    projection.positions[0] = 7

    with pytest.raises(PositionMovedError):
        await projection.apply(STEPS.name, 0, [a_record(0, 1)], 0)

    assert projection.steps == Counter()


def of(*partitions: int, offset: int = 0) -> list[PartitionBatch]:
    return [
        PartitionBatch(partition, [a_record(offset, 10 * offset + partition + 1, partition=partition)], offset) for partition in partitions
    ]


async def test_several_partitions_share_a_transaction() -> None:
    projection = InMemoryProjection()

    assert await projection.apply_together(STEPS.name, of(0, 1, 2)) == {0: 1, 1: 1, 2: 1}
    assert [one.partitions for one in projection.transactions] == [[0, 1, 2]]


@pytest.mark.parametrize(
    "error",
    [PositionMovedError(3), asyncpg.DataError("bad"), asyncpg.UniqueViolationError("again"), NotTogetherError(), TwoPartitionsError()],
)
async def test_when_one_partition_is_at_fault_all_are_left_to_be_applied_one_by_one(error: Exception) -> None:
    projection = InMemoryProjection()
    projection.failures = [error]

    assert await projection.apply_together(STEPS.name, of(0, 1)) == {}
    assert (projection.steps, projection.positions) == (Counter(), {})
    assert await projection.apply_together(STEPS.name, of(0, 1)) == {0: 1, 1: 1}


async def test_after_a_timeout_the_next_polls_are_applied_one_by_one() -> None:
    projection = InMemoryProjection()
    projection.failures = [TimeoutError()]
    await projection.apply_together(STEPS.name, of(0, 1))

    together = [await projection.apply_together(STEPS.name, of(0, 1)) for _ in range(UPSERT_BATCHES + 1)]

    assert together == [{}] * UPSERT_BATCHES + [{0: 1, 1: 1}]


async def test_an_error_of_postgres_itself_is_one_of_all_partitions() -> None:
    projection = InMemoryProjection()
    projection.failures = [ConnectionRefusedError()]

    with pytest.raises(ConnectionRefusedError):
        await projection.apply_together(STEPS.name, of(0, 1))


async def test_a_partition_that_repeated_events_or_timed_out_is_left_out() -> None:
    projection = InMemoryProjection()
    await projection.apply(STEPS.name, 0, [a_record(0, 1), a_record(1, 2)], 0)
    await projection.apply(STEPS.name, 0, [a_record(2, 2)], 2)
    projection.failures = [TimeoutError()]
    with pytest.raises(TimeoutError):
        await projection.apply(STEPS.name, 1, [a_record(0, 30, partition=1), a_record(1, 31, partition=1)], 0)

    assert await projection.apply_together(STEPS.name, [*of(0, offset=3), *of(1, 2, 3)]) == {2: 1, 3: 1}


EVENTS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True), min_size=1, max_size=12)


@settings(deadline=None)
@given(EVENTS, st.sets(st.integers(1, 40), max_size=4), st.integers(1, 12))
def test_whatever_is_refused_and_repeated_every_event_is_stored_or_a_dead_letter(
    events: list[list[int]], refused: set[int], poll: int
) -> None:
    projection = InMemoryProjection(map(step_id, refused))
    records = [a_record(offset, *steps) for offset, steps in enumerate(events)]

    async def play() -> None:
        position = 0
        while position < len(records):
            position = await projection.apply(STEPS.name, 0, records[position : position + poll], position)

    asyncio.run(play())

    assert projection.positions[0] == len(records)
    assert set(projection.steps) == {step_id(step) for steps in events for step in steps} - {step_id(step) for step in refused}
    expected = [(offset, index) for offset, steps in enumerate(events) for index, step in enumerate(steps) if step in refused]
    assert sorted(projection.letters) == expected


async def test_the_next_chunk_is_decoded_while_a_transaction_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "CHUNK_BYTES_MAX", 1)
    monkeypatch.setattr(applier, "DECODE_BYTES", 1)
    projection = InMemoryProjection()
    decoding: list[int] = []
    decoded_at: list[list[int]] = []

    class Listening(StepsDecoder):
        def add(self, record: LogRecord) -> None:
            decoding.append(record.offset)
            super().add(record)

    def decoder(*, rejected: Rejected, events_max: int | None) -> BatchDecoder:
        return Listening("memory", BASE_US, rejected=rejected, events_max=events_max)

    transact = projection.transact

    async def slow(batches: Sequence[PartitionBatch], decoder: BatchDecoder, *, trial: bool = False) -> dict[int, int]:
        for _ in range(5):  # round trips
            await asyncio.sleep(0)
        decoded_at.append(list(decoding))
        return await transact(batches, decoder, trial=trial)

    monkeypatch.setattr(projection, "decoder", decoder)
    monkeypatch.setattr(projection, "transact", slow)

    await projection.apply(STEPS.name, 0, [a_record(offset, offset + 1) for offset in range(3)], 0)

    assert decoded_at == [[0, 1], [0, 1, 2], [0, 1, 2]]  # one ahead, no more
