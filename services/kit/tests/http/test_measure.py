"""Requests are counted and timed by route, also those that no route answers."""

import pytest
from litestar import Litestar, get
from litestar.exceptions import NotAuthorizedException
from litestar.middleware import ASGIMiddleware
from litestar.testing import AsyncTestClient
from litestar.types import ASGIApp, Receive, Scope, Send
from prometheus_client import REGISTRY

from ams_kit.background import Background
from ams_kit.http.app import make_application


class Refusal(ASGIMiddleware):
    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["path"].endswith("/closed"):
            raise NotAuthorizedException
        await next_app(scope, receive, send)


@get("/things/{name:str}")
async def thing(name: str) -> str:
    if name == "broken":
        raise ValueError(name)
    return name


def application(background: Background) -> Litestar:
    return make_application(
        title="Things", openapi_path="/openapi", route_handlers=[thing], checks={}, background=background, middleware=[Refusal()]
    )


def requests(route: str, status: int) -> float:
    return REGISTRY.get_sample_value("ams_http_requests_total", {"method": "GET", "route": route, "status": str(status)}) or 0


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/things/one", "/things/{name}", 200),
        ("/things/two", "/things/{name}", 200),
        ("/things/broken", "/things/{name}", 500),
        ("/things/closed", "/things/{name}", 401),
        ("/nothing/of/this/name", "none", 404),
    ],
)
async def test_an_answer_counts_for_its_route_with_its_status(path: str, route: str, status: int) -> None:
    before = requests(route, status)
    timed = REGISTRY.get_sample_value("ams_http_request_seconds_count", {"route": route}) or 0
    async with Background() as background, AsyncTestClient(application(background), raise_server_exceptions=False) as http:
        assert (await http.get(path)).status_code == status
    assert requests(route, status) == before + 1
    assert REGISTRY.get_sample_value("ams_http_request_seconds_count", {"route": route}) == timed + 1


async def test_probes_and_scrapes_are_left_out() -> None:
    async with Background() as background, AsyncTestClient(application(background)) as http:
        assert (await http.get("/livez")).status_code == 200
        assert "/livez" not in (await http.get("/metrics")).text
