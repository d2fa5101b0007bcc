"""What is small as sent and large as objects is refused before it is made; what is read span by span gives what is read whole."""

import gzip

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.hostile_posts import NOW_NS, field, proto_attribute, proto_nested, proto_request, proto_span

from ams_kit.errors import BadRequestError
from ams_trace_ingest.intake import otlp_protobuf
from ams_trace_ingest.intake.body import GZIP_MEMBERS_MAX, inflate
from ams_trace_ingest.intake.budget import ByteBudget
from ams_trace_ingest.intake.otlp import Encoding, MalformedOtlpError, TooManySpansError, decode_logs, decode_traces

MIB = 1024 * 1024
TASK = "0af7651916cd43dd8448eb211c80319c"
COUNT = MIB  # of the smallest parts: 2 to 3 MiB as sent
EMPTY = b"\x12\x00"

SPANS = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}'
VALUES = SPANS % b'{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","attributes":%b}'
BOMBS = {
    "spans in json": (decode_traces, SPANS % (b"{}," * COUNT + b"{}"), Encoding.JSON),
    "scopes in json": (decode_traces, b'{"resourceSpans":[{"scopeSpans":[' + b"{}," * COUNT + b"{}]}]}", Encoding.JSON),
    "attributes in json": (decode_traces, VALUES % (b"[" + b"{}," * COUNT + b"{}]"), Encoding.JSON),
    "values in json": (decode_traces, VALUES % (b'[{"value":{"arrayValue":{"values":[' + b"{}," * COUNT + b"{}]}}}]"), Encoding.JSON),
    "log records in json": (decode_logs, b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * COUNT + b"{}]}]}]}", Encoding.JSON),
    "spans": (decode_traces, field(1, field(2, EMPTY * COUNT)), Encoding.PROTOBUF),
    "scopes": (decode_traces, field(1, EMPTY * COUNT), Encoding.PROTOBUF),
    "resources": (decode_traces, b"\x0a\x00" * COUNT, Encoding.PROTOBUF),
    "attributes of a span": (decode_traces, proto_request(proto_span(TASK, b"\x4a\x00" * COUNT)), Encoding.PROTOBUF),
    "attributes of a resource": (decode_traces, proto_request(proto_span(TASK), resource=b"\x0a\x00" * COUNT), Encoding.PROTOBUF),
    "attributes of a scope": (decode_traces, proto_request(proto_span(TASK), scope=b"\x1a\x00" * COUNT), Encoding.PROTOBUF),
    "events": (decode_traces, proto_request(proto_span(TASK, b"\x5a\x00" * COUNT)), Encoding.PROTOBUF),
    "values": (
        decode_traces,
        proto_request(proto_span(TASK, field(9, proto_attribute(b"a", field(5, b"\x0a\x00" * COUNT))))),
        Encoding.PROTOBUF,
    ),
    "log records": (decode_logs, field(1, field(2, EMPTY * COUNT)), Encoding.PROTOBUF),
}


@pytest.mark.parametrize("name", BOMBS)
def test_millions_of_small_parts_are_refused_before_they_are_made(name: str) -> None:
    decode, body, encoding = BOMBS[name]

    with pytest.raises(TooManySpansError):
        decode(body, encoding)


def test_an_empty_request_may_have_many_resources() -> None:
    assert decode_traces(b'{"resourceSpans":[' + b'{"scopeSpans":[]},' * 1_000 + b"{}]}", Encoding.JSON).spans == 0


@pytest.mark.parametrize(
    "body",
    [
        rb'{"foo":"\ud800"}', rb'{"foo":"\q"}', b'{"foo":1e999}', b'{"foo":' + b"9" * 6_000 + b"}", b'{"foo":"\xff\xfe"}',
        b'{"resourceSpans":[{"scope_spans":[]}]}', b'{"resourceSpans":[{"scopeSpans":[{"Spans":[]}]}]}', b'{"resourceLogs":[]}',
    ],
)  # fmt: skip
def test_a_request_without_spans_whose_names_are_strange_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedOtlpError):
        decode_traces(body, Encoding.JSON)


def test_a_large_request_says_the_same_read_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = b"".join(field(9, proto_attribute(b"k%d" % n, proto_nested(n % 5))) for n in range(20))
    spans = [proto_span(TASK, attributes + field(11, field(2, b"event") + b"\x09" + NOW_NS.to_bytes(8, "little"))) for _ in range(50)]
    scope = field(1, b"lib") + field(2, b"1")
    resource = field(1, proto_attribute(b"service.name", field(1, b"s")))
    body = proto_request(*spans, resource=resource, scope=scope) + proto_request(*spans[:3]) + field(9, b"unknown") + b"\xf8\x01\x01"
    assert ExportTraceServiceRequest.FromString(body)
    whole = decode_traces(body, Encoding.PROTOBUF)

    monkeypatch.setattr(otlp_protobuf, "WHOLE_BYTES_MAX", 0)

    assert decode_traces(body, Encoding.PROTOBUF) == whole


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_large_request_that_is_cut_is_malformed(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(otlp_protobuf, "WHOLE_BYTES_MAX", 0)

    with pytest.raises(MalformedOtlpError):
        decode_traces(proto_request(proto_span(TASK))[:-cut], Encoding.PROTOBUF)


async def test_gzip_members_without_end_are_refused_at_once() -> None:
    member = gzip.compress(b"")
    with ByteBudget(32 * MIB).lease("project", "key") as lease:
        assert await inflate(member * GZIP_MEMBERS_MAX, lease, MIB) == b""

        with pytest.raises(BadRequestError):
            await inflate(member * 800_000, lease, MIB)
