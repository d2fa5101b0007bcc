"""The tail: reads every partition of some topics from a point in time, without a group.

It uses aiokafka directly: a FastStream subscriber reads as soon as it starts, but a tail must have a position in every partition first
(24 of 96 records were missed otherwise).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ams_contracts.topics import Topic
from ams_kit.background import Background, BackgroundTask
from ams_kit.bus.clients import FETCH_WAIT_MS, Kafka, make_consumer
from ams_kit.bus.cluster import deadline, log_errors, partition_counts, stop_quietly
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.offsets import end_offsets, start_offsets
from ams_kit.bus.records import LogRecord
from ams_kit.bus.topics import partition_count_alarm

START_TIMEOUT_SECONDS = 10.0
OBSERVE_SECONDS = 2.0
OBSERVE_DISCONNECTED_SECONDS = 0.5
STALLED_SECONDS = 15.0
RECORDS_MAX = 2_000

logger = structlog.get_logger(__name__)

OnRecords = Callable[[list[LogRecord]], None]
"""Receives records of one partition, in order. Must return fast and not raise."""
OnReset = Callable[[str, int, int], None]
"""Receives topic, partition and the offset at which the tail resumes. Earlier offsets were deleted, or belong to another log."""
OnConnectivity = Callable[[bool], None]
"""Receives whether the tail is connected and has caught up."""


class StalledConsumerError(LogUnavailableError):
    """The end of the log advances but the client reads nothing: it must be replaced."""

    code = "consumer_stalled"


def log_record(record: Any) -> LogRecord:
    """Convert a record of aiokafka."""
    return LogRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp_ms=record.timestamp,
    )


class Tail:
    """Follows the end of topics. Delivers every record once and in order per partition, across reconnections, except after ``on_reset``."""

    def __init__(self, kafka: Kafka, topics: Sequence[Topic], *, back_seconds: float = 0) -> None:
        """Create the tail without connecting.

        Args:
            kafka: How to reach Kafka.
            topics: The topics to read; all partitions of each.
            back_seconds: How far before now to start.
        """
        self._kafka = kafka
        self._topics = {topic.name: topic for topic in topics}
        self._back_seconds = back_seconds
        self._on_records: OnRecords | None = None
        self._on_reset: OnReset | None = None
        self._on_connectivity: OnConnectivity | None = None
        self._next: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._ends_known = False
        self._counts: dict[str, int] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._is_caught_up = False
        self._ready = asyncio.Event()
        self._task: BackgroundTask | None = None

    async def start(
        self,
        on_records: OnRecords,
        *,
        background: Background | None = None,
        on_reset: OnReset | None = None,
        on_connectivity: OnConnectivity | None = None,
        name: str = "tail",
    ) -> None:
        """Start to read in the background. Returns immediately, whether or not the broker answers.

        Args:
            on_records: Called with each partition's records.
            background: Supervises the reading; by default the tail creates its own supervisor.
            on_reset: Called before the first records of a partition, and after its log was truncated or recreated.
            on_connectivity: Called with False when the broker does not answer, with True when the tail has caught up (again).
            name: Of the background task.
        """
        self._on_records, self._on_reset, self._on_connectivity = on_records, on_reset, on_connectivity
        self._task = (background or Background()).spawn(
            name, self._session, on_failure=lambda _: self._set_connectivity(is_caught_up=False)
        )

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            await self._task.stop()

    async def ready(self) -> None:
        """Wait until the tail has a position in every partition and has read up to the end that it found then."""
        await self._ready.wait()

    async def check(self) -> None:
        """Check readiness.

        Raises:
            LogUnavailableError: The tail has not caught up for the first time.
        """
        if not self._ready.is_set():
            raise LogUnavailableError("The tail has not caught up yet.")

    @property
    def is_ready(self) -> bool:
        """Whether the tail has caught up at least once."""
        return self._ready.is_set()

    @property
    def is_caught_up(self) -> bool:
        """Whether the tail has read up to the end of the log, and the broker answers."""
        return self._is_caught_up

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic: as the broker reported it, or as declared before the first connection."""
        return self._counts.get(topic, self._topics[topic].partitions)

    def next_offset(self, topic: str, partition: int) -> int:
        """Return the offset before which ``on_records`` has received every record."""
        return self._next.get(TopicPartition(topic, partition), 0)

    async def end_offset(self, topic: str, partition: int) -> int:
        """Read the current end of a partition from the broker.

        Raises:
            LogUnavailableError: The broker does not answer.
        """
        if self._consumer is None:
            raise LogUnavailableError("The tail is not connected.")
        tp = TopicPartition(topic, partition)
        return (await end_offsets(self._consumer, [tp]))[tp]

    async def _session(self) -> None:
        """Read over one connection. Raises when the connection is lost."""
        with log_errors():
            await self._read_session()

    async def _read_session(self) -> None:
        self._counts = await partition_counts(self._kafka, list(self._topics))
        if missing := sorted(self._topics.keys() - self._counts.keys()):
            raise LogUnavailableError(f"There is no topic {missing[0]}.")
        for name, count in self._counts.items():
            if count != self._topics[name].partitions:
                logger.critical(
                    "alarm of the log",
                    kind="partition_count_changed",
                    topic=name,
                    detail=partition_count_alarm(self._topics[name], count).detail,
                )
        consumer = make_consumer(self._kafka, "ams-tail")
        try:
            async with deadline(START_TIMEOUT_SECONDS, "answer"):
                await consumer.start()
            partitions = [TopicPartition(name, number) for name, count in self._counts.items() for number in range(count)]
            await self._position(consumer, partitions)
            self._consumer = consumer
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(consumer))
                group.create_task(self._observe_loop(consumer, partitions))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            self._consumer = None
            await asyncio.shield(stop_quietly(consumer.stop(), "tail"))

    async def _position(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        starts = await start_offsets(consumer, partitions)
        self._ends = await end_offsets(consumer, partitions)
        self._ends_known = True
        since_ms = int((time.time() - self._back_seconds) * 1000)
        async with deadline(START_TIMEOUT_SECONDS, "find offsets by time"):
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms)) if self._back_seconds else {}
        consumer.assign(partitions)  # no await from here to the last seek: the client raises an error for a partition without a position
        for tp in partitions:
            wanted = self._next.get(tp)
            if wanted is None or not starts[tp] <= wanted <= self._ends[tp]:
                at = found.get(tp)
                wanted = at.offset if at is not None else self._ends[tp]
                self._reset(tp, wanted)
            consumer.seek(tp, wanted)

    def _reset(self, tp: TopicPartition, offset: int) -> None:
        self._next[tp] = offset
        if self._on_reset is not None:
            self._on_reset(tp.topic, tp.partition, offset)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            if not self._is_caught_up or not self._ready.is_set():
                await self._check_caught_up(consumer)
            try:
                got = await consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=RECORDS_MAX)
            except OffsetOutOfRangeError as error:
                starts = await start_offsets(consumer, list(error.args[0]))
                for tp, start in starts.items():
                    logger.critical(
                        "alarm of the log",
                        kind="topic_recreated",
                        topic=tp.topic,
                        partition=tp.partition,
                        detail="the log no longer has the tail's offset; the tail resumes at the log's start",
                    )
                    consumer.seek(tp, start)
                    self._reset(tp, start)
                continue
            for tp, records in got.items():
                if records and self._on_records is not None:
                    self._on_records([log_record(record) for record in records])
                    self._next[tp] = records[-1].offset + 1

    async def _check_caught_up(self, consumer: AIOKafkaConsumer) -> None:
        """Report that the tail has caught up when every partition has reached the end of the last successful observation."""
        if not self._ends_known:
            return
        for tp, end in self._ends.items():
            if self._next[tp] < end and await consumer.position(tp) < end:
                return
        self._set_connectivity(is_caught_up=True)
        self._ready.set()

    async def _observe_loop(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        behind_since: dict[TopicPartition, tuple[int, float]] = {}
        while True:
            await asyncio.sleep(OBSERVE_SECONDS if self._ends_known else OBSERVE_DISCONNECTED_SECONDS)
            try:
                ends = await end_offsets(consumer, partitions)
            except LogUnavailableError:
                self._set_connectivity(is_caught_up=False)
                behind_since.clear()
                continue
            self._ends, self._ends_known = ends, True
            counts = {name: len(consumer.partitions_for_topic(name) or ()) for name in self._topics}
            if any(count > self._counts[name] for name, count in counts.items()):
                raise LogUnavailableError("A topic has more partitions than before.")
            now = time.monotonic()
            for tp, end in ends.items():
                position = max(self._next[tp], await consumer.position(tp))
                if position >= end:
                    behind_since.pop(tp, None)
                elif behind_since.get(tp, (-1, 0.0))[0] != position:
                    behind_since[tp] = (position, now)
                elif now - behind_since[tp][1] > STALLED_SECONDS:
                    raise StalledConsumerError(f"{tp.topic}-{tp.partition}")

    def _set_connectivity(self, *, is_caught_up: bool) -> None:
        self._ends_known = is_caught_up
        if is_caught_up != self._is_caught_up:
            self._is_caught_up = is_caught_up
            if self._on_connectivity is not None:
                self._on_connectivity(is_caught_up)
