"""``/livez``, ``/readyz``, ``/readyz/local`` and ``/metrics``. The gateway does not route them to clients.

``/readyz`` includes the servers that a service needs, for people and for ``/api/health``. ``/readyz/local`` is for a load balancer: a server that all
replicas share must not take all of them out of rotation at once, because a replica in rotation answers 503 with ``Retry-After`` itself.
"""

from collections.abc import Awaitable, Callable, Mapping

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ams_kit.background import Background
from ams_kit.errors import AmsError

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency is ready, raises when it is not."""


class Readiness(Struct):
    """The response of ``/readyz`` and ``/readyz/local``.

    Attributes:
        status: "ok" or "unavailable".
        checks: Per check "ok", or the reason: a sentence, or else the type of the error.
        background: Per background task "running", or why it does not run. A task that restarts after an outage leaves the process ready; a
            task that fails repeatedly fails the check ``background``.
    """

    status: str
    checks: dict[str, str]
    background: dict[str, str]


def health_routes(checks: Mapping[str, Check], background: Background) -> list[HTTPRouteHandler]:
    """Build the four routes.

    Args:
        checks: The checks that must pass before this service is ready, by name. Each limits its own duration.
        background: The tasks of the process, which are checked too.
    """
    local: Mapping[str, Check] = {"background": background.check}
    everything = {**checks, **local}

    async def run(selected: Mapping[str, Check]) -> Response[Readiness]:
        results: dict[str, str] = {}
        for name, check in selected.items():
            try:
                await check()
                results[name] = "ok"
            except Exception as error:  # noqa: BLE001  any failure of a check means: not ready
                results[name] = (error.detail if isinstance(error, AmsError) else "") or type(error).__name__
        ready = all(result == "ok" for result in results.values())
        return Response(Readiness("ok" if ready else "unavailable", results, background.report()), status_code=200 if ready else 503)

    @get("/livez", include_in_schema=False, opt={"public": True})
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @get("/readyz", include_in_schema=False, opt={"public": True})
    async def readyz() -> Response[Readiness]:
        return await run(everything)

    @get("/readyz/local", include_in_schema=False, opt={"public": True})
    async def readyz_local() -> Response[Readiness]:
        return await run(local)

    @get("/metrics", include_in_schema=False, opt={"public": True})
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [livez, readyz, readyz_local, metrics]
