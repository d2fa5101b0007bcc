"""``/livez``, ``/readyz`` and ``/metrics``: not routed to the outside."""

from collections.abc import Awaitable, Callable, Mapping

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], Awaitable[None]]
"""Returns when the part is fine, raises when it is not."""


class Readiness(Struct):
    """``checks``: per part "ok" or the kind of error."""

    status: str
    checks: dict[str, str]


def health_routes(checks: Mapping[str, Check]) -> list[HTTPRouteHandler]:
    """The three routes.

    Args:
        checks: What must answer before this service is ready, by name. Each bounds its own time.
    """

    @get("/livez", include_in_schema=False, opt={"public": True})
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @get("/readyz", include_in_schema=False, opt={"public": True})
    async def readyz() -> Response[Readiness]:
        results: dict[str, str] = {}
        for name, check in checks.items():
            try:
                await check()
                results[name] = "ok"
            except Exception as error:  # noqa: BLE001  any failure of a check means: not ready
                results[name] = type(error).__name__
        ready = all(result == "ok" for result in results.values())
        return Response(Readiness("ok" if ready else "unavailable", results), status_code=200 if ready else 503)

    @get("/metrics", include_in_schema=False, opt={"public": True})
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [livez, readyz, metrics]
