"""What the gateway makes, byte by byte, of requests that two parsers could read differently: never two requests of one."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import msgspec
import pytest
from litestar import Request, Response, get, post

from ams_kit.background import Background
from ams_kit.http.app import make_application
from ams_kit.http.json_body import read_json
from ams_kit.testing.serving import serving
from ams_local.servers.base import free_port
from ams_local.servers.caddy import Caddy, Upstreams

LIMIT = 100
SECONDS = 30
WORD = b'{"word":"a"}'


class Body(msgspec.Struct):
    word: str


_body = msgspec.json.Decoder(Body)


@get("/api/traces/picture", opt={"public": True})
async def picture() -> Response[str]:
    return Response("x", headers={"Content-Security-Policy": "sandbox"})


@post("/v1/words", opt={"public": True}, status_code=200)
async def take_word(request: Request) -> dict[str, str]:
    return {"word": (await read_json(request, _body, bytes_max=LIMIT)).word}


class Recorder:
    """An upstream that keeps what it receives, and answers each connection once."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        data = b""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while part := connection.recv(65_536):
                    data += part
            if data:
                self.received.append(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def gateway(folder: Path, upstream: int, *, grpc_port: int | None = None, **more: Any) -> Iterator[int]:
    """A running gateway whose services are all one upstream."""
    port = free_port()
    caddy = Caddy(
        data=folder / "caddy", hosts=("127.0.0.1",), port=port, otlp_port=None, grpc_port=grpc_port, explorer=folder, wheels=folder, documentation=folder, public_url=f"http://localhost:{port}",
        upstreams=Upstreams(identity=upstream, intake=upstream, intake_grpc=upstream, query=upstream, live=upstream),
    )  # fmt: skip
    caddy = msgspec.structs.replace(caddy, **more)
    caddy.prepare()
    command = caddy.command()
    process = subprocess.Popen(command.argv, env=command.env, cwd=command.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)


def send(port: int, data: bytes) -> bytes:
    """Everything that is answered."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(data)
        connection.settimeout(3)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65_536):
                answer += part
    return answer


def head(port: int, *more: bytes) -> bytes:
    return b"\r\n".join((b"POST /v1/words HTTP/1.1", b"Host: localhost:%d" % port, b"Content-Type: application/json", *more, b"", b""))


SECOND = b"GET /v1/second HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("path", ["/", "/docs/", "/api/auth/rules", "/livez"])
def test_browsers_stay_with_https_where_the_public_address_has_it(tmp_path: Path, path: str) -> None:
    recorder = Recorder()
    name = "Strict-Transport-Security"
    try:
        with gateway(tmp_path, recorder.port) as port:
            assert name not in httpx.get(f"http://localhost:{port}{path}").headers
        for seconds in (31_536_000, 0):
            with gateway(tmp_path, recorder.port, public_url="https://ams.example.com", strict_transport_seconds=seconds) as port:
                answer = httpx.get(f"http://localhost:{port}{path}", headers={"Host": f"ams.example.com:{port}"})
                assert answer.headers.get_list(name) == [f"max-age={seconds}"]
    finally:
        recorder.close()


def test_no_request_leaves_the_gateway_as_two(tmp_path: Path) -> None:
    recorder = Recorder()
    try:
        with gateway(tmp_path, recorder.port) as port:
            close = b"Connection: close"
            for data in (
                head(port, close, b"Content-Length: %d" % len(SECOND), b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SECOND,
                head(port, close, b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n" + SECOND,
                head(port, close, b"Transfer-Encoding: xchunked", b"Content-Length: %d" % len(SECOND)) + SECOND,
                head(port, close, b"Content-Length: 0", b"Content-Length: %d" % len(SECOND)) + SECOND,
                head(port, close, b"Transfer-Encoding: chunked") + b"0\n\n" + SECOND,
                head(port, close, b"Transfer-Encoding: chunked") + b"zz\r\n\r\n" + SECOND,
                head(port, close, b"X-A: b\nTransfer-Encoding: chunked", b"Content-Length: %d" % len(SECOND)) + SECOND,
            ):
                before = len(recorder.received)
                answer = send(port, data)

                assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 4", b"HTTP/1.1 5"))
                for received in recorder.received[before:]:
                    requests = [line for line in received.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
                    framings = [
                        line for line in received.lower().split(b"\r\n") if line.startswith((b"content-length:", b"transfer-encoding:"))
                    ]
                    assert requests in (
                        [b"POST /v1/words HTTP/1.1"],
                        [b"POST /v1/words HTTP/1.1", b"GET /v1/second HTTP/1.1"][: len(requests)],
                    )
                    assert len(requests) == 1 or framings == [b"content-length: %d" % len(SECOND)]  # it is the body, by one length
                    assert len(framings) <= 1
    finally:
        recorder.close()


def test_a_declared_length_above_the_limit_is_refused_through_the_gateway_before_the_body_is_asked_for(tmp_path: Path) -> None:
    app = make_application(title="t", openapi_path="/openapi", route_handlers=[take_word], checks={}, background=Background())
    with serving(app) as url, gateway(tmp_path, urlsplit(url).port or 0) as port:
        refused = send(port, head(port, b"Expect: 100-continue", b"Content-Length: 5000000"))
        taken = send(port, head(port, b"Connection: close", b"Content-Length: %d" % len(WORD)) + WORD)

    assert refused.startswith(b"HTTP/1.1 413 ")
    assert taken.startswith(b"HTTP/1.1 200 ")
    assert taken.endswith(WORD)


UNREAD = [
    ("GET", "/api/traces/picture", {}, 200),
    ("GET", "/", {}, 200),
    ("POST", "/metrics", {}, 404),
    ("POST", "/v1/words", {"Host": "elsewhere.example"}, 421),
    ("POST", "/v1/words", {"Content-Type": "application/grpc"}, 200),
    ("POST", "/v1/words", {"Content-Type": "application/xml"}, 415),
    ("POST", "/v1/nothing", {}, 404),
]


def late_body() -> Iterator[bytes]:
    time.sleep(0.002)
    yield b"12345"


def test_a_body_that_nobody_reads_costs_neither_the_connection_nor_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page", encoding="utf-8")
    app = make_application(title="t", openapi_path="/openapi", route_handlers=[picture, take_word], checks={}, background=Background())

    def statuses(turn: int) -> list[tuple[int, int]]:
        """Of requests whose bodies nobody reads, with what is expected, each followed by a good one."""
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=SECONDS) as client:
            found: list[tuple[int, int]] = []
            for method, path, headers, expected in UNREAD:
                content = late_body() if turn % 2 else b"12345"
                found.append(
                    (client.request(method, path, content=content, headers={"Content-Length": "5", **headers}).status_code, expected)
                )
                found.append((client.post("/v1/words", content=WORD, headers={"Content-Type": "application/json"}).status_code, 200))
            return found

    with serving(app) as url, gateway(tmp_path, urlsplit(url).port or 0) as port, ThreadPoolExecutor(8) as threads:
        found = [pair for pairs in threads.map(statuses, range(100)) for pair in pairs]

    assert [(status, expected) for status, expected in found if status != expected] == []


def _refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Send it again.")


def test_grpc_calls_pass_the_gateway_with_their_status(tmp_path: Path) -> None:
    port = free_port()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(lambda body, _: body), "Refuse": grpc.unary_unary_rpc_method_handler(_refuse)}
    server = grpc.server(ThreadPoolExecutor(2), handlers=(grpc.method_handlers_generic_handler("t.Service", handlers),))
    upstream = server.add_insecure_port("127.0.0.1:0")
    server.start()

    with gateway(tmp_path, upstream, grpc_port=port), grpc.insecure_channel(f"localhost:{port}") as channel:
        assert channel.unary_unary("/t.Service/Echo")(b"x" * 3_000_000, timeout=SECONDS) == b"x" * 3_000_000
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/t.Service/Refuse")(b"", timeout=SECONDS)
        server.stop(None).wait(SECONDS)
        with pytest.raises(grpc.RpcError) as unavailable:
            channel.unary_unary("/t.Service/Echo")(b"", timeout=SECONDS)
        foreign = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.default_authority", "evil.example")])
        with foreign, pytest.raises(grpc.RpcError) as misdirected:
            foreign.unary_unary("/t.Service/Echo")(b"", timeout=SECONDS)
        html = send(port, b"GET / HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n" % port)

    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Send it again.")
    assert (unavailable.value.code(), "Try again" in unavailable.value.details()) == (grpc.StatusCode.UNAVAILABLE, True)
    assert (misdirected.value.code(), "AMS_ALLOWED_HOSTS" in misdirected.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    assert b"/v1/traces" in html


def test_the_gateway_serves_the_documentation_and_its_own_page_for_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sdk").mkdir()
    for name, text in (("index.html", "home"), ("sdk/index.html", "sdk"), ("404.html", "missing"), ("search.json", "{}")):
        (tmp_path / name).write_text(text, encoding="utf-8")

    with gateway(tmp_path, 1) as port, httpx.Client(base_url=f"http://localhost:{port}") as client:
        answers = {path: client.get(path) for path in ("/docs", "/docs/", "/docs/sdk", "/docs/sdk/", "/docs/search.json", "/docs/nope/")}

    found = {
        path: (answer.status_code, answer.text if answer.status_code in (200, 404) else answer.headers["Location"])
        for path, answer in answers.items()
    }
    assert found == {
        "/docs": (302, "/docs/"),
        "/docs/": (200, "home"),
        "/docs/sdk": (308, "/docs/sdk/"),
        "/docs/sdk/": (200, "sdk"),
        "/docs/search.json": (200, "{}"),
        "/docs/nope/": (404, "missing"),
    }
    assert ["default-src 'none'" in answers[path].headers["Content-Security-Policy"] for path in ("/docs/", "/docs/nope/")] == [True, True]


def test_an_answer_with_a_policy_of_its_own_keeps_it(tmp_path: Path) -> None:
    app = make_application(title="t", openapi_path="/openapi", route_handlers=[picture], checks={}, background=Background())
    with (
        serving(app) as url,
        gateway(tmp_path, urlsplit(url).port or 0) as port,
        httpx.Client(base_url=f"http://localhost:{port}") as client,
    ):
        policies = [client.get(path).headers.get_list("Content-Security-Policy") for path in ("/api/traces/picture", "/api/traces/other")]

    assert policies[0] == ["sandbox"]
    assert "default-src 'self'" in policies[1][0]


def test_grpc_at_a_port_of_http_says_what_to_set(tmp_path: Path) -> None:
    upstream = Recorder()
    with contextlib.closing(upstream), gateway(tmp_path, upstream.port) as port, grpc.insecure_channel(f"localhost:{port}") as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as refused:
            export(b"", timeout=SECONDS)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in refused.value.details()
    assert upstream.received == []
