"""What a service answers, byte by byte, to requests that two parsers could read differently."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest
from litestar import Request, get, post

from ams_kit.background import Background
from ams_kit.http.app import make_application
from ams_kit.http.json_body import read_json
from ams_kit.testing.serving import serving

LIMIT = 100
SECONDS = 20


class Body(msgspec.Struct):
    word: str


_body = msgspec.json.Decoder(Body)


@get("/count", opt={"public": True})
async def count() -> dict[str, int]:
    return {"count": 1}


@post("/words", opt={"public": True}, status_code=200)
async def take_word(request: Request) -> dict[str, str]:
    return {"word": (await read_json(request, _body, bytes_max=LIMIT)).word}


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    app = make_application(title="t", openapi_path="/openapi", route_handlers=[count, take_word], checks={}, background=Background())
    with serving(app) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


def send(address: tuple[str, int], *parts: bytes) -> bytes:
    """Everything that is answered until the connection is closed, or nothing comes for a second."""
    with socket.create_connection(address, SECONDS) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65_536):
            answer += data
        return answer


HEAD = b"POST /words HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
WORD = b'{"word":"a"}'


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + WORD + b"\r\n0\r\n\r\n", id="a chunk size that is no number"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + WORD + b"XX0\r\n\r\n", id="a chunk longer than its size"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nc\n" + WORD + b"\r\n0\r\n\r\n", id="a bare line feed after a chunk size"),
        pytest.param(HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 12\n\n" + WORD, id="bare line feeds"),
        pytest.param(HEAD + b"X-A: b\nX-C: d\r\nContent-Length: 12\r\n\r\n" + WORD, id="a bare line feed in the headers"),
        pytest.param(HEAD + b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + WORD + b"\r\n0\r\n\r\n", id="length and chunks"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /count HTTP/1.1\r\n\r\n", id="chunks and length"),
        pytest.param(HEAD + b"Content-Length: 12\r\nContent-Length: 13\r\n\r\n" + WORD, id="two lengths"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n" + WORD, id="a negative length"),
        pytest.param(b"GET /count HTTP/1.1\r\nHost : h\r\n\r\n", id="a blank before the colon"),
    ],
)  # fmt: skip
def test_a_request_that_could_be_read_as_two_is_answered_400_once(address: tuple[str, int], request_bytes: bytes) -> None:
    answer = send(address, request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "malformed_http"


def test_a_grpc_exporter_gets_the_name_of_the_protocol_to_use(address: tuple[str, int]) -> None:
    answer = send(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "http/protobuf" in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**9])
def test_a_declared_length_above_the_limit_is_refused_before_the_body_is_asked_for(address: tuple[str, int], declared: int) -> None:
    answer = send(address, HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % declared)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_a_body_within_the_limit_is_asked_for(address: tuple[str, int]) -> None:
    answer = send(address, HEAD + b"Expect: 100-continue\r\nContent-Length: 12\r\nConnection: close\r\n\r\n", WORD)

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert answer.endswith(WORD)


@pytest.mark.parametrize(("content_type", "status"), [
    (b"application/json; charset=utf-8", 200), (b'application/json;charset="UTF-8"', 200), (b"application/json; profile=x", 200),
    (b"application/json; charset=latin-1", 415), (b"application/json; a=b; charset=utf-16", 415),
])  # fmt: skip
def test_a_body_in_another_charset_is_refused(address: tuple[str, int], content_type: bytes, status: int) -> None:
    head = HEAD.replace(b"application/json", content_type) + b"Connection: close\r\nContent-Length: 12\r\n\r\n"

    assert send(address, head + WORD).startswith(b"HTTP/1.1 %d " % status)
