"""OTLP beside spans: log records, answers, errors, content types."""

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ams_trace_ingest.intake.otlp import Encoding, Signal, decode_logs, encode_answer, encode_error, encoding_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


@pytest.mark.parametrize("encoding", list(Encoding))
def test_logs_are_read(encoding: Encoding) -> None:
    record = {
        "traceId": TRACE,
        "spanId": SPAN,
        "timeUnixNano": "5",
        "eventName": "e",
        "body": {"kvlistValue": {"values": [text("a", "b")]}},
    }
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    if encoding is Encoding.PROTOBUF:
        record.update(traceId=base64.b64encode(bytes.fromhex(TRACE)).decode(), spanId=base64.b64encode(bytes.fromhex(SPAN)).decode())
        message = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        body = ParseDict(message, ExportLogsServiceRequest()).SerializeToString()

    (got,) = decode_logs(body, encoding)

    assert (got.trace_id, got.span_id, got.time_ns, got.event_name, got.body) == (TRACE, SPAN, 5, "e", {"a": "b"})


def test_answers() -> None:
    assert encode_answer(Signal.TRACES, Encoding.PROTOBUF) == b""
    assert encode_answer(Signal.TRACES, Encoding.JSON) == b"{}"
    assert json.loads(encode_answer(Signal.TRACES, Encoding.JSON, rejected=2, message="no")) == {
        "partialSuccess": {"rejectedSpans": "2", "errorMessage": "no"}
    }
    answer = ExportTraceServiceResponse.FromString(encode_answer(Signal.TRACES, Encoding.PROTOBUF, rejected=2, message="no"))
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (2, "no")
    assert encode_answer(Signal.LOGS, Encoding.PROTOBUF) == encode_answer(Signal.METRICS, Encoding.PROTOBUF) == b""


def test_errors() -> None:
    status = Status.FromString(encode_error(Encoding.PROTOBUF, 400, "no"))

    assert (status.code, status.message) == (3, "no")
    assert json.loads(encode_error(Encoding.JSON, 503, "later")) == {"code": 14, "message": "later"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("application/x-protobuf", Encoding.PROTOBUF),
        ("Application/JSON; charset=utf-8", Encoding.JSON),
        ("application/grpc", None),
        ("text/plain", None),
        ("", None),
        (None, None),
    ],
)
def test_content_types(name: str | None, expected: Encoding | None) -> None:
    assert encoding_of(name) is expected
