"""Hostile and odd OTLP: which requests are refused, which spans are refused, and which values are cut and flagged."""

import json
import random
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.reference import to_protobuf

from ams_trace_ingest.intake.otlp import (
    Encoding,
    MalformedOtlpError,
    TooManySpansError,
    TracesRequest,
    decode_traces,
)
from ams_trace_ingest.mapping.span_model import Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
BOTH = pytest.mark.parametrize("encoding", list(Encoding))


def span_json(**fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "n",
        "startTimeUnixNano": "1795000000000000000",
        "endTimeUnixNano": "1795000001000000000",
        **fields,
    }


def request_json(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def decoded(encoding: Encoding, *spans: dict[str, Any]) -> TracesRequest:
    body = request_json(*spans)
    return decode_traces(to_protobuf(body) if encoding is Encoding.PROTOBUF else body, encoding)


def one(encoding: Encoding, **fields: Any) -> Span:
    request = decoded(encoding, span_json(**fields))
    assert (request.spans, request.rejected) == (1, 0), request.message
    return request.groups[0].spans[0]


def attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


def text(key: str, value: str) -> dict[str, Any]:
    return attribute(key, stringValue=value)


# --- whole requests


@pytest.mark.parametrize(("body", "encoding"), [(b"", Encoding.PROTOBUF), (b"{}", Encoding.JSON), (b'{"resourceSpans":[]}', Encoding.JSON)])
def test_an_empty_request_is_fine(body: bytes, encoding: Encoding) -> None:
    assert decode_traces(body, encoding).spans == 0


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (random.Random(1).randbytes(1024), Encoding.PROTOBUF),
        (request_json(span_json()), Encoding.PROTOBUF),
        (to_protobuf(request_json(span_json())), Encoding.JSON),
        (b"", Encoding.JSON),
        (b"[]", Encoding.JSON),
        (b"\xef\xbb\xbf{}", Encoding.JSON),
        (b'{"resourceSpans":[]}x', Encoding.JSON),
        (b'{"resource_spans":[{}]}', Encoding.JSON),
        (b'{"resourceSpans":[{"scope_spans":[{"spans":[{}]}]}]}', Encoding.JSON),
        (b'{"resourceSpans":[{"scopeSpans":[{"span":[{}]}]}]}', Encoding.JSON),
        (b'{"resourceLogs":[]}', Encoding.JSON),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":{"a":"b"}}]}]}]}', Encoding.JSON),
        (b'{"resourceSpans":' + b"[" * 100_000, Encoding.JSON),
        (request_json(span_json(name="\x00")).replace(b'"name": "\\u0000"', b'"name": "\xed\xa0\x80"'), Encoding.JSON),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, encoding: Encoding) -> None:
    with pytest.raises(MalformedOtlpError):
        decode_traces(body, encoding)


def test_invalid_utf8_in_protobuf_is_refused() -> None:
    body = to_protobuf(request_json(span_json(name="abc"))).replace(b"abc", b"a\xff\xfe")

    with pytest.raises(MalformedOtlpError):
        decode_traces(body, Encoding.PROTOBUF)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_json_does_not_have_are_refused(value: str) -> None:
    body = request_json(span_json(attributes=[attribute("a", doubleValue=12345)])).replace(b"12345", value.encode())

    with pytest.raises(MalformedOtlpError):
        decode_traces(body, Encoding.JSON)


@pytest.mark.parametrize("value", [str(2**63), str(-(2**63) - 1), 2**63, "1.5", "0x10", "1_000", " 1", "", "9" * 5_000])
def test_an_integer_beyond_int64_is_refused(value: Any) -> None:
    with pytest.raises(MalformedOtlpError):
        decoded(Encoding.JSON, span_json(attributes=[attribute("a", intValue=value)]))


def test_too_many_spans_are_refused_before_they_are_read() -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for _ in range(10_001):
        scope.spans.add()

    with pytest.raises(TooManySpansError):
        decode_traces(request_json(*[{}] * 10_001), Encoding.JSON)
    with pytest.raises(TooManySpansError):
        decode_traces(request.SerializeToString(), Encoding.PROTOBUF)


# --- one span


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": "0" * 32}, "all zero"),
        ({"spanId": "0" * 16}, "all zero"),
        ({"traceId": ""}, "hex"),
        ({"traceId": TRACE[:30]}, "hex"),
        ({"traceId": TRACE + "00"}, "hex"),
        ({"spanId": None}, "hex"),
        ({"traceId": "CvdlGRbNQ92ESOshHIAxnA==", "spanId": "t61rcWkgMzE="}, "hex"),
        ({"startTimeUnixNano": str(2**64 - 1)}, "range"),
        ({"endTimeUnixNano": str(2**64 - 1)}, "range"),
    ],
)
def test_a_bad_span_is_rejected_alone(fields: dict[str, Any], reason: str) -> None:
    request = decoded(Encoding.JSON, span_json(**fields), span_json(spanId="c" * 16))

    assert (request.spans, request.rejected) == (1, 1)
    assert reason in request.message


@pytest.mark.parametrize("size", [0, 15, 17])
def test_ids_of_other_sizes_are_rejected_in_protobuf(size: int) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(trace_id=b"1" * size, span_id=b"1" * 8)
    scope.spans.add(trace_id=b"1" * 16, span_id=b"1" * 8)

    result = decode_traces(request.SerializeToString(), Encoding.PROTOBUF)

    assert (result.spans, result.rejected) == (1, 1)


def test_ids_are_hex_of_any_case() -> None:
    span = one(Encoding.JSON, traceId=TRACE.upper(), spanId=SPAN.upper(), parentSpanId="ABCDEF0123456789")

    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, SPAN, "abcdef0123456789")


@pytest.mark.parametrize(("parent", "bad"), [("", False), (None, False), ("0" * 16, False), ("abc", True), ("z" * 16, True)])
def test_a_parent_that_is_none_makes_a_root(parent: str | None, *, bad: bool) -> None:
    span = one(Encoding.JSON, parentSpanId=parent)

    assert (span.parent_span_id, span.bad_parent) == (None, bad)


@pytest.mark.parametrize("value", [1795000000000000000, "1795000000000000000"])
def test_int64_comes_as_string_or_number(value: Any) -> None:
    span = one(Encoding.JSON, startTimeUnixNano=value, attributes=[attribute("a", intValue=value)])

    assert (span.start_ns, span.attributes) == (1795000000000000000, {"a": 1795000000000000000})


def test_enums_come_as_number_or_name() -> None:
    span = one(Encoding.JSON, kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"})

    assert (span.kind, span.status_code) == (3, 2)
    assert one(Encoding.JSON, kind=99, status={"code": 99}).status_code == 99


def test_unknown_fields_are_ignored() -> None:
    assert one(Encoding.JSON, something={"new": [1]}).name == "n"


def test_null_is_a_fields_default() -> None:
    span = one(Encoding.JSON, attributes=None, events=None, links=None, status=None, kind=None, flags=None, name=None)

    assert (span.name, span.attributes, span.status_code) == ("", {}, 0)


# --- values


@BOTH
def test_every_kind_of_value(encoding: Encoding) -> None:
    span = one(
        encoding,
        attributes=[
            text("s", "x"),
            text("empty", ""),
            attribute("i", intValue="-5"),
            attribute("d", doubleValue=0.5),
            attribute("b", boolValue=False),
            attribute("bytes", bytesValue="AAEC"),
            attribute("l", arrayValue={"values": [{"intValue": "1"}, {"stringValue": "a"}, {}]}),
            attribute("m", kvlistValue={"values": [text("k", "v")]}),
            attribute("none"),
        ],
    )

    assert span.attributes == {
        "s": "x", "empty": "", "i": -5, "d": 0.5, "b": False, "bytes": "AAEC", "l": [1, "a", None], "m": {"k": "v"}, "none": None,
    }  # fmt: skip


def test_doubles_that_json_has_no_word_for_become_their_names() -> None:
    span = one(
        Encoding.JSON,
        attributes=[attribute("a", doubleValue="NaN"), attribute("b", doubleValue="-Infinity"), attribute("c", doubleValue=1)],
    )

    assert span.attributes == {"a": "NaN", "b": "-Infinity", "c": 1.0}


@BOTH
def test_nul_is_replaced_and_flagged(encoding: Encoding) -> None:
    span = one(encoding, name="a\0b", attributes=[text("k", "x\0y"), text("k\0", "z")])

    assert (span.name, span.attributes) == ("a\ufffdb", {"k": "x\ufffdy", "k\ufffd": "z"})
    assert span.dropped is not None
    assert span.dropped.replaced


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"x\udc00y", "x\ufffdy"),
        (rb"\ud83d\ude00", "\N{GRINNING FACE}"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (rb"\ud83dx", "\ufffdx"),
        (rb"\\ud800", r"\ud800"),
    ],
)
def test_lone_surrogates_are_replaced(escaped: bytes, expected: str) -> None:
    body = request_json(span_json(attributes=[text("k", "VALUE")])).replace(b"VALUE", escaped)

    span = decode_traces(body, Encoding.JSON).groups[0].spans[0]

    assert span.attributes == {"k": expected}


@BOTH
def test_empty_and_long_keys_are_dropped_and_counted(encoding: Encoding) -> None:
    span = one(encoding, attributes=[text("", "x"), text("k" * 10_000, "x"), text("good", "x")])

    assert span.attributes == {"good": "x"}
    assert span.dropped is not None
    assert span.dropped.keys == 2


@BOTH
def test_of_duplicate_keys_the_last_wins(encoding: Encoding) -> None:
    assert one(encoding, attributes=[text("k", "1"), text("k", "2")]).attributes == {"k": "2"}


@BOTH
@pytest.mark.parametrize("character", ["x", "\u00e4", "\u20ac", "\N{GRINNING FACE}"])
def test_a_value_over_1_mib_is_cut_at_a_code_point(encoding: Encoding, character: str) -> None:
    value = "a" + character * 1_100_000

    span = one(encoding, attributes=[text("k", value)])

    kept = span.attributes["k"]
    assert value.startswith(kept)
    assert 1_048_570 <= len(kept.encode()) <= 1_048_576
    assert span.dropped is not None
    assert span.dropped.cut == {"k": len(value.encode())}


@BOTH
def test_a_span_over_4_mib_is_brought_under_it(encoding: Encoding) -> None:
    span = one(encoding, attributes=[text(f"k{index}", "x" * 900_000) for index in range(10)])

    assert sum(map(len, span.attributes.values())) <= 4 * 1_048_576
    assert len(span.attributes) == 10
    assert span.dropped is not None
    assert set(span.dropped.cut.values()) == {900_000}


@BOTH
def test_attributes_events_and_links_over_their_caps_are_counted(encoding: Encoding) -> None:
    link = {"traceId": TRACE, "spanId": SPAN}

    span = one(
        encoding,
        attributes=[text(f"k{index}", "x") for index in range(10_003)],
        events=[{"name": "e"}] * 1_005,
        links=[link] * 1_007,
        droppedAttributesCount=63,
    )

    assert (len(span.attributes), len(span.events), len(span.links)) == (10_000, 1_000, 1_000)
    assert span.dropped is not None
    assert (span.dropped.attributes, span.dropped.events, span.dropped.links, span.dropped.client_attributes) == (3, 5, 7, 63)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "bottom"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


@BOTH
@pytest.mark.parametrize("levels", [1, 31, 32, 33, 40, 44])
def test_below_32_levels_a_value_becomes_text(encoding: Encoding, levels: int) -> None:
    value = one(encoding, attributes=[{"key": "k", "value": deep(levels)}]).attributes["k"]

    depth = 0
    while isinstance(value, list):
        value = value[0]
        depth += 1
    assert depth == min(levels, 31)
    assert value == "bottom" if levels <= 31 else "bottom" in value


def test_what_the_decoder_itself_refuses_is_malformed() -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":' + b'{"arrayValue":{"values":[' * 5_000

    with pytest.raises(MalformedOtlpError):
        decode_traces(body, Encoding.JSON)


@BOTH
def test_a_large_resource_is_whole_with_its_first_span_only(encoding: Encoding) -> None:
    value = {
        "resourceSpans": [
            {"resource": {"attributes": [text("big", "x" * 900_000), text("service.name", "s")]}, "scopeSpans": [{"spans": [span_json()]}]}
        ]
    }
    body = json.dumps(value).encode()

    resource = decode_traces(to_protobuf(body) if encoding is Encoding.PROTOBUF else body, encoding).groups[0].resource

    assert len(resource.encoded) > 900_000
    assert json.loads(resource.encoded_again) == {"attributes": {"service.name": "s"}, "left_out": 1}
