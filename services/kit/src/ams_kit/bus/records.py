"""Records on their way into the log and out of it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ams_contracts.topics import Topic


class Record(Struct, frozen=True, kw_only=True):
    """A record to publish.

    Attributes:
        topic: Where to.
        key: Records of one key share a partition, in the order of their publishing.
        value: ``None`` is a tombstone: compaction removes the key.
        headers: Names and values; read without decoding the value.
    """

    topic: Topic
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] = []


class LogRecord(Struct, frozen=True, kw_only=True):
    """A record as the log gave it.

    Attributes:
        timestamp_ms: The broker's clock for topics with ``LogAppendTime`` (steps, payloads), else the producer's.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class StoredPosition(Struct, frozen=True):
    """Where a projection stands in one partition.

    Attributes:
        next_offset: Everything before it is applied. 0 when nothing is.
        last_timestamp_ms: Timestamp of the record at ``next_offset - 1``, 0 when there is none: tells a recreated topic.
    """

    next_offset: int
    last_timestamp_ms: int


class PartitionBatch(Struct, frozen=True):
    """Records of one partition, and the position that they continue: what ``Projection.apply`` takes."""

    partition: int
    records: list[LogRecord]
    expected: int


class Projection(Protocol):
    """What a consumer drives: rows made from records, with their position in the same transaction."""

    async def stored(self, topic: str, partitions: list[int]) -> dict[int, StoredPosition]:
        """Positions of these partitions. One that was never applied is absent, which means 0.

        Any error means: away, ask again later.
        """
        ...

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        """Apply records of one partition and move its position, in one transaction.

        Locks the position row (made with 0 when it is absent) and compares it before anything else; then writes the rows, and as
        position the last record's offset + 1 with that record's timestamp. Data errors are bisected inside, down to one event that
        becomes a dead letter; it may commit in several transactions that way, each with its own position.

        Args:
            topic: The topic's name.
            partition: From 0.
            records: Not empty, offsets ascending, not always adjacent (transaction markers leave gaps).
            expected: What the stored position must equal. It can be smaller than the first record's offset.

        Returns:
            The new position: the last record's offset + 1.

        Raises:
            PositionMovedError: The stored position is not ``expected``; nothing was changed.
            Exception: Anything else: nothing (or a first part, with its position) was applied. The consumer reads the position anew
                and tries again, later and later, for ever.
        """
        ...

    async def apply_together(self, topic: str, batches: Sequence[PartitionBatch], /) -> dict[int, int]:  # noqa: ARG002  those that have a quicker way do
        """Apply what several partitions brought at once, in fewer transactions than ``apply`` takes, each with all its positions.

        Args:
            topic: The topic's name.
            batches: Each of another partition.

        Returns:
            The new positions of the partitions that were applied. The others are as they were: to be applied one by one.

        Raises:
            Exception: One by one would not help: as with ``apply``, the consumer reads all positions anew and tries again.
        """
        return {}
