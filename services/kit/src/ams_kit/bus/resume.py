"""Where a projection may go on in a partition: a decision from facts, without a clock or a broker."""

from msgspec import Struct

from ams_kit.bus.records import StoredPosition


class LogFacts(Struct, frozen=True):
    """What the log says about a partition.

    Attributes:
        start: The first offset that it still has.
        end: The next offset that it will give.
        timestamp_before_ms: Timestamp of the record at ``stored.next_offset - 1``; ``None`` when there is no such record (any more).
    """

    start: int
    end: int
    timestamp_before_ms: int | None = None


class ResumeAt(Struct, frozen=True):
    """Seek to ``offset``. ``lost`` offsets between the stored position and there were deleted before they were applied."""

    offset: int
    lost: int = 0


class Recreated(Struct, frozen=True):
    """The log is not the one that the position was made with. Reading on would skip what is new as old: pause, and call a person."""

    detail: str


def decide_resume(stored: StoredPosition | None, log: LogFacts) -> ResumeAt | Recreated:
    """Decide from the stored position and the log.

    Offsets alone do not tell a topic that was made anew: it may be longer than the old one already. The remembered timestamp of the last
    applied record does.
    """
    if stored is None or stored.next_offset == 0:
        return ResumeAt(log.start)
    if stored.next_offset > log.end:
        return Recreated(f"the stored position {stored.next_offset} is beyond the end of the log {log.end}")
    if log.start > stored.next_offset:
        return ResumeAt(log.start, lost=log.start - stored.next_offset)
    if log.start < stored.next_offset and stored.last_timestamp_ms > 0 and log.timestamp_before_ms != stored.last_timestamp_ms:
        return Recreated(
            f"the record before position {stored.next_offset} is another one than was applied: its timestamp is {log.timestamp_before_ms}, not {stored.last_timestamp_ms}"
        )
    return ResumeAt(stored.next_offset)
