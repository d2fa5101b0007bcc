"""``GET /api/health``: which services are ready, for people and the explorer. It needs no sign-in."""

import asyncio
import time
from collections.abc import Callable, Mapping

import httpx
import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery
from msgspec import Struct

from ams_kit.http.health import Readiness

OK = "ok"
DOWN = "down"
DEGRADED = "degraded"
REQUEST_SECONDS_MAX = 1.5
CACHE_SECONDS = 2  # protects the services from clients that poll
REASON_CHARS_MAX = 200

_readiness = msgspec.json.Decoder(Readiness)


class Health(Struct, frozen=True, omit_defaults=True):
    """The health of the platform.

    Attributes:
        status: ``ok`` when every service is ready, else ``degraded``.
        services: By name, ``ok`` or ``down``.
        reasons: With ``verbose``: for each service that is down, the failed check or connection error.
    """

    status: str
    services: dict[str, str]
    reasons: dict[str, str] = {}


def parse_health_urls(text: str) -> dict[str, str]:
    """Parse ``identity=http://127.0.0.1:1,intake=http://127.0.0.1:2``.

    Raises:
        ValueError: An entry is not ``name=http://...``.
    """
    urls: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, url = entry.partition("=")
        if not equals or not name or not url.startswith(("http://", "https://")):
            raise ValueError("AMS_HEALTH_URLS must be a comma-separated list of name=http://host:port")
        urls[name] = url.rstrip("/")
    return urls


class HealthProbe:
    """Requests ``/readyz`` of every service, at most every two seconds."""

    def __init__(self, http: httpx.AsyncClient, urls: Mapping[str, str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._urls = urls
        self._monotonic = monotonic
        self._cached: tuple[float, Health] | None = None
        self._lock = asyncio.Lock()

    async def health(self) -> Health:
        """The last result, refreshed when it is older than two seconds."""
        async with self._lock:
            if self._cached is None or self._monotonic() - self._cached[0] >= CACHE_SECONDS:
                failures = dict(zip(self._urls, await asyncio.gather(*map(self._failure, self._urls.values())), strict=True))
                reasons = {name: reason for name, reason in failures.items() if reason is not None}
                services = {name: DOWN if name in reasons else OK for name in failures}
                self._cached = (self._monotonic(), Health(DEGRADED if reasons else OK, services, reasons))
            return self._cached[1]

    async def _failure(self, url: str) -> str | None:
        """Why a service is not ready; None when it is."""
        try:
            response = await self._http.get(f"{url}/readyz", timeout=REQUEST_SECONDS_MAX)
        except httpx.HTTPError as error:
            return f"does not answer ({type(error).__name__})"
        if response.is_success:
            return None
        try:
            checks = _readiness.decode(response.content).checks
        except msgspec.DecodeError:
            return f"HTTP {response.status_code}"
        return "; ".join(f"{name}: {result}" for name, result in checks.items() if result != OK)[:REASON_CHARS_MAX]


def health_route(probe: Callable[[], HealthProbe]) -> HTTPRouteHandler:
    """Create the route.

    Args:
        probe: The probe, which exists once the application has started.
    """
    down = {503: ResponseSpec(Health, description="A service is not ready.")}

    @get("/api/health", opt={"public": True}, operation_id="getHealth", security=[{}], responses=down)
    async def get_health(verbose: FromQuery[str | None] = None) -> Response[Health]:
        """Report which services are ready: 200 when all are, 503 while one is not. ``?verbose`` adds the reasons."""
        health = await probe().health()
        shown = health if verbose is not None else msgspec.structs.replace(health, reasons={})
        return Response(shown, status_code=200 if health.status == OK else 503, headers={"Cache-Control": "no-store"})

    return get_health
