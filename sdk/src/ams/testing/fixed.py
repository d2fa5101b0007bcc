"""Ids that count and a clock that a test moves, for a recording with ``fixed=True``."""

from collections import defaultdict
from collections.abc import Callable
from itertools import count

from ams.tracing import handles, ids, records, scores

START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


class FixedClock:
    """Starts at 2026-01-01T00:00:00Z, and only the test moves it: readings by the sender's thread must not count."""

    def __init__(self) -> None:
        self._now_ns = START_NS

    def read_ns(self) -> int:
        """The time, in nanoseconds since 1970."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        self._now_ns += round(seconds * 1e9)


class Fixed:
    """Replaces clock and ids by assigning names of the SDK's modules: asking for a clock would cost every step of every program.

    Ids are the same in each run as long as one thread makes the steps.
    """

    def __init__(self) -> None:
        self.clock = FixedClock()
        self._before: list[tuple[object, str, object]] = []
        counters: defaultdict[int, Callable[[], int]] = defaultdict(lambda: count(1).__next__)

        def bits(width: int) -> int:
            return counters[width]()

        for module in (records, handles, scores):
            self._replace(module, "time_ns", self.clock.read_ns)
        self._replace(records, "perf_counter_ns", self.clock.read_ns)
        for module in (ids, records):
            self._replace(module, "bits", bits)

    def _replace(self, module: object, name: str, value: object) -> None:
        self._before.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def stop(self) -> None:
        """Restore the real ones."""
        for module, name, value in self._before:
            setattr(module, name, value)
