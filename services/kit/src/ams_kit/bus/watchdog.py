"""A deaf consumer keeps its tasks alive, answers pings and reads nothing for ever. Only lag without progress tells."""

from collections.abc import Mapping

from msgspec import Struct

STALLED_AFTER_SECONDS = 45.0


class Progress(Struct, frozen=True):
    """One partition at one moment.

    Attributes:
        next_offset: How far it has come.
        end: The end of the log.
        is_known_stalled: It is known why it does not move: paused by an alarm, or failing and being retried.
    """

    next_offset: int
    end: int
    is_known_stalled: bool = False


class Watchdog:
    """Remembers since when a partition has lag and does not move. Never minds idleness."""

    def __init__(self, stalled_after_seconds: float = STALLED_AFTER_SECONDS) -> None:
        self.stalled_after_seconds = stalled_after_seconds
        self._since: dict[int, tuple[int, float]] = {}

    def observe(self, partitions: Mapping[int, Progress], at: float) -> int | None:
        """Take a look.

        Args:
            partitions: The assigned ones.
            at: Monotonic seconds.

        Returns:
            A partition that has had lag and made no progress for longer than the patience, or ``None``.
        """
        stuck = {number: seen for number, seen in partitions.items() if seen.next_offset < seen.end and not seen.is_known_stalled}
        self._since = {
            number: self._since[number] if number in self._since and self._since[number][0] == seen.next_offset else (seen.next_offset, at)
            for number, seen in stuck.items()
        }
        return next((number for number, (_, since) in self._since.items() if at - since > self.stalled_after_seconds), None)

    def reset(self) -> None:
        """The log could not be asked: what was remembered says nothing about the time in between."""
        self._since.clear()
