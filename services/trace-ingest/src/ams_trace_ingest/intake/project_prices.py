"""The prices of each project as intake computes with them: its own ones before the list prices, read from the database every 30 s."""

import asyncio
import time
from collections.abc import Callable

import asyncpg
import structlog
from msgspec import Struct

from ams_contracts.events import PriceSet
from ams_kit.retriable import SERVER_UNAVAILABLE
from ams_kit.telemetry.metrics import OWN_PRICES_UNAVAILABLE
from ams_trace_ingest.pricing.own_prices import overrides_of
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.store import own_prices

CACHED_SECONDS = 30.0
PROJECTS_MAX = 10_000
LOAD_TIMEOUT_SECONDS = 1.0
RETRY_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class _Entry(Struct, frozen=True):
    prices: Prices
    until: float


class ProjectPrices:
    """Prices by project, cached for 30 s.

    Telemetry does not wait for a database: while it is unavailable the last known prices count, or the list prices, and the metric
    ``ams_own_prices_unavailable_total`` counts it. ``ams replay --reprice`` computes such costs again.
    """

    def __init__(self, pool: asyncpg.Pool, list_prices: Prices, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``pool`` is ``ams_writer``'s; ``clock`` counts seconds."""
        self._pool = pool
        self._list_prices = list_prices
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._lock = asyncio.Lock()
        self._retry_at = 0.0

    async def of(self, project_id: str) -> Prices:
        """The prices of a project."""
        entry = self._entries.get(project_id)
        if entry is not None and self._clock() < entry.until:
            return entry.prices
        async with self._lock:
            entry = self._entries.get(project_id)
            now = self._clock()
            if entry is not None and now < entry.until:
                return entry.prices
            if now >= self._retry_at:
                try:
                    events = await self._load(project_id)
                except SERVER_UNAVAILABLE as error:
                    self._retry_at = self._clock() + RETRY_SECONDS
                    OWN_PRICES_UNAVAILABLE.inc()
                    logger.warning("own prices cannot be read; the last known ones count", error_type=type(error).__name__)
                else:
                    return self._remember(project_id, events)
            return self._list_prices if entry is None else entry.prices

    def forget(self, project_id: str) -> None:
        """Read the prices of a project again the next time."""
        self._entries.pop(project_id, None)

    async def _load(self, project_id: str) -> list[PriceSet]:
        async with asyncio.timeout(LOAD_TIMEOUT_SECONDS), self._pool.acquire() as connection:
            return await own_prices.of_project(connection, project_id)

    def _remember(self, project_id: str, events: list[PriceSet]) -> Prices:
        prices = self._list_prices.with_own(overrides_of(events)) if events else self._list_prices
        self._entries.pop(project_id, None)
        self._entries[project_id] = _Entry(prices, self._clock() + CACHED_SECONDS)
        while len(self._entries) > PROJECTS_MAX:
            self._entries.pop(next(iter(self._entries)))
        return prices
