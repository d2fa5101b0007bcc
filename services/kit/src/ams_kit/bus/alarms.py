"""Alarms that need an operator: the log does not match the stored positions."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

AlarmKind = Literal["topic_missing", "partition_count_changed", "topic_recreated", "records_lost", "partition_failing"]


class Alarm(Struct, frozen=True, kw_only=True):
    """A condition that does not resolve itself, or a loss of records.

    Attributes:
        kind: ``topic_missing`` (the consumer waits), ``partition_count_changed`` (the consumer continues), ``topic_recreated`` (the
            partition is paused), ``records_lost`` (the log starts after the stored position, and the consumer resumes at the log's
            start), ``partition_failing`` (the same records fail repeatedly; the other partitions continue).
        topic: The topic's name.
        partition: ``None`` when the alarm concerns the entire topic.
        detail: One sentence for an operator.
        lost_records: Offsets that were deleted before they were applied (an upper bound: gaps count too).
    """

    kind: AlarmKind
    topic: str
    partition: int | None = None
    detail: str = ""
    lost_records: int = 0


OnAlarm = Callable[[Alarm], None]
