"""Bounds how many exports run at the same time in this process."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ams_kit.errors import UnavailableError

EXPORTS_MAX = 8
STALLED_SECONDS = 60
SECONDS_MAX = 3_600
RETRY_AFTER_SECONDS = 10


class ExportSlots:
    """Exports that run. One whose client reads nothing for a minute does not count: it holds no connection, only its last portion."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing runs yet.

        Args:
            clock: Monotonic seconds.
        """
        self._clock = clock
        self._moved_at: dict[object, float] = {}

    @contextmanager
    def slot(self) -> Generator["RunningExport"]:
        """Run an export.

        Raises:
            UnavailableError: Too many are running.
        """
        now = self._clock()
        if sum(now - moved_at < STALLED_SECONDS for moved_at in self._moved_at.values()) >= EXPORTS_MAX:
            raise UnavailableError("Too many exports are running. Retry later.", retry_after_seconds=RETRY_AFTER_SECONDS, code="busy")
        running = RunningExport(now, self._moved, self._clock)
        self._moved_at[running] = now
        try:
            yield running
        finally:
            del self._moved_at[running]

    def _moved(self, running: "RunningExport", at: float) -> None:
        self._moved_at[running] = at


class RunningExport:
    """One export that runs."""

    def __init__(self, began_at: float, moved: Callable[["RunningExport", float], None], clock: Callable[[], float]) -> None:
        """Began now."""
        self._began_at = began_at
        self._moved = moved
        self._clock = clock

    def moved(self) -> None:
        """The client took a portion.

        Raises:
            UnavailableError: The export runs for more than an hour.
        """
        now = self._clock()
        if now - self._began_at > SECONDS_MAX:
            raise UnavailableError(f"An export takes at most {SECONDS_MAX} seconds. Export fewer tasks.", code="export_too_long")
        self._moved(self, now)
