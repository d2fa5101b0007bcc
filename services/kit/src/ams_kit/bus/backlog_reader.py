"""Old stretches of a topic for those who come back late: one shared reader a partition, so that many cost what one costs."""

import asyncio
import time
from collections import defaultdict

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from msgspec import Struct

from ams_contracts.topics import Topic
from ams_kit.bus.cluster import deadline, stop_quietly
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.offsets import start_offsets
from ams_kit.bus.records import LogRecord
from ams_kit.bus.tail import log_record, raw_consumer

IDLE_SECONDS = 5.0
POLL_MS = 500
NO_DATA_SECONDS_MAX = 10.0
CHUNK_BYTES_MAX = 256 * 1024
RECORDS_PER_POLL = 2_000

logger = structlog.get_logger(__name__)


class BacklogDeletedError(Exception):
    """The log has deleted what was asked for."""


class Chunk(Struct, frozen=True):
    """Records of one key, in order, and the offset up to which (exclusive) there is no other one."""

    records: list[LogRecord]
    next_offset: int


class _Request:
    """One who waits: the records of ``key`` from ``after`` on, up to ``until`` or until they are enough."""

    def __init__(self, key: bytes, after: int, until: int) -> None:
        self.key = key
        self.next_offset = after
        self.until = until
        self.records: list[LogRecord] = []
        self.size = 0
        self.answer: asyncio.Future[Chunk] = asyncio.get_running_loop().create_future()

    def offer(self, record: LogRecord) -> None:
        """A record that the reader came to. Those before our place, or of others, only move the place."""
        if self.answer.done() or record.offset < self.next_offset:
            return
        if record.offset < self.until and record.key == self.key:
            self.records.append(record)
            self.size += len(record.value or b"")
        self.advance_to(record.offset + 1)

    def advance_to(self, offset: int) -> None:
        """The reader has seen everything before this offset."""
        self.next_offset = max(self.next_offset, min(offset, self.until))
        if not self.answer.done() and (self.next_offset >= self.until or self.size >= CHUNK_BYTES_MAX):
            self.answer.set_result(Chunk(self.records, self.next_offset))


class BacklogReader:
    """Reads old stretches of one topic on demand. A partition's reader lives while somebody waits, and 5 s longer."""

    def __init__(self, bootstrap: str, topic: Topic) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._waiting: defaultdict[int, list[_Request]] = defaultdict(list)
        self._asked: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._readers: dict[int, asyncio.Task[None]] = {}

    async def read(self, partition: int, key: bytes, after: int, until: int) -> Chunk:
        """The next records of a key.

        Args:
            partition: Of the key.
            key: Whose records.
            after: The offset to begin at.
            until: The offset to end before; it must be within the log.

        Returns:
            At most some 256 KiB of records; ask again from ``next_offset`` until that is ``until``.

        Raises:
            BacklogDeletedError: The log starts beyond ``after``.
            LogUnavailableError: The log does not answer.
        """
        request = _Request(key, after, until)
        if after >= until:
            return Chunk([], after)
        self._waiting[partition].append(request)
        self._asked[partition].set()
        if partition not in self._readers:
            self._readers[partition] = asyncio.create_task(self._serve(partition), name=f"ams-catch-up-{partition}")
        try:
            return await request.answer
        finally:
            if request in self._waiting[partition]:
                self._waiting[partition].remove(request)

    async def stop(self) -> None:
        """Stop all readers."""
        readers = list(self._readers.values())
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _serve(self, partition: int) -> None:
        tp = TopicPartition(self._topic.name, partition)
        consumer = raw_consumer(self._bootstrap, "ams-catch-up")
        try:
            async with deadline(NO_DATA_SECONDS_MAX, "answer"):
                await consumer.start()
            while await self._wait_for_request(partition):
                await self._read_pass(consumer, tp)
        except (LogUnavailableError, KafkaError, OSError, TimeoutError) as error:
            logger.warning("catching up failed", partition=partition, error_type=type(error).__name__)
            self._fail_pending(partition, LogUnavailableError("The log does not answer."))
        finally:
            self._readers.pop(partition, None)
            self._fail_pending(partition, LogUnavailableError("Catching up was stopped."))
            await asyncio.shield(stop_quietly(consumer.stop(), "catch-up"))

    async def _wait_for_request(self, partition: int) -> bool:
        """Wait for a request. False when none came for a while."""
        asked = self._asked[partition]
        asked.clear()
        if self._pending(partition):
            return True
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await asked.wait()
        except TimeoutError:
            return False
        return True

    async def _read_pass(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """Read once from the lowest place that is wanted; whoever asks for a later place meanwhile rides along."""
        start = (await start_offsets(consumer, [tp]))[tp]
        for request in self._pending(tp.partition):
            if request.next_offset < start:
                request.answer.set_exception(BacklogDeletedError())
        requests = self._pending(tp.partition)
        if not requests:
            return
        place = min(request.next_offset for request in requests)
        if tp not in consumer.assignment():
            consumer.assign([tp])  # no await before the seek: a partition without a position would be an error of the client
        consumer.seek(tp, place)
        no_data_since = time.monotonic()
        while requests:
            try:
                reached = await _read_batch(consumer, tp, requests)
            except OffsetOutOfRangeError:
                return  # the log was cut while we read: the next pass tells who is too far back
            if reached > place:
                place, no_data_since = reached, time.monotonic()
            elif time.monotonic() - no_data_since > NO_DATA_SECONDS_MAX:
                raise LogUnavailableError("The log gives nothing.")
            requests = [request for request in self._pending(tp.partition) if request.next_offset >= place]

    def _pending(self, partition: int) -> list[_Request]:
        return [request for request in self._waiting[partition] if not request.answer.done()]

    def _fail_pending(self, partition: int, error: Exception) -> None:
        for request in self._pending(partition):
            request.answer.set_exception(error)


async def _read_batch(consumer: AIOKafkaConsumer, tp: TopicPartition, requests: list[_Request]) -> int:
    """Give the next records to all requests. Returns the offset that the reader came to."""
    got = (await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL)).get(tp, [])
    for record in map(log_record, got):
        for request in requests:
            request.offer(record)
    place = await consumer.position(tp)
    for request in requests:
        request.advance_to(place)
    return place
