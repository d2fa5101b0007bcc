"""Reads a topic from stored positions up to given offsets, for replays. It has no group, and the caller controls the pace."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ams_contracts.topics import Topic
from ams_kit.bus.clients import Kafka, make_consumer
from ams_kit.bus.cluster import deadline, partition_counts, stop_quietly
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.offsets import end_offsets, log_facts, start_offsets
from ams_kit.bus.records import LogRecord, StoredPosition
from ams_kit.bus.resume import Recreated, decide_resume
from ams_kit.bus.tail import log_record

START_TIMEOUT_SECONDS = 10.0
FETCH_WAIT_MS = 500
EMPTY_READS_MAX = 60  # half a minute

logger = structlog.get_logger(__name__)


class LogRecreatedError(Exception):
    """The stored positions belong to another log: the topic was recreated."""


class TopicReader:
    """Reads one topic, each partition from its own position."""

    def __init__(self, kafka: Kafka, topic: Topic) -> None:
        """Create the reader without connecting.

        Args:
            kafka: How to reach Kafka.
            topic: The topic to read; all its partitions.
        """
        self._kafka = kafka
        self.topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._next: dict[int, int] = {}
        self._empty_reads = 0
        self.lost_records = 0

    async def start(self, stored: Mapping[int, StoredPosition]) -> None:
        """Connect and seek to these positions. A partition without one starts at the log's start.

        Args:
            stored: Positions by partition.

        Raises:
            LogUnavailableError: The broker does not answer, or the topic does not exist.
            LogRecreatedError: A position belongs to another log.
        """
        count = (await partition_counts(self._kafka, [self.topic.name])).get(self.topic.name)
        if count is None:
            raise LogUnavailableError(f"There is no topic {self.topic.name}.")
        self._partitions = [TopicPartition(self.topic.name, number) for number in range(count)]
        self._consumer = make_consumer(self._kafka, "ams-replay")
        async with deadline(START_TIMEOUT_SECONDS, "answer"):
            await self._consumer.start()
        await self.seek(stored)

    async def stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_quietly(consumer.stop(), "replay")

    async def seek(self, stored: Mapping[int, StoredPosition]) -> None:
        """Seek to these positions.

        Args:
            stored: Positions by partition.

        Raises:
            LogUnavailableError: The log does not answer.
            LogRecreatedError: A position belongs to another log.
        """
        consumer = self._connected()
        known = {tp: stored[tp.partition] for tp in self._partitions if tp.partition in stored}
        facts = await log_facts(consumer, self._kafka, known, self._partitions)
        targets: dict[TopicPartition, int] = {}
        for tp in self._partitions:
            decision = decide_resume(known.get(tp), facts[tp])
            if isinstance(decision, Recreated):
                raise LogRecreatedError(f"{tp.topic}, partition {tp.partition}: {decision.detail}")
            targets[tp] = decision.offset
            self.lost_records += decision.lost
        self._seek(consumer, targets)

    def next_offset(self, partition: int) -> int:
        """Return the offset before which every record was returned, or is no longer in the log."""
        return self._next[partition]

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """Return the first offset that each partition still has, and the next offset that it will assign.

        Raises:
            LogUnavailableError: The log does not answer.
        """
        consumer = self._connected()
        starts, ends = await asyncio.gather(start_offsets(consumer, self._partitions), end_offsets(consumer, self._partitions))
        return {tp.partition: (starts[tp], ends[tp]) for tp in self._partitions}

    async def read(self, until: Mapping[int, int], records_max: int) -> dict[int, list[LogRecord]]:
        """Read the next records of the partitions that have not reached these offsets. May return nothing after half a second.

        Args:
            until: Per partition the offset to stop before; it must be within the log.
            records_max: The limit for all partitions together.

        Returns:
            Records by partition, in ascending offsets.

        Raises:
            LogUnavailableError: The log returns nothing for half a minute.
        """
        consumer = self._connected()
        wanted = [tp for tp in self._partitions if self._next[tp.partition] < until.get(tp.partition, 0)]
        if not wanted:
            return {}
        consumer.pause(*(tp for tp in self._partitions if tp not in wanted))
        consumer.resume(*wanted)
        before = dict(self._next)
        try:
            got = await consumer.getmany(*wanted, timeout_ms=FETCH_WAIT_MS, max_records=records_max)
        except OffsetOutOfRangeError as error:
            await self._skip_deleted(consumer, list(error.args[0]))
            return {}
        taken: dict[int, list[LogRecord]] = {}
        for tp in wanted:
            end = until[tp.partition]
            records = got.get(tp, [])
            kept = [log_record(record) for record in records if record.offset < end]
            if kept:
                taken[tp.partition] = kept
            if len(kept) < len(records):
                consumer.seek(tp, records[len(kept)].offset)
                self._next[tp.partition] = end
            elif kept:
                self._next[tp.partition] = kept[-1].offset + 1
            else:  # the client skips transaction markers without returning anything
                self._next[tp.partition] = max(self._next[tp.partition], min(end, await consumer.position(tp)))
        # a fetch at the end of the log keeps the connection for half a second, and requests for offsets wait behind it
        consumer.pause(*(tp for tp in wanted if self._next[tp.partition] >= until[tp.partition]))
        self._empty_reads = 0 if self._next != before else self._empty_reads + 1
        if self._empty_reads > EMPTY_READS_MAX:
            raise LogUnavailableError(f"The log returns no records of {self.topic.name}.")
        return taken

    async def _skip_deleted(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Resume at the log's start after retention deleted unread records, and count the lost ones."""
        for tp, start in (await start_offsets(consumer, partitions)).items():
            lost = max(0, start - self._next[tp.partition])
            self.lost_records += lost
            logger.warning("the log deleted records before they were read", topic=tp.topic, partition=tp.partition, lost=lost)
            self._next[tp.partition] = start
            consumer.seek(tp, start)

    def _seek(self, consumer: AIOKafkaConsumer, targets: Mapping[TopicPartition, int]) -> None:
        consumer.assign(
            self._partitions
        )  # no await from here to the last seek: the client raises an error for a partition without a position
        consumer.pause(*self._partitions)  # until they are read
        for tp, offset in targets.items():
            consumer.seek(tp, offset)
            self._next[tp.partition] = offset
        self._empty_reads = 0

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise LogUnavailableError("The reader is not connected.")
        return self._consumer
