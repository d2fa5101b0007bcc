"""The fake model over HTTP: on a loopback port, or as the transport of an httpx client."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from ams.testing.fake_model import FakeModel, ModelFailureError, ScriptEndedError
from ams.testing.model_formats import StreamEvent, answer_of

BODY_BYTES_MAX = 4_194_304
JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"


def respond(model: FakeModel, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
    """Answer a request of any of the providers.

    Returns:
        Status, content type and body.
    """
    if method == "GET":
        return 200, JSON_TYPE, b'{"object": "list", "data": []}'
    try:
        answer = answer_of(model, path.partition("?")[0], json.loads(body))
    except ModelFailureError as error:
        return _refusal(error.failure.status, error.failure.message)
    except ScriptEndedError as error:
        return _refusal(400, str(error))  # no client repeats a 400
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _refusal(400, f"The fake model cannot read this request: {type(error).__name__}.")
    if answer is None:
        return _refusal(404, f"The fake model has no route {path}.")
    stream = answer.stream
    content = json.dumps(answer.document) if stream is None else "".join(map(_server_sent, stream))
    return 200, JSON_TYPE if stream is None else STREAM_TYPE, content.encode()


def _refusal(status: int, message: str) -> tuple[int, str, bytes]:
    return status, JSON_TYPE, json.dumps({"type": "error", "error": {"type": "fake_model", "message": message}}).encode()


def _server_sent(event: StreamEvent) -> str:
    name, data = event
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


class ModelTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The fake model in process: ``OpenAI(http_client=httpx.Client(transport=ModelTransport(model)))``, also of an ``AsyncClient``."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request, request.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._respond(request, await request.aread())

    def _respond(self, request: httpx.Request, body: bytes) -> httpx.Response:
        status, content_type, content = respond(self._model, request.method, request.url.path, body)
        return httpx.Response(status, headers={"Content-Type": content_type}, content=content)


class ModelServer(ThreadingHTTPServer):
    """The fake model on a loopback port.

    Args:
        model: Answers.
        port: 0 chooses a free one.
    """

    daemon_threads = True

    def __init__(self, model: FakeModel, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model

    @property
    def url(self) -> str:
        """The base address of Anthropic's and Gemini's clients."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def openai_url(self) -> str:
        """The base address of OpenAI's clients."""
        return f"{self.url}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead the clients of OpenAI and Anthropic here, with keys that are none."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": "fake",
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "fake",
        }


@contextmanager
def serving(model: FakeModel, port: int = 0) -> Generator[ModelServer]:
    """Serve a model while the block runs, in a thread of its own."""
    with ModelServer(model, port) as server:
        thread = threading.Thread(target=server.serve_forever, name="ams-fake-model", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride]  the only server that makes it

    def do_GET(self) -> None:
        self._send(*respond(self.server.model, "GET", self.path, b""))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self._send(*_refusal(413, f"The fake model takes requests of at most {BODY_BYTES_MAX} bytes, with their length."))
        return self._send(*respond(self.server.model, "POST", self.path, self.rfile.read(int(length))))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Nothing: requests hold prompts."""
