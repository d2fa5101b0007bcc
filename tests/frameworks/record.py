"""Run the examples and keep what each emits, and its tree: ``python -m tests.frameworks.record [NAME ...]``, from the root of the checkout.

The ordinary tests map what was recorded, so that a change of the mapping shows what it does to every framework. Read the differences before you
commit them.
"""

import base64
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.frameworks import programs, trees

HERE = Path(__file__).parent


class Sink(BaseHTTPRequestHandler):
    """Accepts OTLP over HTTP and keeps the bodies."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing."""


@contextmanager
def sink() -> Iterator[tuple[str, list[bytes]]]:
    """A running sink: its address, and the bodies that it got."""
    bodies: list[bytes] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Sink,), {"bodies": bodies}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_json(bodies: list[bytes], home: str) -> bytes:
    """The requests as one in OTLP JSON, without the folders of this machine."""
    merged: dict[str, list[Any]] = {"resourceSpans": []}
    for body in bodies:
        request = MessageToDict(ExportTraceServiceRequest.FromString(body))
        for resource in request.get("resourceSpans", []):
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for item in (span, *span.get("links", [])):
                        for key in ("traceId", "spanId", "parentSpanId"):
                            if item.get(key):
                                item[key] = base64.b64decode(item[key]).hex()
            merged["resourceSpans"].append(resource)
    text = json.dumps(merged)
    for folder in (str(programs.FOLDER), home, str(HERE.parents[1])):
        text = text.replace(folder, "/program")
    return text.encode()


def record(name: str) -> None:
    """Run one program, and write its two files."""
    with tempfile.TemporaryDirectory() as home, programs.models() as (model, ledger), sink() as (endpoint, bodies):
        programs.run(name, model=model, endpoint=endpoint, key="none", home=Path(home))
        body = as_json(bodies, home)
    text, total = trees.of_posts([body])
    with (HERE / "recorded" / f"{name}.json.gz").open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(body)
    (HERE / "trees" / f"{name}.txt").write_text(text)
    calls = (sum(call["input"] for call in ledger), sum(call["output"] for call in ledger))
    print(f"{name}: {total} tokens counted, {calls} in the ledger of {len(ledger)} calls")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or programs.PROGRAMS:
        record(chosen)
