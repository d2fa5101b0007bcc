"""Limits the number of concurrent heavy queries, so that cheap ones stay fast."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ams_kit.errors import UnavailableError
from ams_kit.telemetry.metrics import QUERIES_FAILED

WAIT_SECONDS = 2
WAITING_PER_SLOT = 4
RETRY_AFTER_SECONDS = 2


class ConcurrencyLimit:
    """Limits the number of concurrent searches and large skeletons. A few more wait for a short time, the rest are rejected with Retry-After.

    Attributes:
        waiting: Number of requests that wait now.
    """

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self.waiting = 0
        self._waiting_max = slots * WAITING_PER_SLOT

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Hold a slot.

        Raises:
            UnavailableError: No slot became free within 2 s, or too many requests are waiting already.
        """
        if self._slots.locked() and self.waiting >= self._waiting_max:
            raise _busy()
        self.waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), WAIT_SECONDS)
        except TimeoutError:
            raise _busy() from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


def _busy() -> UnavailableError:
    QUERIES_FAILED.labels("busy").inc()
    return UnavailableError("Too many searches are running. Retry in a few seconds.", retry_after_seconds=RETRY_AFTER_SECONDS, code="busy")


@asynccontextmanager
async def slot_if(heavy_queries: ConcurrencyLimit, heavy: bool) -> AsyncGenerator[None]:
    """Hold a slot for a heavy query; other queries need none."""
    if not heavy:
        yield
        return
    async with heavy_queries.slot():
        yield
