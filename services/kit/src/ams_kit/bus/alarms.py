"""What an operator must look at: the log is not what the stored positions say it is."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

AlarmKind = Literal["topic_missing", "partition_count_changed", "topic_recreated", "records_lost", "partition_failing"]


class Alarm(Struct, frozen=True, kw_only=True):
    """Something that does not heal by itself, or was lost.

    Attributes:
        kind: ``topic_missing`` (the consumer waits), ``partition_count_changed`` (it goes on), ``topic_recreated`` (the partition is
            paused), ``records_lost`` (the log starts beyond the stored position: it goes on at the log's start),
            ``partition_failing`` (the same records fail again and again; the others go on).
        partition: ``None`` when it is about the whole topic.
        lost_records: Offsets that were deleted before they were applied (an upper bound: gaps count too).
    """

    kind: AlarmKind
    topic: str
    partition: int | None = None
    detail: str = ""
    lost_records: int = 0


OnAlarm = Callable[[Alarm], None]
