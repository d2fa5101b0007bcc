"""An in-memory log and a consumer with the methods of aiokafka's consumer that ``Driver`` uses, to test its rules without a broker.

``services/kit/tests/bus/test_memory_log.py`` runs the same checks on this consumer and on a real broker.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

from ams_kit.bus.driver import Driver

Record = ConsumerRecord[bytes, bytes]


class OffsetAndTimestamp(NamedTuple):
    """An entry in the result of ``offsets_for_times``."""

    offset: int
    timestamp: int


class MemoryLog:
    """Records by partition. As on a broker, deleted offsets are not used again."""

    def __init__(self, topic: str, partitions: int) -> None:
        self.topic = topic
        self.records: dict[TopicPartition, list[Record]] = {TopicPartition(topic, number): [] for number in range(partitions)}
        self.starts: dict[TopicPartition, int] = dict.fromkeys(self.records, 0)
        self.unavailable: Exception | None = None
        """While set, every request raises it."""

    def append(self, partition: int, *values: bytes, key: bytes = b"k", timestamp_ms: int | None = None) -> None:
        """Add records. Their timestamps are offsets + 1,000 unless given."""
        tp = TopicPartition(self.topic, partition)
        for value in values:
            offset = self.end(tp)
            at = 1_000 + offset if timestamp_ms is None else timestamp_ms
            self.records[tp].append(Record(self.topic, partition, offset, at, 1, key, value, None, len(key), len(value), ()))

    def delete_before(self, partition: int, offset: int) -> None:
        """Delete the records before an offset, as retention does."""
        tp = TopicPartition(self.topic, partition)
        self.records[tp] = [record for record in self.records[tp] if record.offset >= offset]
        self.starts[tp] = offset

    def recreate(self) -> None:
        """Delete everything. Offsets start at 0 again."""
        for tp in self.records:
            self.records[tp], self.starts[tp] = [], 0

    def end(self, tp: TopicPartition) -> int:
        """Return the next offset."""
        return self.records[tp][-1].offset + 1 if self.records[tp] else self.starts[tp]


class MemoryConsumer:
    """Reads a ``MemoryLog``, from the earliest record of a partition without a sought position."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self._positions = {tp: self._positions.get(tp, self._log.starts[tp]) for tp in partitions}
        self._paused &= self._positions.keys()

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._answer()
        return {tp: self._log.starts[tp] for tp in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._answer()
        return {tp: self._log.end(tp) for tp in partitions}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        self._answer()
        first = {tp: next((one for one in self._log.records[tp] if one.timestamp >= at), None) for tp, at in times.items()}
        return {tp: OffsetAndTimestamp(one.offset, one.timestamp) if one else None for tp, one in first.items()}

    async def getmany(self, *, timeout_ms: int = 0, max_records: int | None = None) -> dict[TopicPartition, list[Record]]:  # noqa: ARG002  the same signature; there is nothing to wait for
        self._answer()
        fetched: dict[TopicPartition, list[Record]] = {}
        for tp in self._positions.keys() - self._paused:
            position = self._positions[tp]
            if not self._log.starts[tp] <= position <= self._log.end(tp):
                position = self._log.starts[tp]  # auto_offset_reset="earliest"
            records = [record for record in self._log.records[tp] if record.offset >= position][:max_records]
            self._positions[tp] = records[-1].offset + 1 if records else position
            if records:
                fetched[tp] = records
        return fetched

    def _answer(self) -> None:
        if self._log.unavailable is not None:
            raise self._log.unavailable


async def drive(driver: Driver, log: MemoryLog) -> MemoryConsumer:
    """Assign all partitions of a log to a driver, as the group does.

    Returns:
        The driver's client.
    """
    consumer = MemoryConsumer(log)
    client: Any = consumer
    driver.subscriber = SimpleNamespace(consumer=client)  # type: ignore[assignment]  # the attribute of a subscriber that the driver uses
    consumer.assign(log.records)
    await driver.on_partitions_assigned(log.records)
    return consumer


async def poll(driver: Driver, consumer: MemoryConsumer, *, records_max: int = 2_000) -> int:
    """Poll once and apply the records. Returns the number of records."""
    fetched = await consumer.getmany(max_records=records_max)
    records = [record for batch in fetched.values() for record in batch]
    if records:
        await driver.handle(records)
    return len(records)
