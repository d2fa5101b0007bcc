"""Records that are published to the log and read from it, and the port of a projection."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ams_contracts.topics import Topic


class Record(Struct, frozen=True, kw_only=True):
    """A record to publish.

    Attributes:
        topic: The topic to publish to.
        key: Records of one key share a partition, in the order in which they are published.
        value: ``None`` is a tombstone: compaction removes the key.
        headers: Names and values, readable without decoding ``value``.
    """

    topic: Topic
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] = []


class LogRecord(Struct, frozen=True, kw_only=True):
    """A record as read from the log.

    Attributes:
        timestamp_ms: Milliseconds since the epoch: the broker's clock for topics with ``LogAppendTime`` (steps, payloads), else the
            producer's.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class StoredPosition(Struct, frozen=True):
    """The position that a projection has stored for one partition.

    Attributes:
        next_offset: Everything before it is applied. 0 when nothing is.
        last_timestamp_ms: Timestamp of the record at ``next_offset - 1``, 0 when there is none. It identifies a recreated topic.
    """

    next_offset: int
    last_timestamp_ms: int


class PartitionBatch(Struct, frozen=True):
    """Records of one partition, and the stored position that they continue: the arguments of ``Projection.apply``."""

    partition: int
    records: list[LogRecord]
    expected: int


class Projection(Protocol):
    """Builds rows from records. A consumer calls it; it stores the rows and their position in the same transaction."""

    async def stored(self, topic: str, partitions: list[int]) -> dict[int, StoredPosition]:
        """Read the stored positions of these partitions. A partition that was never applied is absent, which means 0.

        Any error means that the store is unavailable; the consumer retries later.
        """
        ...

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        """Apply records of one partition and move its position, in one transaction.

        Locks the position row (inserted with 0 when it is absent) and compares it before anything else. Then writes the rows, and the
        last record's offset + 1 with that record's timestamp as the position. Data errors are bisected down to one event, which becomes
        a dead letter; ``apply`` may then commit several transactions, each with its own position.

        Args:
            topic: The topic's name.
            partition: From 0.
            records: Not empty, in ascending offsets, which may have gaps (transaction markers).
            expected: The value that the stored position must have. It can be smaller than the first record's offset.

        Returns:
            The new position: the last record's offset + 1.

        Raises:
            PositionMovedError: The stored position is not ``expected``; nothing was changed.
            Exception: Any other failure: nothing (or a first part, with its position) was applied. The consumer reads the position again
                and retries with back-off, without a limit.
        """
        ...

    async def apply_together(self, topic: str, batches: Sequence[PartitionBatch], /) -> dict[int, int]:  # noqa: ARG002  the default implementation applies nothing
        """Apply batches of several partitions in fewer transactions than ``apply`` needs, each transaction with all its positions.

        Args:
            topic: The topic's name.
            batches: At most one per partition.

        Returns:
            The new positions of the partitions that were applied. The others are unchanged; the consumer applies them one by one.

        Raises:
            Exception: Applying them one by one would fail too. As with ``apply``, the consumer reads all positions again and retries.
        """
        return {}
