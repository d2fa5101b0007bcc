"""The producer: records in, positions out, with a deadline around everything."""

from collections.abc import Sequence
from typing import Self

from ams_contracts.positions import Position

from ams_kit.bus.records import Record

PUBLISH_TIMEOUT_SECONDS = 4.0


class Log:
    """Publishes records. One per process."""

    @classmethod
    async def open(cls, bootstrap: str, client_id: str) -> Self:
        """Connect lazily: returns while the broker is away, too."""
        raise NotImplementedError

    async def close(self) -> None:
        """Flush what is on its way, for at most some seconds, and disconnect."""
        raise NotImplementedError

    async def publish(self, records: Sequence[Record], *, timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS) -> list[Position]:
        """Make records durable, in order per key.

        Returns:
            The position of each record itself (its own offset), in the order given. Returning means durable on every in-sync replica.

        Raises:
            LogUnavailableError: Nothing is known to be durable; the caller may retry with the same event ids.
            RecordTooLargeError: A record is larger than its topic takes; nothing was published.
        """
        raise NotImplementedError

    async def check(self) -> None:
        """A readiness check: raises when the broker does not answer."""
        raise NotImplementedError
