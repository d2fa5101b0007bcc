"""From records to transactions: decoding ahead, halving what Postgres refuses, and setting single events and slow batches apart.

Which transaction that is, the subclass says: ``transaction.TransactionalProjection`` writes to Postgres, a test writes to a dict.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing

import asyncpg

from ams_contracts.codec import MalformedError, decode_batch
from ams_contracts.ids import INT64_MAX
from ams_kit.bus import LogRecord, PartitionBatch, PositionMovedError
from ams_kit.telemetry.metrics import APPLIED_APART
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected, TwoPartitionsError
from ams_trace_ingest.projector.normalise import replace_invalid_escapes
from ams_trace_ingest.projector.pipeline import decode_ahead
from ams_trace_ingest.store.connections import UnencodableError

DATA_ERROR_CLASSES = frozenset({"21", "22", "23", "54"})
TIMEOUT_STATES = frozenset({"57014", "25P04", "25P03"})  # cancelled, transaction timeout, idle in transaction
UPSERT_BATCHES = 16  # after a repeated event: a producer that repeats itself does so for a while
CHUNK_BYTES_MAX = (
    1536 * 1024
)  # some 2,000 events: large enough for COPY, small enough to decode the next one while Postgres writes this one
DECODE_BYTES = (
    128 * 1024
)  # decoded at once, some 4 ms: a transaction that is ready to continue waits no longer. Each turn of the event loop costs 20 us

# a row that was taken for new exists, or its partition does not exist any more
_NOT_NEW = (asyncpg.UniqueViolationError, asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)


def split(records: list[LogRecord], records_max: int) -> list[list[LogRecord]]:
    """Split records, in order, into chunks of at most ``records_max``, and of not much more than ``CHUNK_BYTES_MAX``."""
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
    """Group the batches of several partitions into transactions of not much more than ``CHUNK_BYTES_MAX``.

    A batch that fills a transaction by itself is left out.
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
    """The batch has to be written partition by partition, so that duplicates are counted for the right one."""


class BatchApplier:
    """The control flow of every projection. An ``ams_kit.bus.Projection`` except for ``stored``."""

    projection: str
    """Its name in ``positions``, dead letters and metrics."""
    slow_seconds = 6.0
    """A batch that fails after so long was too large; Postgres ends a transaction after 8 s (``ams_kit.db``)."""

    def __init__(self) -> None:
        self._records_max: dict[int, int] = {}  # by partition, after a timeout
        self._single_polls_left = 0  # polls whose partitions are not applied together
        self._upsert_batches_left: dict[int, int] = {}  # partition -> batches in which no row is assumed to be new
        self.assume_new = True  # rows that seem new are written as new

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> BatchDecoder:
        """A decoder of this projection's topic."""
        raise NotImplementedError

    async def transact(self, batches: Sequence[PartitionBatch], decoder: BatchDecoder, *, trial: bool = False) -> dict[int, int]:
        """Write what was decoded, and advance the positions, in one transaction.

        Args:
            batches: What was decoded, one of each partition.
            decoder: Has decoded their records. With ``direct``, a row that exists already makes the transaction fail.
            trial: Roll back at the end, and raise nothing.

        Returns:
            The new position of each partition.

        Raises:
            PositionMovedError: A stored position is not the expected one.
            PostgresError: Postgres refused the data, or cannot be reached.
            UnencodableError: The driver refused the data.
            NotTogetherError: Several partitions have to be written one by one.
            TwoPartitionsError: A task changed in another partition since it was cached. The next attempt reads it again.
        """
        raise NotImplementedError

    def on_not_new(self) -> None:
        """A row that was taken for new existed, or its table did not: what was cached about tables is not valid any more."""

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:  # noqa: ARG002  the port's signature; records know their topic
        position = expected
        chunks = split([record for record in records if record.offset >= expected], self._records_max.get(partition, INT64_MAX))
        async with aclosing(decode_ahead(chunks, self._decode)) as decoded:
            async for chunk, decoder in decoded:
                began = time.monotonic()
                try:
                    position = await self._write(chunk, position, decoder)
                except Exception as error:
                    # a batch that always times out would be retried for ever. Postgres ends the session of a transaction that takes too
                    # long: the client sees a timeout, a closed connection or an error of the driver
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
        excluded = self._upsert_batches_left.keys() | self._records_max.keys()
        packs = pack_slices(one for one in slices if one.partition not in excluded)
        began = time.monotonic()
        try:
            async with aclosing(decode_ahead(packs, self._decode_pack)) as decoded:
                async for pack, decoder in decoded:
                    decoder.direct = True
                    began = time.monotonic()
                    applied.update(await self.transact(pack, decoder))
        except Exception as error:
            slow = _is_timeout(error) or time.monotonic() - began > self.slow_seconds
            if not slow and not _is_of_one_partition(error):
                raise
            if slow:
                self._single_polls_left = UPSERT_BATCHES
            APPLIED_APART.labels(self.projection, type(error).__name__).inc()
        return applied

    async def _decode(self, records: Sequence[LogRecord], rejected: Rejected | None = None, events_max: int | None = None) -> BatchDecoder:
        """Decode records, a little at a time, so that a transaction in progress is served first."""
        decoder = self.decoder(rejected=rejected or {}, events_max=events_max)
        room = DECODE_BYTES
        for record in records:
            if room <= 0:
                await asyncio.sleep(0)
                room = DECODE_BYTES
            decoder.add(record)
            room -= len(record.value or b"")
        return decoder

    async def _decode_pack(self, pack: list[PartitionBatch]) -> BatchDecoder:
        return await self._decode([record for one in pack for record in one.records if record.offset >= one.expected])

    async def _write(self, records: list[LogRecord], expected: int, decoder: BatchDecoder | None = None) -> int:
        """Write records of one partition; in halves when Postgres refuses them, and without the events that it refuses alone."""
        partition = records[0].partition
        decoder = decoder or await self._decode(records)
        decoder.direct = self.assume_new and partition not in self._upsert_batches_left
        try:
            position = await self._transact_one(records, expected, decoder)
        except _NOT_NEW:
            if not decoder.direct:
                raise
            self._upsert_batches_left[partition] = UPSERT_BATCHES
            self.on_not_new()
            return await self._write(records, expected)
        except TwoPartitionsError:  # the cached task was not current, and is evicted
            return await self._write(records, expected)
        except (asyncpg.PostgresError, UnencodableError) as error:
            if not is_data_error(error):
                raise
            if len(records) == 1:
                rejected = await self._find_rejected(records[0], expected, error)
                return await self._transact_one(records, expected, await self._decode(records, rejected))
        else:
            self._decay_upserts(partition)
            return position
        middle = len(records) // 2
        position = await self._write(records[:middle], expected)
        return await self._write(records[middle:], position)

    def _decay_upserts(self, partition: int) -> None:
        left = self._upsert_batches_left.pop(partition, 0) - 1
        if left > 0:
            self._upsert_batches_left[partition] = left

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
            await self._transact_one([record], expected, await self._decode([record], rejected, events_max), trial=True)
        except (asyncpg.PostgresError, UnencodableError) as error:
            if not is_data_error(error):
                raise
            return error
        return None

    async def _transact_one(self, records: list[LogRecord], expected: int, decoder: BatchDecoder, *, trial: bool = False) -> int:
        one = PartitionBatch(records[0].partition, records, expected)
        return (await self.transact([one], decoder, trial=trial))[one.partition]


def is_data_error(error: Exception) -> bool:
    """Whether the data is at fault, so that a retry cannot succeed."""
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
