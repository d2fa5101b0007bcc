"""Builds the Litestar application of a service: problem documents, health routes, an OpenAPI document, no debug pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Message, Scope

from ams_kit.background import Background
from ams_kit.http.health import Check, health_routes
from ams_kit.http.measure import measured
from ams_kit.http.problems import EXCEPTION_HANDLERS
from ams_kit.http.unread_body import refuse_after_body

BODY_BYTES_MAX = 65_536
BEARER = "bearer"
"""Name of the security scheme in the OpenAPI document. It applies to every route except those with ``security=[{}]``."""


async def forbid_caching(message: Message, scope: Scope) -> None:  # noqa: ARG001  the signature of Litestar's hook
    """Add ``Cache-Control: no-store`` to every response that does not say otherwise: nearly all of them are private."""
    if message["type"] == "http.response.start":
        headers = list(message["headers"])
        if not any(name.lower() == b"cache-control" for name, _ in headers):
            message["headers"] = [*headers, (b"cache-control", b"no-store")]


def make_application(
    *,
    title: str,
    openapi_path: str,
    route_handlers: Sequence[Any],
    checks: Mapping[str, Check],
    background: Background,
    body_bytes_max: int = BODY_BYTES_MAX,
    **options: Any,
) -> Litestar:
    """Build a service's application.

    Args:
        title: The title of the OpenAPI document.
        openapi_path: The path of the document, e.g. ``/api/traces/openapi`` (the document is ``<path>/openapi.json``).
        route_handlers: The service's own routes.
        checks: See ``health_routes``.
        background: The tasks of the process. The lifespan closes it before the resources that the tasks use.
        body_bytes_max: A larger body is refused with 413.
        options: Further arguments of ``Litestar`` (middleware, lifespan, dependencies, state ...).
    """
    openapi_config = OpenAPIConfig(
        title=title,
        version="0.1.0",
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(openapi_path, route_handlers=[], include_in_schema=False, opt={"public": True}),
        components=Components(security_schemes={BEARER: SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}),
        security=[{BEARER: []}],
    )
    app = Litestar(
        before_send=[forbid_caching],
        route_handlers=[*health_routes(checks, background), *route_handlers],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=openapi_config,
        request_max_body_size=body_bytes_max,
        debug=False,
        logging_config=None,
        **options,
    )
    app.asgi_handler = refuse_after_body(measured(app.asgi_handler))  # around the router, so that 404 and 405 are included
    app.state.background = background
    return app
