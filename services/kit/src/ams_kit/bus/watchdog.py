"""Detects a consumer that has stopped reading. Such a client still sends heartbeats, so only lag without progress reveals it."""

from collections.abc import Mapping

from msgspec import Struct

STALLED_AFTER_SECONDS = 45.0


class Progress(Struct, frozen=True):
    """One partition at one moment.

    Attributes:
        next_offset: The offset of the next record to apply.
        end: The end of the log.
        is_known_stalled: The lack of progress has a known cause: an alarm paused the partition, or its batch fails and is retried.
    """

    next_offset: int
    end: int
    is_known_stalled: bool = False


class Watchdog:
    """Records since when each partition has lag without progress. A partition without lag is idle, not stalled."""

    def __init__(self, stalled_after_seconds: float = STALLED_AFTER_SECONDS) -> None:
        self.stalled_after_seconds = stalled_after_seconds
        self._since: dict[int, tuple[int, float]] = {}

    def observe(self, partitions: Mapping[int, Progress], at: float) -> int | None:
        """Record the progress of the partitions and look for one that is stalled.

        Args:
            partitions: The assigned partitions, by number.
            at: Monotonic seconds.

        Returns:
            A partition that has had lag and no progress for longer than ``stalled_after_seconds``, or ``None``.
        """
        stuck = {number: seen for number, seen in partitions.items() if seen.next_offset < seen.end and not seen.is_known_stalled}
        self._since = {
            number: self._since[number] if number in self._since and self._since[number][0] == seen.next_offset else (seen.next_offset, at)
            for number, seen in stuck.items()
        }
        return next((number for number, (_, since) in self._since.items() if at - since > self.stalled_after_seconds), None)

    def reset(self) -> None:
        """Discard the observations, because the log did not answer and they no longer prove that nothing moved."""
        self._since.clear()
