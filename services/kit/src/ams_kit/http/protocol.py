"""uvicorn's HTTP protocol, with problem documents for requests that cannot be parsed.

llhttp refuses a bad chunk, a bare line feed, and Content-Length together with Transfer-Encoding, so that no proxy and no service can read
one request as two. A gRPC exporter begins with the preface of HTTP/2: the answer names the protocol to use.
"""

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ams_kit.http.problems import PROBLEM_MEDIA_TYPE, Problem

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"
GRPC_ADVICE = "This port speaks HTTP/1.1, not gRPC. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the port for gRPC (4317)."

_MALFORMED = Problem(
    title="The request cannot be read",
    status=400,
    code="malformed_http",
    detail="The request is not valid HTTP/1.1. The connection is closed.",
)
_HTTP2 = Problem(title="The request cannot be read", status=400, code="grpc_unsupported", detail=GRPC_ADVICE)


class HttpProtocol(HttpToolsProtocol):
    """The protocol class that uvicorn uses; see the module."""

    _preface = False

    def data_received(self, data: bytes) -> None:
        self._preface = data.startswith(HTTP2_PREFACE)
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own text
        """Answer with a problem document and close, unless an answer has begun: then only close."""
        cycle = self.cycle
        if not cycle or cycle.response_complete or not cycle.response_started:  # there is none before the first request
            body = msgspec.json.encode(_HTTP2 if self._preface else _MALFORMED)
            head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode() + body)
        self.transport.close()
