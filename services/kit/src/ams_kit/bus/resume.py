"""Decides where a projection resumes in a partition. Pure: it uses neither a clock nor a broker."""

from msgspec import Struct

from ams_kit.bus.records import StoredPosition


class LogFacts(Struct, frozen=True):
    """The state of a partition in the log.

    Attributes:
        start: The first offset that the log still has.
        end: The next offset that the log will assign.
        timestamp_before_ms: Timestamp of the record at ``stored.next_offset - 1``; ``None`` when the log does not have that record.
    """

    start: int
    end: int
    timestamp_before_ms: int | None = None


class ResumeAt(Struct, frozen=True):
    """Seek to ``offset``. The log deleted ``lost`` offsets between the stored position and ``offset`` before they were applied."""

    offset: int
    lost: int = 0


class Recreated(Struct, frozen=True):
    """The position belongs to another log. Reading would skip new records as already applied: pause, and raise an alarm."""

    detail: str


def decide_resume(stored: StoredPosition | None, log: LogFacts) -> ResumeAt | Recreated:
    """Decide where to resume from the stored position and the log.

    Offsets alone do not identify a recreated topic, which may already be longer than the old one. The stored timestamp of the last applied
    record does.
    """
    if stored is None or stored.next_offset == 0:
        return ResumeAt(log.start)
    if stored.next_offset > log.end:
        return Recreated(f"the stored position {stored.next_offset} is beyond the end of the log {log.end}")
    if log.start > stored.next_offset:
        return ResumeAt(log.start, lost=log.start - stored.next_offset)
    if log.start < stored.next_offset and stored.last_timestamp_ms > 0 and log.timestamp_before_ms != stored.last_timestamp_ms:
        return Recreated(
            f"the record before position {stored.next_offset} is not the one that was applied: its timestamp is {log.timestamp_before_ms}, not {stored.last_timestamp_ms}"
        )
    return ResumeAt(stored.next_offset)
