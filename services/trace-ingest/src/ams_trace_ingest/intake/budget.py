"""How many bytes of requests this process holds at once, decided before a body is read."""

from typing import Self

from ams_kit.errors import UnavailableError

RETRY_AFTER_SECONDS = 1


class ByteBudget:
    """A bound on the memory that requests in flight may take.

    A body counts as sent while it arrives, as inflated while it is decoded, and as encoded records until the log has them.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0

    def lease(self) -> "Lease":
        """A request's share, empty at first. Use it as a context manager: leaving gives everything back."""
        return Lease(self)


class Lease:
    """What one request holds of a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held = 0

    def resize(self, wanted_bytes: int) -> None:
        """Hold exactly ``wanted_bytes``.

        Raises:
            UnavailableError: The process holds too much already; the client should send it again soon.
        """
        difference = wanted_bytes - self._held
        if difference > 0 and self._budget.bytes_held + difference > self._budget.bytes_max:
            raise UnavailableError(
                "more telemetry is in flight than this process may hold; send it again",
                code="over_budget",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._budget.bytes_held += difference
        self._held = wanted_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.bytes_held -= self._held
        self._held = 0
