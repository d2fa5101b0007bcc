"""Counts and times the requests of a service, by whatever answers them: a route, a middleware or the limits before both.

Litestar's own Prometheus middleware sees what routes answer; a request that the authentication refuses counts as answered with 200 there.
"""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ams_kit.telemetry.metrics import HTTP_REQUESTS, HTTP_SECONDS

NO_ROUTE = "none"
UNANSWERED = 499
"""The client left before an answer began, as nginx writes it."""
UNMEASURED = frozenset({"/livez", "/readyz", "/readyz/local", "/metrics"})


def measured(app: ASGIApp) -> ASGIApp:
    """Wrap an application: each HTTP request is counted by method, route and status, and timed by route.

    The route is its template, such as ``/api/projects/{project_id}``, so the labels are bounded. What probes ask is left out.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNMEASURED:
            await app(scope, receive, send)
            return
        began = time.perf_counter()
        status = UNANSWERED

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            route = scope.get("path_template") or NO_ROUTE
            HTTP_REQUESTS.labels(scope["method"], route, str(status)).inc()
            HTTP_SECONDS.labels(route).observe(time.perf_counter() - began)

    return handle
