"""Reads older records of a topic for clients that resume. One reader per partition serves all requests with one scan."""

import asyncio
import heapq
import itertools
import time
from collections import defaultdict

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from msgspec import Struct

from ams_contracts.topics import Topic
from ams_kit.background import Background, BackgroundTask
from ams_kit.bus.clients import Kafka, make_consumer
from ams_kit.bus.cluster import deadline, log_errors, stop_quietly
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.offsets import start_offsets
from ams_kit.bus.records import LogRecord
from ams_kit.bus.tail import log_record

IDLE_SECONDS = 5.0
POLL_MS = 500
NO_DATA_SECONDS_MAX = 10.0
CHUNK_BYTES_MAX = 256 * 1024
RECORDS_PER_POLL = 2_000
REQUESTS_MAX = 20_000
"""Requests that may wait at the same time, of all partitions together."""
BUFFERED_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of records that one scan may buffer for unanswered requests. Beyond it, requests receive shorter chunks."""

_tie = itertools.count()


class BacklogDeletedError(Exception):
    """The log has deleted the requested records."""


class Chunk(Struct, frozen=True):
    """Records of one key, in order, and the offset before which the log has no further record of the key."""

    records: list[LogRecord]
    next_offset: int


class Request:
    """A request for the records of ``key`` from ``after`` to ``until``, or until they fill a chunk."""

    def __init__(self, key: bytes, after: int, until: int) -> None:
        self.key = key
        self.next_offset = after
        self.until = until
        self.answer: asyncio.Future[Chunk] = asyncio.get_running_loop().create_future()
        self._records: list[LogRecord] = []
        self._size = 0

    def offer(self, record: LogRecord) -> int:
        """Add a record of the key, unless it is outside the requested offsets.

        Returns:
            The number of bytes added to the chunk.
        """
        if self.answer.done() or not self.next_offset <= record.offset < self.until:
            return 0
        size = len(record.value or b"")
        self._records.append(record)
        self._size += size
        self.next_offset = record.offset + 1
        if self._size >= CHUNK_BYTES_MAX:
            self.finish(self.next_offset)
        return size

    def flush(self) -> None:
        """Answer with the records found so far, if there are any."""
        if self._records:
            self.finish(self.next_offset)

    def finish(self, next_offset: int) -> None:
        """Answer with the records found before this offset."""
        if not self.answer.done():
            self.answer.set_result(Chunk(self._records, min(next_offset, self.until)))

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Pass:
    """One scan of a partition in ascending offsets, shared by all requests for offsets ahead of it.

    Requests are indexed by key and by end, so the cost of a record depends only on the requests for its key.
    """

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[Request, None]] = {}
        self._by_end: list[tuple[int, int, Request]] = []
        self._buffered = 0

    def join(self, request: Request) -> None:
        """Add a request to the scan."""
        self._by_key.setdefault(request.key, {})[request] = None
        heapq.heappush(self._by_end, (request.until, next(_tie), request))
        request.answer.add_done_callback(lambda _: self._leave(request))

    def offer(self, record: LogRecord) -> int:
        """Offer a record to the requests for its key.

        Returns:
            The number of those requests.
        """
        requests = self._by_key.get(record.key or b"", {})
        self._buffered += sum(request.offer(record) for request in requests)
        if self._buffered >= BUFFERED_BYTES_MAX:
            self._buffered = 0
            for waiting in self._by_key.values():
                for request in waiting:
                    request.flush()
        return len(requests)

    def advance_to(self, offset: int) -> None:
        """Answer the requests that end at or before this offset, which the scan has reached."""
        while self._by_end and (self._by_end[0][0] <= offset or self._by_end[0][2].answer.done()):
            heapq.heappop(self._by_end)[2].finish(offset)

    @property
    def is_wanted(self) -> bool:
        """Whether a request is still unanswered."""
        return any(not request.answer.done() for requests in self._by_key.values() for request in requests)

    def give_back(self, waiting: dict[Request, None]) -> None:
        """Return the unanswered requests to the waiting ones."""
        for requests in self._by_key.values():
            waiting.update({request: None for request in requests if not request.answer.done()})

    def _leave(self, request: Request) -> None:
        requests = self._by_key.get(request.key)
        if requests is not None:
            requests.pop(request, None)
            if not requests:
                del self._by_key[request.key]


class BacklogReader:
    """Reads older records of one topic on demand. A partition's reader runs while requests wait, and 5 s longer."""

    def __init__(self, kafka: Kafka, topic: Topic, background: Background | None = None) -> None:
        """Create the reader without connecting.

        Args:
            kafka: How to reach Kafka.
            topic: The topic to read.
            background: Supervises the readers; by default this object creates its own supervisor.
        """
        self._kafka = kafka
        self._topic = topic
        self._background = background or Background()
        self._waiting: defaultdict[int, dict[Request, None]] = defaultdict(dict)
        self._requested: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._readers: dict[int, BackgroundTask] = {}
        self._open = 0

    async def read(self, partition: int, key: bytes, after: int, until: int) -> Chunk:
        """Read the next records of a key.

        Args:
            partition: The partition of the key.
            key: The key of the records.
            after: The first offset.
            until: The offset to stop before; it must be within the log.

        Returns:
            About 256 KiB of records at most; call again from ``next_offset`` until that is ``until``.

        Raises:
            BacklogDeletedError: The log starts after ``after``.
            LogUnavailableError: The log does not answer, or ``REQUESTS_MAX`` requests wait already.
        """
        if after >= until:
            return Chunk([], after)
        if self._open >= REQUESTS_MAX:
            raise LogUnavailableError("Too many requests for older records wait already.")
        request = Request(key, after, until)
        self._open += 1
        self._waiting[partition][request] = None
        self._requested[partition].set()
        if partition not in self._readers:
            self._readers[partition] = self._background.spawn(
                "backlog-reader", lambda: self._serve(partition), on_failure=lambda _: self._fail(partition), may_end=True
            )
        try:
            return await request.answer
        finally:
            self._open -= 1
            self._waiting[partition].pop(request, None)

    async def stop(self) -> None:
        """Stop all readers and fail the waiting requests."""
        for partition, reader in list(self._readers.items()):
            await reader.stop()
            self._fail(partition)
        self._readers.clear()

    async def _serve(self, partition: int) -> None:
        """Serve the requests of one partition until none has come for ``IDLE_SECONDS``."""
        tp = TopicPartition(self._topic.name, partition)
        consumer = make_consumer(self._kafka, "ams-backlog")
        try:
            with log_errors():
                async with deadline(NO_DATA_SECONDS_MAX, "answer"):
                    await consumer.start()
                while await self._wait_for_request(partition):
                    await self._read_pass(consumer, tp)
            del self._readers[partition]  # no await since the last check: a request that comes now starts a new reader
        finally:
            await asyncio.shield(stop_quietly(consumer.stop(), "backlog"))

    async def _wait_for_request(self, partition: int) -> bool:
        """Wait for a request. Returns False when none came within ``IDLE_SECONDS``."""
        requested = self._requested[partition]
        requested.clear()
        if self._waiting[partition]:
            return True
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await requested.wait()
        except TimeoutError:
            return bool(self._waiting[partition])
        return True

    async def _read_pass(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """Scan once from the lowest requested offset. Requests that arrive during the scan join it when their offsets are ahead."""
        waiting = self._waiting[tp.partition]
        start = (await start_offsets(consumer, [tp]))[tp]
        for request in list(waiting):
            if request.next_offset < start:
                request.fail(BacklogDeletedError())
                waiting.pop(request, None)
        if not waiting:
            return
        scan, place = Pass(), min(request.next_offset for request in waiting)
        if tp not in consumer.assignment():
            consumer.assign([tp])  # no await before the seek: the client raises an error for a partition without a position
        consumer.seek(tp, place)
        no_data_since = time.monotonic()
        try:
            while self._let_join(scan, waiting, place) or scan.is_wanted:
                reached = await _scan_batch(consumer, tp, scan)
                if reached > place:
                    place, no_data_since = reached, time.monotonic()
                else:
                    _check_stalled(no_data_since)
        except OffsetOutOfRangeError:
            scan.give_back(waiting)  # the log was truncated during the scan: the next pass fails the requests whose records were deleted
        except BaseException:
            scan.give_back(waiting)
            raise

    @staticmethod
    def _let_join(scan: Pass, waiting: dict[Request, None], place: int) -> bool:
        """Move the waiting requests for offsets ahead into the scan. Returns whether there were any."""
        ahead = [request for request in waiting if request.next_offset >= place]
        for request in ahead:
            del waiting[request]
            scan.join(request)
        return bool(ahead)

    def _fail(self, partition: int) -> None:
        waiting = self._waiting.pop(partition, {})
        for request in waiting:
            request.fail(LogUnavailableError("The log does not answer."))


def _check_stalled(no_data_since: float) -> None:
    if time.monotonic() - no_data_since > NO_DATA_SECONDS_MAX:
        raise LogUnavailableError("The log returns no records.")


async def _scan_batch(consumer: AIOKafkaConsumer, tp: TopicPartition, scan: Pass) -> int:
    """Offer the next records to the requests. Returns the offset that the scan has reached."""
    fetched = (await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL)).get(tp, [])
    for record in map(log_record, fetched):
        scan.offer(record)
    place = await consumer.position(tp)
    scan.advance_to(place)
    return place
