"""A receiver of OTLP over HTTP, as small as one can be: it keeps what it takes."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """What was taken: the path, the headers and the body of each request."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def spans(self) -> list[Span]:
        bodies = [ExportTraceServiceRequest.FromString(body) for path, _, body in list(self.requests) if path == "/v1/traces"]
        return [span for body in bodies for resource in body.resource_spans for scope in resource.scope_spans for span in scope.spans]

    def metrics(self) -> dict[str, Metric]:
        bodies = [ExportMetricsServiceRequest.FromString(body) for path, _, body in list(self.requests) if path == "/v1/metrics"]
        found = [scope for body in bodies for resource in body.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in found for metric in scope.metrics}

    def services(self) -> set[str]:
        """Who has sent something."""
        kinds = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
        found: set[str] = set()
        for path, _, body in list(self.requests):
            request: Any = kinds[path].FromString(body)
            resources = request.resource_spans if path == "/v1/traces" else request.resource_metrics
            found |= {one.value.string_value for each in resources for one in each.resource.attributes if one.key == "service.name"}
        return found


def attributes_of(span: Span) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Receive on a free loopback port, in a thread."""
    taking = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            taking.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(taking.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taking.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield taking
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
