"""One transaction a batch, or one for what several partitions brought at once (ADR 0034), and the search for what Postgres refuses."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

import asyncpg

from ams_contracts.codec import MalformedError, decode_batch
from ams_contracts.ids import INT64_MAX
from ams_kit.bus import LogRecord, PartitionBatch, PositionMovedError, StoredPosition
from ams_kit.telemetry.metrics import (
    APPLIED_APART,
    EVENTS_ACCOUNTED,
    EVENTS_DEAD,
    EVENTS_DUPLICATE,
    EVENTS_IGNORED,
    EVENTS_PROJECTED,
    PROJECT_SECONDS,
)
from ams_trace_ingest.projector.changes import BatchChanges
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected, TwoPartitionsError
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.normalise import replace_invalid_escapes
from ams_trace_ingest.store import dead_letters, deleted_projects, positions
from ams_trace_ingest.store.connections import Connection, UnencodableError, set_generation
from ams_trace_ingest.store.day_partitions import DayPartitions

DATA_ERROR_CLASSES = frozenset({"21", "22", "23", "54"})
TIMEOUT_STATES = frozenset({"57014", "25P04", "25P03"})  # cancelled, transaction timeout, idle in transaction
ACQUIRE_TIMEOUT_SECONDS = 5
UPSERT_BATCHES = 16  # after something was sent twice: whoever repeats himself does so for a while
CHUNK_BYTES_MAX = 1536 * 1024  # some 2,000 events: large enough for COPY, small enough to read the next one while Postgres writes this one

Moves = Mapping[int, tuple[int, int]]
"""By partition a position before and after."""

# a row that was taken for new is there, or its partition is not any more
_NOT_NEW = (asyncpg.UniqueViolationError, asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)


def nothing() -> None:
    """What there is to do meanwhile."""


def split(records: list[LogRecord], records_max: int) -> list[list[LogRecord]]:
    """Records in order, in chunks of at most so many, and of not much more than ``CHUNK_BYTES_MAX``."""
    chunks: list[list[LogRecord]] = []
    room = 0
    for record in records:
        if room <= 0 or len(chunks[-1]) >= records_max:
            chunks.append([])
            room = CHUNK_BYTES_MAX
        chunks[-1].append(record)
        room -= len(record.value or b"")
    return chunks


def pack_slices(slices: Iterable[PartitionBatch]) -> list[list[PartitionBatch]]:
    """Slices that one transaction each may take: of several partitions, and of not much more than ``CHUNK_BYTES_MAX``.

    Those that fill one by themselves are left out.
    """
    packs: list[list[PartitionBatch]] = []
    room = 0
    for one in slices:
        size = sum(len(record.value or b"") for record in one.records)
        if size >= CHUNK_BYTES_MAX:
            continue
        if room <= 0:
            packs.append([])
            room = CHUNK_BYTES_MAX
        packs[-1].append(one)
        room -= size
    return [pack for pack in packs if len(pack) > 1]


class NotTogetherError(Exception):
    """What is to be written can only be counted partition by partition."""


class _TrialOverError(Exception):
    """Raised to roll a trial back."""


class TransactionalProjection:
    """The frame of both projections; a subclass reads records into work, and writes work.

    It is an ``ams_kit.bus.Projection``: effect and position are one transaction, and its lock on the position row makes this the only
    writer of the partition.
    """

    projection: str
    """Its name in ``positions``, dead letters and metrics."""
    slow_seconds = 6.0
    """What fails after so long was too large; Postgres ends a transaction after 8 s (``ams_kit.db``)."""

    def __init__(self, pool: asyncpg.Pool, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        """``now_us`` is the clock that stands in for a broker's time that is missing or wild."""
        self._pool = pool
        self._now_us = now_us
        self._records_max: dict[int, int] = {}
        self._single_polls_left = 0  # polls whose partitions are not applied together
        self._upsert_batches_left: dict[int, int] = {}  # partition -> batches for which nothing is believed to be new
        self.day_partitions = DayPartitions()
        self.assume_new = True  # what seems new is written as new

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> BatchDecoder:
        """A reader of this projection's topic."""
        raise NotImplementedError

    async def write(
        self, connection: Connection, decoder: BatchDecoder, *, generation: str, moves: Moves, meanwhile: Callable[[], None]
    ) -> Callable[[], None]:
        """Write what the reader has read, within the transaction that holds the positions of its partitions.

        Args:
            connection: In the transaction.
            decoder: Has decoded the records.
            generation: Of the tables.
            moves: By partition the position that is locked, and the one that it moves to.
            meanwhile: Work for this process, to be called once while Postgres is busy.

        Returns:
            What to do once it is committed.

        Raises:
            NotTogetherError: It has read several partitions, and they have to be written one by one.
        """
        raise NotImplementedError

    async def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            for partition, account in (await positions.accounts(connection, self.projection, topic, partitions)).items():
                export_account(self.projection, topic, partition, account)
            return await positions.load(connection, self.projection, topic, partitions)

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:  # noqa: ARG002  the port's signature; records know their topic
        position = expected
        chunks = split([record for record in records if record.offset >= expected], self._records_max.get(partition, INT64_MAX))
        ahead: list[BatchDecoder] = []
        for chunk, following in zip_longest(chunks, chunks[1:], fillvalue=None):
            if chunk is None:
                break
            decoder = ahead.pop() if ahead else None

            def read_ahead(following: list[LogRecord] | None = following) -> None:
                if following is not None and not ahead:
                    ahead.append(self._decode(following, {}))

            began = time.monotonic()
            try:
                position = await self._apply(chunk, position, decoder, read_ahead)
            except Exception as error:
                # a batch that always times out would come back for ever. Postgres ends the session of a transaction that takes too long:
                # what is heard then may be a timeout, a closed connection or an error of the driver
                if _is_timeout(error) or time.monotonic() - began > self.slow_seconds:
                    self._records_max[partition] = max(1, len(chunk) // 2)
                raise
        self._records_max.pop(partition, None)
        return position

    async def apply_together(self, topic: str, slices: Sequence[PartitionBatch]) -> dict[int, int]:  # noqa: ARG002  the port's signature; records know their topic
        applied: dict[int, int] = {}
        if not self.assume_new or self._single_polls_left:
            self._single_polls_left = max(0, self._single_polls_left - 1)
            return applied
        packs = pack_slices(
            one for one in slices if one.partition not in self._upsert_batches_left and one.partition not in self._records_max
        )
        ahead: list[BatchDecoder] = []
        began = time.monotonic()
        try:
            for pack, following in zip_longest(packs, packs[1:], fillvalue=None):
                if pack is None:
                    break
                decoder = ahead.pop() if ahead else self._decode_pack(pack)
                decoder.direct = True
                began = time.monotonic()

                def read_ahead(following: list[PartitionBatch] | None = following) -> None:
                    if following is not None and not ahead:
                        ahead.append(self._decode_pack(following))

                applied.update(await self._transact(pack, decoder, meanwhile=read_ahead))
        except Exception as error:
            slow = _is_timeout(error) or time.monotonic() - began > self.slow_seconds
            if not slow and not _is_of_one_partition(error):
                raise
            if slow:
                self._single_polls_left = UPSERT_BATCHES
            APPLIED_APART.labels(self.projection, type(error).__name__).inc()
        return applied

    def _decode_pack(self, pack: list[PartitionBatch]) -> BatchDecoder:
        return self._decode([record for one in pack for record in one.records if record.offset >= one.expected], {})

    async def _apply(
        self,
        records: list[LogRecord],
        expected: int,
        decoder: BatchDecoder | None = None,
        meanwhile: Callable[[], None] = nothing,
    ) -> int:
        partition = records[0].partition
        decoder = decoder or self._decode(records, {})
        decoder.direct = self.assume_new and partition not in self._upsert_batches_left
        try:
            position = await self._transact_one(records, expected, decoder, meanwhile=meanwhile)
        except _NOT_NEW:
            if not decoder.direct:
                raise
            self._upsert_batches_left[partition] = UPSERT_BATCHES
            self.day_partitions.clear()
            return await self._apply(records, expected)
        except TwoPartitionsError:  # what was remembered did not hold, and is forgotten
            return await self._apply(records, expected)
        except (asyncpg.PostgresError, UnencodableError) as error:
            if not is_data_error(error):
                raise
            if len(records) == 1:
                rejected = await self._find_rejected(records[0], expected, error)
                return await self._transact_one(records, expected, self._decode(records, rejected))
        else:
            self._decay_upserts(partition)
            return position
        middle = len(records) // 2
        position = await self._apply(records[:middle], expected)
        return await self._apply(records[middle:], position)

    def _decay_upserts(self, partition: int) -> None:
        left = self._upsert_batches_left.pop(partition, 0) - 1
        if left > 0:
            self._upsert_batches_left[partition] = left

    def _decode(self, records: list[LogRecord], rejected: Rejected, events_max: int | None = None) -> BatchDecoder:
        decoder = self.decoder(rejected=rejected, events_max=events_max)
        decoder.decode(records)
        return decoder

    async def _find_rejected(self, record: LogRecord, expected: int, error: Exception) -> dict[tuple[int, int], tuple[str, str]]:
        """The events of one record that cannot be written, given the others: the last of the shortest beginnings that fail."""
        indexes = _decodable_indexes(record)
        rejected: dict[tuple[int, int], tuple[str, str]] = {}
        refusal: Exception | None = error
        while refusal is not None:
            alive = [index for index in indexes if (record.offset, index) not in rejected]
            passing, failing = 0, len(alive)
            if failing == 0:
                raise refusal  # nothing of the record is left, so it is not the data
            while failing - passing > 1:
                middle = (passing + failing) // 2
                trial = await self._try_write(record, expected, rejected, middle)
                if trial is None:
                    passing = middle
                else:
                    failing, refusal = middle, trial
            rejected[record.offset, alive[failing - 1]] = (_reason(refusal), str(refusal))
            refusal = await self._try_write(record, expected, rejected, None)
        return rejected

    async def _try_write(self, record: LogRecord, expected: int, rejected: Rejected, events_max: int | None) -> Exception | None:
        try:
            await self._transact_one([record], expected, self._decode([record], rejected, events_max), trial=True)
        except (asyncpg.PostgresError, UnencodableError) as error:
            if not is_data_error(error):
                raise
            return error
        except _TrialOverError:
            pass
        return None

    async def _transact_one(
        self,
        records: list[LogRecord],
        expected: int,
        decoder: BatchDecoder,
        *,
        meanwhile: Callable[[], None] = nothing,
        trial: bool = False,
    ) -> int:
        one = PartitionBatch(records[0].partition, records, expected)
        return (await self._transact([one], decoder, meanwhile=meanwhile, trial=trial))[one.partition]

    async def _transact(
        self, slices: Sequence[PartitionBatch], decoder: BatchDecoder, *, meanwhile: Callable[[], None] = nothing, trial: bool = False
    ) -> dict[int, int]:
        started = time.perf_counter()
        topic, changes = slices[0].records[-1].topic, decoder.changes
        moves = {one.partition: (one.expected, one.records[-1].offset + 1) for one in slices}
        failpoint("before_begin")
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            async with connection.transaction():
                generation = await set_generation(connection)
                before = await positions.lock(
                    connection, self.projection, topic, {partition: expected for partition, (expected, _) in moves.items()}
                )
                failpoint("after_lock")
                if changes.deleted_projects:
                    await deleted_projects.record(connection, changes.deleted_projects)
                    changes.ignore_deleted_projects()
                committed = await self.write(connection, decoder, generation=generation, moves=moves, meanwhile=meanwhile)
                if changes.letters:
                    await dead_letters.insert(connection, changes.letters)
                    failpoint("after_letters")
                accounts = {partition: account.plus(changes.tally(partition).account()) for partition, account in before.items()}
                stored = {one.partition: StoredPosition(moves[one.partition][1], one.records[-1].timestamp_ms) for one in slices}
                await positions.move(connection, self.projection, topic, stored, accounts)
                failpoint("after_move")
                if trial:
                    raise _TrialOverError
            failpoint("after_commit")
        committed()
        self._count(changes)
        for partition, account in accounts.items():
            export_account(self.projection, topic, partition, account)
        PROJECT_SECONDS.labels(self.projection).observe(time.perf_counter() - started)
        return {partition: position for partition, (_, position) in moves.items()}

    def _count(self, changes: BatchChanges) -> None:
        for letter in changes.letters:
            EVENTS_DEAD.labels(self.projection, letter.reason).inc()
        for tally in changes.tallies.values():
            for reason, count in tally.ignored.items():
                EVENTS_IGNORED.labels(self.projection, reason).inc(count)
            if tally.duplicates:
                EVENTS_DUPLICATE.labels(self.projection).inc(tally.duplicates)
            EVENTS_PROJECTED.labels(self.projection).inc(max(0, tally.account().projected))


def export_account(projection: str, topic: str, partition: int, account: positions.Account) -> None:
    """The stored account as metrics: unlike the counters, it does not begin anew with the process."""
    for outcome, count in (("projected", account.projected), ("duplicate", account.duplicate), ("dead", account.dead)):
        EVENTS_ACCOUNTED.labels(projection, topic, str(partition), outcome, "").set(count)
    for reason, count in account.ignored.items():
        EVENTS_ACCOUNTED.labels(projection, topic, str(partition), "ignored", reason).set(count)


def is_data_error(error: Exception) -> bool:
    """Whether the data is at fault: then trying again cannot help, and everything else can."""
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "sqlstate", None) or "")[:2] in DATA_ERROR_CLASSES
    return isinstance(error, UnencodableError)


def _is_of_one_partition(error: Exception) -> bool:
    """Whether one of several partitions is at fault, so that the others can be applied without it."""
    return is_data_error(error) or isinstance(error, (*_NOT_NEW, PositionMovedError, NotTogetherError, TwoPartitionsError))


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, (TimeoutError, asyncio.TimeoutError)) or getattr(error, "sqlstate", None) in TIMEOUT_STATES


def _reason(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return f"postgres_{state}" if state else "unencodable"


def _decodable_indexes(record: LogRecord) -> list[int]:
    if record.value is None:
        return []
    try:
        return decode_batch(replace_invalid_escapes(record.value)[0]).indexes
    except MalformedError:
        return []
