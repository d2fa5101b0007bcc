"""A tiny intake of its own over real HTTP, and an SDK that sends to it."""

import gzip
import logging
import os
import random
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import ams
from ams.tracing.runtime import runtime
from ams_contracts import codec
from ams_contracts.documents import StepDocument, TaskDocument
from ams_contracts.events import Event, PayloadStored, StepEnded, StepRecorded, StepStarted, TaskEnded, TaskStarted, TaskUpdated
from ams_contracts.native import NativeBatch, NativeRequest

E = TypeVar("E")
WAIT_SECONDS = 10.0
_decoder = msgspec.json.Decoder(NativeRequest)


SPOOLING_PROLOGUE = """
import os, signal, sys, time
import ams
ams.init("ams_test", endpoint=sys.argv[1], announce=False, spool=sys.argv[2], exit_seconds=0.3, flush_interval_seconds=0.01,
    backoff_first_seconds=0.02, backoff_max_seconds=0.1)
"""


class Answer(msgspec.Struct):
    """What the intake shall answer instead of taking the request."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b"{}"


class FakeIntake:
    """Keeps the port's promise: 200 means taken; whatever else means that nothing was."""

    Answer = Answer

    def __init__(self) -> None:
        self.requests: list[NativeRequest] = []
        self.sizes: list[int] = []
        self.keys: set[str | None] = set()
        self.headers: dict[str, str] = {}  # of the last request with spans
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.refusals: deque[Answer] = deque()
        self.rejects: Callable[[Event], str | None] = lambda _: None
        self.grant: Callable[[dict[str, str]], Answer] = lambda _: Answer(404)  # of POST /api/auth/token
        self.seen = 0
        self.gate = threading.Event()
        self.gate.set()
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes, key: str | None) -> Answer:
        self.gate.wait(WAIT_SECONDS)
        try:
            request = codec.decode(_decoder, body, bytes_max=4 * 1024 * 1024)
        except codec.MalformedError:
            return Answer(422)
        with self.changed:
            self.seen += 1
            self.keys.add(key)
            self.changed.notify_all()
            if self.refusals:
                return self.refusals.popleft()
            rejected = [
                {"event_id": event.event_id, "code": code}
                for batch in request.batches
                for event in batch.events
                if (code := self.rejects(event))
            ]
            self.requests.append(request)
            self.sizes.append(len(body))
            accepted = sum(len(batch.events) for batch in request.batches) - len(rejected)
            return Answer(200, {}, msgspec.json.encode({"accepted": accepted, "rejected": rejected}))

    def take_spans(self, body: bytes, headers: dict[str, str]) -> Answer:
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.headers = headers
            for group in request.resource_spans:
                self.services |= {item.value.string_value for item in group.resource.attributes if item.key == "service.name"}
                for scope in group.scope_spans:
                    self.spans += scope.spans
            self.changed.notify_all()
        return Answer(200, {}, b"")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        intake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/api/auth/token":
                    answer = intake.grant(msgspec.json.decode(body))
                elif self.path == "/v1/traces":
                    answer = intake.take_spans(body, {name.lower(): value for name, value in self.headers.items()})
                else:
                    answer = intake.take(body, self.headers.get("authorization")) if self.path == "/v1/batches" else Answer(404)
                self.send_response(answer.status)
                for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        return Handler

    # -- questions; each takes what is there now

    def batches(self) -> list[NativeBatch]:
        with self.changed:
            return [batch for request in self.requests for batch in request.batches]

    def events(self) -> list[Event]:
        return [event for batch in self.batches() for event in batch.events]

    def of(self, *kinds: type[E]) -> list[E]:
        return [event for event in self.events() if isinstance(event, kinds)]

    def steps(self) -> dict[str, StepDocument]:
        """The last document of every step, by name."""
        return {event.step.name: event.step for event in self.of(StepStarted, StepEnded, StepRecorded)}

    def step_ids(self) -> dict[str, str]:
        return {event.step.name: event.step_id for event in self.of(StepStarted, StepEnded, StepRecorded)}

    def tasks(self) -> dict[str | None, TaskDocument]:
        """The last document of every task, by id."""
        return {
            batch.task_id: event.task
            for batch in self.batches()
            for event in batch.events
            if isinstance(event, TaskStarted | TaskUpdated | TaskEnded)
        }

    def payload(self, step_name: str, slot: str) -> PayloadStored:
        step_id = self.step_ids()[step_name]
        return next(event for event in reversed(self.of(PayloadStored)) if event.step_id == step_id and event.slot == slot)

    def ended(self, span_name: str) -> list[bool]:
        """Of each time a span of OpenTelemetry was sent, whether it had ended."""
        with self.changed:
            return [span.end_time_unix_nano > 0 for span in self.spans if span.name == span_name]

    def wait(self, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Until ``condition`` holds; it is asked after every request."""
        deadline = monotonic() + seconds
        with self.changed:
            while not condition():
                assert self.changed.wait(max(0.0, deadline - monotonic())), "waited in vain"


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts programs that trace to an address, with a mode of the spool."""

    def start(body: str, url: str, mode: str = "on-failure") -> subprocess.Popen[str]:
        path = tmp_path / f"program-{random.getrandbits(32):x}.py"
        path.write_text(SPOOLING_PROLOGUE + body, encoding="utf-8")
        command = [sys.executable, str(path), url, mode]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)

    return start


@pytest.fixture
def intake() -> Generator[FakeIntake]:
    server = FakeIntake()
    yield server
    server.close()


@pytest.fixture
def tracing(intake: FakeIntake) -> Generator[FakeIntake]:
    """Tracing is on and goes to ``intake``, fast."""
    ams.init(
        "ams_test", endpoint=intake.url, flush_interval_seconds=0.01, backoff_first_seconds=0.02, backoff_max_seconds=0.1, announce=False
    )
    yield intake
    intake.gate.set()
    ams.shutdown(timeout_seconds=1)


@pytest.fixture(autouse=True)
def _no_trouble(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[None]:
    """Whatever a test does, our own code must not have failed in silence."""
    for name in ("AMS_API_KEY", "AMS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AMS_SPOOL_DIR", str(tmp_path / "spool"))
    runtime.bug_reported = False
    with caplog.at_level(logging.WARNING, logger="ams"):
        yield
    assert not runtime.bug_reported, caplog.text
