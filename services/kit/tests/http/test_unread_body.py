"""A refusal is sent when the body was received, whatever refuses the request, so that a proxy that still sends does not lose it."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from litestar import post
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from ams_kit.background import Background
from ams_kit.errors import UnauthenticatedError
from ams_kit.http import unread_body
from ams_kit.http.app import make_application
from ams_kit.testing.serving import serving

QUIET_SECONDS = 0.2
BYTES = 100_000


@post("/open", opt={"public": True}, status_code=200)
async def answer_without_reading() -> dict[str, str]:
    return {}


class _RefuseAll(ASGIMiddleware):
    exclude_opt_key = "public"

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        raise UnauthenticatedError("no")


@post("/closed", status_code=200)
async def never_reached() -> None: ...


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    app = make_application(
        title="t",
        openapi_path="/openapi",
        route_handlers=[answer_without_reading, never_reached],
        checks={},
        background=Background(),
        middleware=[_RefuseAll()],
    )
    with serving(app) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


def begin(address: tuple[str, int], target: str, *headers: str, sent: int) -> socket.socket:
    """Send a request's head, and the beginning of its body."""
    connection = socket.create_connection(address, 20)
    head = "\r\n".join([f"{target} HTTP/1.1", "Host: h", *headers, "", ""])
    connection.sendall(head.encode() + b"x" * sent)
    connection.settimeout(QUIET_SECONDS)
    return connection


def status_of(connection: socket.socket) -> int:
    connection.settimeout(20)
    return int(connection.recv(65_536).split()[1])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("POST /closed", 401),
        ("POST /nowhere", 404),
        ("PUT /open", 405),
    ],
)
def test_a_refusal_waits_for_the_body(address, target: str, status: int) -> None:
    with begin(address, target, f"Content-Length: {BYTES}", sent=BYTES // 2) as connection:
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"x" * (BYTES - BYTES // 2))
        assert status_of(connection) == status


@pytest.mark.parametrize(
    "headers",
    [
        [f"Content-Length: {unread_body.UNREAD_BYTES_MAX + 1}"],
        ["Content-Length: 1000", "Expect: 100-continue"],
        ["Content-Length: 0"],
        [],
    ],
)
def test_a_body_that_is_large_or_not_on_its_way_is_not_waited_for(address, headers: list[str]) -> None:
    with begin(address, "POST /closed", *headers, sent=0) as connection:
        assert connection.recv(65_536).split()[1] == b"401"


def test_a_body_that_never_ends_or_never_comes_is_waited_for_a_while(address, monkeypatch) -> None:
    monkeypatch.setattr(unread_body, "UNREAD_SECONDS_MAX", 0.5)
    with begin(address, "POST /closed", "Content-Length: 10", sent=1) as connection:
        assert status_of(connection) == 401
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with begin(address, "POST /closed", "Transfer-Encoding: chunked", sent=0) as connection:
        connection.settimeout(20)
        connection.sendall(chunk * (unread_body.UNREAD_BYTES_MAX // 0x10000 + 2))
        assert status_of(connection) == 401


def test_an_answer_of_success_is_not_delayed(address) -> None:
    with begin(address, "POST /open", f"Content-Length: {BYTES}", sent=10) as connection:
        assert status_of(connection) == 200
