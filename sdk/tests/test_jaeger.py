"""Files of Jaeger: what they can carry is equal after a round trip, and what Jaeger itself writes is read."""

import io
import json
from typing import Any

import pytest

from ams.cli import transfer
from ams.cli.jaeger import SPANS_A_LINE, from_jaeger, is_jaeger, to_jaeger
from ams.cli.platform import PlatformError

TRACE, ROOT, CHILD = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", "b7ad6b7169203331"


def attributes(**values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]


def a_line(*spans: dict[str, Any], scope: str = "agent") -> bytes:
    resource = {"attributes": attributes(service__name={"stringValue": "planner"}, host__name={"stringValue": "a"})}
    groups = [{"resource": resource, "scopeSpans": [{"scope": {"name": scope, "version": "2"}, "spans": [span]} for span in spans]}]
    return json.dumps({"resourceSpans": groups}).encode()


def a_span(span_id: str = ROOT, **more: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": "1790000000000001000", "endTimeUnixNano": "1790000000000501000"}
    return {"traceId": TRACE, "spanId": span_id, "name": "chat", "kind": 1, **times, "attributes": [], "events": [], "links": [], **more}


FAILED = a_span(
    CHILD,
    parentSpanId=ROOT,
    kind=3,
    traceState="ams=1",
    status={"code": 2, "message": "no such city"},
    attributes=attributes(
        gen_ai__usage__input_tokens={"intValue": "9007199254740993"},
        gen_ai__usage__cost={"doubleValue": 0.25},
        streamed={"boolValue": False},
        raw={"bytesValue": "AAE="},
        input__value={"stringValue": '{"city": "Ōsaka"}'},
    ),
    events=[
        {"name": "exception", "timeUnixNano": "1790000000000400000", "attributes": attributes(exception__type={"stringValue": "KeyError"})}
    ],
    links=[{"traceId": "f" * 32, "spanId": "e" * 16}],
)


def test_what_jaeger_can_carry_is_equal_after_a_round_trip() -> None:
    lines = [a_line(a_span(), FAILED), a_line(a_span("c" * 16, parentSpanId=ROOT, status={"code": 1, "message": ""}), scope="other")]

    document = to_jaeger(lines)

    assert is_jaeger(document)
    [line] = from_jaeger(document)
    [group] = json.loads(line)["resourceSpans"]
    sent = [json.loads(one)["resourceSpans"][0] for one in lines]
    assert group["resource"] == sent[0]["resource"]
    assert group["scopeSpans"] == [scoped for one in sent for scoped in one["scopeSpans"]]
    assert to_jaeger([line]) == document


def test_lists_and_objects_become_text_and_nanoseconds_are_cut() -> None:
    values = {"values": [{"stringValue": "stop"}, {"kvlistValue": {"values": attributes(a={"intValue": "1"})}}]}
    span = a_span(startTimeUnixNano="1790000000000001999", attributes=attributes(reasons={"arrayValue": values}))

    [line] = from_jaeger(to_jaeger([a_line(span)]))

    found = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert found["attributes"] == attributes(reasons={"stringValue": '["stop", {"a": 1}]'})
    assert (found["startTimeUnixNano"], found["endTimeUnixNano"]) == ("1790000000000001000", "1790000000000501000")


def test_a_file_that_jaeger_wrote_is_read() -> None:
    """As its pages save it: short ids, inline and missing members, an error of OpenTracing, text for a large number."""
    document = {
        "total": 0,
        "data": [
            {
                "traceID": "af7651916cd43dd8448eb211c80319c",
                "spans": [
                    {
                        "traceID": "af7651916cd43dd8448eb211c80319c",
                        "spanID": "f067aa0ba902b7",
                        "flags": 1,
                        "operationName": "GET /",
                        "references": [{"refType": "FOLLOWS_FROM", "traceID": "af7651916cd43dd8448eb211c80319c", "spanID": "1"}],
                        "startTime": 1_790_000_000_000_001,
                        "duration": 7,
                        "tags": [
                            {"key": "error", "type": "bool", "value": True},
                            {"key": "span.kind", "type": "string", "value": "server"},
                            {"key": "big", "type": "int64", "value": "9007199254740993"},
                        ],
                        "logs": [{"timestamp": 1_790_000_000_000_002, "fields": [{"key": "message", "type": "string", "value": "slow"}]}],
                        "processID": "p1",
                        "warnings": None,
                    }
                ],
                "processes": {"p1": {"serviceName": "frontend"}},
                "warnings": None,
            }
        ],
        "errors": None,
    }

    [line] = from_jaeger(json.dumps(document).encode())

    [group] = json.loads(line)["resourceSpans"]
    [span] = group["scopeSpans"][0]["spans"]
    assert group["resource"]["attributes"] == attributes(service__name={"stringValue": "frontend"})
    assert (span["traceId"], span["spanId"], span["parentSpanId"], span["kind"]) == (TRACE, ROOT, "0" * 15 + "1", 2)
    assert (span["status"]["code"], span["attributes"]) == (2, attributes(big={"intValue": "9007199254740993"}))
    assert (span["events"][0]["name"], span["endTimeUnixNano"]) == ("log", "1790000000000008000")


def test_a_large_trace_becomes_several_lines() -> None:
    spans = [a_span(f"{number:016x}") for number in range(1, SPANS_A_LINE + 2)]

    assert [line.count(b'"spanId"') for line in from_jaeger(to_jaeger([a_line(*spans)]))] == [SPANS_A_LINE, 1]


ARCHIVE = b'{"kind":"ams.archive","v":1}\n{"kind":"end"}\n'
DOCUMENT = to_jaeger([a_line(a_span())])


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        (ARCHIVE, ARCHIVE.splitlines(keepends=True)),
        (a_line(a_span()) + b"\n", [a_line(a_span()) + b"\n"]),
        (DOCUMENT, list(from_jaeger(DOCUMENT))),
        (json.dumps(json.loads(DOCUMENT), indent=2).encode(), list(from_jaeger(DOCUMENT))),
        (json.dumps(json.loads(DOCUMENT)["data"][0]).encode(), list(from_jaeger(DOCUMENT))),
        (b"not JSON\n", [b"not JSON\n"]),
        (b"", [b""]),
    ],
)
def test_an_import_recognises_the_format(file: bytes, lines: list[bytes]) -> None:
    assert list(transfer._lines(io.BytesIO(file))) == lines


def test_a_number_without_a_value_is_refused_with_the_reason() -> None:
    document = json.loads(DOCUMENT)
    document["data"][0]["spans"][0]["tags"] = [{"key": "score", "type": "float64", "value": None}]

    with pytest.raises(PlatformError, match="looks like one of Jaeger, but cannot be read"):
        transfer._lines(io.BytesIO(json.dumps(document).encode()))


@pytest.mark.parametrize("file", [b'{"data": [{"spans": [{"spanID": 1}]}]}', b'{"data": [7]}'])
def test_a_file_that_only_looks_like_one_of_jaeger_is_refused_with_the_reason(file: bytes) -> None:
    with pytest.raises(PlatformError, match=r"looks like one of Jaeger, but cannot be read: .*data"):
        transfer._lines(io.BytesIO(file))


def test_a_document_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DOCUMENT_BYTES_MAX", 100)

    with pytest.raises(PlatformError, match="Export fewer traces"):
        transfer._lines(io.BytesIO(DOCUMENT))
