"""OTLP: requests in, answers out, in protobuf or JSON. Bytes to structures; knows no transport and no mapping."""

from enum import Enum
from typing import Any

import msgspec
from google.rpc.status_pb2 import Status
from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ams_trace_ingest.intake import otlp_json, otlp_protobuf
from ams_trace_ingest.intake.otlp_span_collector import SpanCollector
from ams_trace_ingest.intake.otlp_values import MalformedOtlpError, TooManySpansError
from ams_trace_ingest.mapping.span_model import LogRecord, ScopedSpans

__all__ = [
    "Encoding",
    "MalformedOtlpError",
    "Signal",
    "TooManySpansError",
    "TracesRequest",
    "decode_logs",
    "decode_traces",
    "encode_answer",
    "encode_error",
    "encoding_of",
    "rpc_code",
]

MESSAGE_CHARS_MAX = 1_000


class Encoding(Enum):
    """How a request came and its answer goes. The value is the content type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


class Signal(Enum):
    """What the request carries; the value is the name of what was rejected, as the answer calls it."""

    TRACES = "rejected_spans"
    LOGS = "rejected_log_records"
    METRICS = "rejected_data_points"


_RESPONSES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
}
_CAMEL = {Signal.TRACES: "rejectedSpans", Signal.LOGS: "rejectedLogRecords", Signal.METRICS: "rejectedDataPoints"}
_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
_RPC_UNKNOWN = 2


class TracesRequest(Struct):
    """A decoded request.

    Attributes:
        groups: The spans that were taken, by resource and scope, in the order of the request.
        spans: How many they are.
        rejected: How many were refused.
        message: Why, for the sender; empty when none was.
    """

    groups: list[ScopedSpans]
    spans: int
    rejected: int
    message: str


def encoding_of(content_type: str | None) -> Encoding | None:
    """The encoding that a ``Content-Type`` names, or ``None``: 415. Parameters are ignored."""
    name = (content_type or "").split(";", 1)[0].strip().lower()
    if name in {"application/x-protobuf", "application/protobuf"}:
        return Encoding.PROTOBUF
    return Encoding.JSON if name == "application/json" else None


def decode_traces(body: bytes, encoding: Encoding) -> TracesRequest:
    """Read the body of ``POST /v1/traces``, already inflated. Zero bytes of protobuf are an empty request.

    Raises:
        MalformedOtlpError: 400.
        TooManySpansError: 413.
    """
    reader = SpanCollector(len(body))
    (otlp_protobuf if encoding is Encoding.PROTOBUF else otlp_json).read_traces(body, reader)
    message = ""
    if reader.rejected:
        message = f"{reader.rejected} spans rejected: {'; '.join(reader.reasons)}"
        if not reader.spans:
            message += " (every span of the request: is it an export of traces?)"
    return TracesRequest(reader.groups, reader.spans, reader.rejected, message[:MESSAGE_CHARS_MAX])


def decode_logs(body: bytes, encoding: Encoding) -> list[LogRecord]:
    """Read the body of ``POST /v1/logs``, already inflated.

    Raises:
        MalformedOtlpError: 400.
    """
    return (otlp_protobuf if encoding is Encoding.PROTOBUF else otlp_json).read_logs(body)


def encode_answer(signal: Signal, encoding: Encoding, *, rejected: int = 0, message: str = "") -> bytes:
    """The body of a 200. ``rejected`` 0 with a message is a warning."""
    if encoding is Encoding.JSON:
        partial: dict[str, str] = {}
        if rejected:
            partial[_CAMEL[signal]] = str(rejected)  # int64 is a string in protobuf's JSON
        if message:
            partial["errorMessage"] = message
        return msgspec.json.encode({"partialSuccess": partial} if partial else {})
    response = _RESPONSES[signal]()
    if rejected:
        setattr(response.partial_success, signal.value, rejected)
    if message:
        response.partial_success.error_message = message
    return response.SerializeToString()


def rpc_code(http_status: int) -> int:
    """The status code of gRPC for an HTTP status."""
    return _RPC_CODES.get(http_status, _RPC_UNKNOWN)


def encode_error(encoding: Encoding, http_status: int, message: str) -> bytes:
    """The body of an error: ``google.rpc.Status`` in the encoding of the request."""
    code = rpc_code(http_status)
    if encoding is Encoding.JSON:
        return msgspec.json.encode({"code": code, "message": message[:MESSAGE_CHARS_MAX]})
    return Status(code=code, message=message[:MESSAGE_CHARS_MAX]).SerializeToString()
