"""The producer: publishes records and returns their positions, each call with a deadline.

It uses aiokafka directly: FastStream converts headers to text and adds its own, and its acknowledgement has no timeout per call.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.structs import RecordMetadata

from ams_contracts.positions import Position
from ams_kit.bus.clients import Kafka, make_producer
from ams_kit.bus.cluster import deadline, stop_quietly
from ams_kit.bus.errors import LogUnavailableError, RecordTooLargeError
from ams_kit.bus.records import Record
from ams_kit.telemetry.metrics import LOG_PUBLISH_FAILED, LOG_PUBLISHED
from ams_kit.telemetry.tracing import publishing

PUBLISH_TIMEOUT_SECONDS = 4.0
OPEN_TIMEOUT_SECONDS = 3.0
CLOSE_TIMEOUT_SECONDS = 3.0
LINGER_MS = 5
BATCH_BYTES_MAX = 128 * 1024  # more per partition waits, so that the data in flight stays bounded while the broker is unavailable
REQUEST_BYTES_MAX = 4 * 1024 * 1024
RECORD_OVERHEAD_BYTES = 512

logger = structlog.get_logger(__name__)

LockKey = tuple[str, bytes]


class Log:
    """Publishes records. One per process. Connects on first use, and reconnects after a fatal error of the client."""

    def __init__(self, kafka: Kafka, client_id: str) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._locks: defaultdict[LockKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[LockKey, int] = defaultdict(int)
        self._closed = False

    @classmethod
    async def open(cls, kafka: Kafka, client_id: str) -> Self:
        """Connect if the broker answers; otherwise the first ``publish`` tries again.

        Args:
            kafka: How to reach Kafka.
            client_id: Shown in the broker's log.
        """
        log = cls(kafka, client_id)
        try:
            async with deadline(OPEN_TIMEOUT_SECONDS, "answer"):
                await log._connected()
        except LogUnavailableError:
            logger.warning("the log is unavailable; the first publish connects")
        return log

    async def close(self) -> None:
        """Flush pending records for at most 3 s, and disconnect."""
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_quietly(producer.stop(), "producer", timeout_seconds=CLOSE_TIMEOUT_SECONDS)

    async def check(self) -> None:
        """Check readiness.

        Raises:
            LogUnavailableError: The broker does not answer within two seconds.
        """
        async with deadline(2, "answer"):
            await (await self._connected()).client.fetch_all_metadata()

    async def publish(self, records: Sequence[Record], *, timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS) -> list[Position]:
        """Make records durable, in order per key.

        Only one call per key at a time hands its records to the client; other calls with the same key wait (within their own deadline).
        Without this, records of one key overtake each other when a partition's batch is full (5,588 inversions measured). From there the
        client preserves the order of a partition: it has one batch in flight and resends it in place. The lock is therefore released
        before the acknowledgement (waiting for it limited one key to 50 publishes a second on a busy machine).

        Args:
            records: Any number, of any topics. Records of one key keep the given order, across calls too.
            timeout_seconds: After this long the call raises ``LogUnavailableError``.

        Returns:
            The position *after* each record, in the order given. Returning means durable on every in-sync replica.

        Raises:
            LogUnavailableError: Nothing is known to be durable: some or all of the records may be in the log, or reach it later, each
                once. The caller may retry with the same event ids.
            RecordTooLargeError: A record exceeds its topic's size limit; nothing was published.
        """
        if not records:
            return []
        for record in records:
            _check_size(record)
        try:
            with publishing(len(records)) as headers:
                async with deadline(timeout_seconds, "acknowledge"):
                    metadata = await self._send(records, headers)
        except LogUnavailableError:
            LOG_PUBLISH_FAILED.inc(len(records))
            raise
        LOG_PUBLISHED.inc(len(records))
        return [Position(record.topic.version, sent.partition, sent.offset + 1) for record, sent in zip(records, metadata, strict=True)]

    async def _send(self, records: Sequence[Record], headers: list[tuple[str, bytes]]) -> list[RecordMetadata]:
        producer = await self._connected()
        try:
            futures: list[asyncio.Future[RecordMetadata]] = []
            async with self._hold_keys(records):
                for record in records:
                    future = await producer.send(record.topic.name, value=record.value, key=record.key, headers=[*record.headers, *headers])
                    future.add_done_callback(_consume_exception)
                    futures.append(future)
            # wait() does not cancel aiokafka's futures at the deadline: the batch that they belong to may still be delivered
            await asyncio.wait(futures)
            return [future.result() for future in futures]
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise RecordTooLargeError("The broker does not accept a record of this size.") from error
        except KafkaError as error:
            if not error.retriable:
                await self._replace(producer, error)
            raise

    @asynccontextmanager
    async def _hold_keys(self, records: Iterable[Record]) -> AsyncGenerator[None]:
        keys = sorted({(record.topic.name, record.key) for record in records})  # the same order in every call prevents deadlocks
        for key in keys:
            self._waiting[key] += 1
        try:
            async with AsyncExitStack() as stack:
                for key in keys:
                    await stack.enter_async_context(self._locks[key])
                yield
        finally:
            for key in keys:
                self._waiting[key] -= 1
                if not self._waiting[key]:
                    del self._waiting[key]
                    self._locks.pop(key, None)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._connecting:
            if self._closed:
                raise LogUnavailableError("This process is stopping.")
            if self._producer is None:
                producer = make_producer(
                    self._kafka,
                    self._client_id,
                    linger_ms=LINGER_MS,
                    max_batch_size=BATCH_BYTES_MAX,
                    max_request_size=REQUEST_BYTES_MAX,
                    compression_type="zstd",  # aiokafka compresses lz4 at level 9: 136 us a span of 1.4 KB, zstd 13 us and smaller (ADR 003)
                    request_timeout_ms=int(PUBLISH_TIMEOUT_SECONDS * 1000),
                    metadata_max_age_ms=30_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await asyncio.shield(stop_quietly(producer.stop(), "producer"))
                    raise
                self._producer = producer
        return self._producer

    async def _replace(self, producer: AIOKafkaProducer, error: KafkaError) -> None:
        """Discard a client after a fatal error (broken sequence, fenced), because it refuses all further records."""
        if self._producer is producer:
            logger.error("producer replaced", error_type=type(error).__name__)
            self._producer = None
            await stop_quietly(producer.stop(), "producer")


def _check_size(record: Record) -> None:
    size = (
        len(record.key) + len(record.value or b"") + sum(len(name) + len(value) for name, value in record.headers) + RECORD_OVERHEAD_BYTES
    )
    if size > record.topic.record_bytes_max:
        raise RecordTooLargeError(f"The record has {size} bytes; {record.topic.name} accepts at most {record.topic.record_bytes_max}.")


def _consume_exception(future: asyncio.Future[RecordMetadata]) -> None:
    """Retrieve the error, because asyncio logs one that nobody retrieves, and the caller may have reached its deadline."""
    if not future.cancelled():
        future.exception()
