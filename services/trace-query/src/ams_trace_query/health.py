"""``GET /api/health``: which services are ready, for people and the explorer. The only route without a sign-in."""

import asyncio
import time
from collections.abc import Callable, Mapping

import httpx
from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

OK = "ok"
DOWN = "down"
DEGRADED = "degraded"
REQUEST_SECONDS_MAX = 1.5
CACHE_SECONDS = 2  # whoever asks in a loop asks us, not all services


class Health(Struct, frozen=True):
    """``status``: ok when every service is, else degraded. ``services``: by name, ok or down."""

    status: str
    services: dict[str, str]


def parse_health_urls(text: str) -> dict[str, str]:
    """Read ``identity=http://127.0.0.1:1,intake=http://127.0.0.1:2``.

    Raises:
        ValueError: An entry is not ``name=http://...``.
    """
    urls: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, url = entry.partition("=")
        if not equals or not name or not url.startswith(("http://", "https://")):
            raise ValueError("AMS_HEALTH_URLS is a list of name=http://host:port with commas between")
        urls[name] = url.rstrip("/")
    return urls


class HealthProbe:
    """Asks every service's ``/readyz``, at most every two seconds."""

    def __init__(self, http: httpx.AsyncClient, urls: Mapping[str, str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._urls = urls
        self._monotonic = monotonic
        self._cached: tuple[float, Health] | None = None
        self._lock = asyncio.Lock()

    async def health(self) -> Health:
        """What is known, asked anew when it is older than two seconds."""
        async with self._lock:
            if self._cached is None or self._monotonic() - self._cached[0] >= CACHE_SECONDS:
                answers = await asyncio.gather(*(self._check(url) for url in self._urls.values()))
                services = dict(zip(self._urls, answers, strict=True))
                status = OK if all(answer == OK for answer in answers) else DEGRADED
                self._cached = (self._monotonic(), Health(status, services))
            return self._cached[1]

    async def _check(self, url: str) -> str:
        try:
            response = await self._http.get(f"{url}/readyz", timeout=REQUEST_SECONDS_MAX)
        except httpx.HTTPError:
            return DOWN
        return OK if response.is_success else DOWN


def health_route(probe: Callable[[], HealthProbe]) -> HTTPRouteHandler:
    """The route.

    Args:
        probe: The probe, which exists once the application has started.
    """

    @get("/api/health", opt={"public": True}, operation_id="getHealth", security=[{}])
    async def get_health() -> Health:
        """Which services are ready."""
        return await probe().health()

    return get_health
