"""Bytes of any kind are refused by name or become events that the log's consumers can read. Nothing else, ever."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import NOW_US, PROJECT, as_json, mapped, to_protobuf

from ams_trace_ingest.intake.otlp import Encoding, MalformedOtlpError, TooManySpansError, decode_logs
from ams_trace_ingest.mapping.map_logs import map_logs

BODY = as_json("openinference_openai_truncated_attrs")
PROTOBUF = to_protobuf(BODY)
NAMES = ["resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "parentSpanId", "attributes", "key", "value", "stringValue", "intValue", "arrayValue", "kvlistValue", "values", "doubleValue", "bytesValue", "boolValue", "events", "links", "status", "code", "kind", "name", "flags", "timeUnixNano", "startTimeUnixNano", "endTimeUnixNano", "droppedAttributesCount", "resource", "scope", "resourceLogs", "scopeLogs", "logRecords", "body", "eventName"]  # fmt: skip
VALUES = [
    "",
    "1" * 32,
    "2" * 16,
    "0" * 16,
    "gen_ai.user.message",
    "input.value",
    "llm.token_count.prompt",
    "NaN",
    "18446744073709551615",
    "-1",
    "x\0",
]
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(VALUES)
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5), max_leaves=20
)
fields = st.dictionaries(st.sampled_from(NAMES), anything, max_size=6)
any_values = st.recursive(
    st.dictionaries(st.sampled_from(["stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"]), leaves, max_size=1),
    lambda inner: st.builds(lambda values: {"arrayValue": {"values": values}}, st.lists(inner, max_size=3)),
    max_leaves=5,
)
attributes = st.lists(st.fixed_dictionaries({"key": st.sampled_from(VALUES), "value": any_values}), max_size=4)
spans = st.builds(lambda extra, attrs: {"traceId": "1" * 32, "spanId": "2" * 16, "attributes": attrs, **extra}, fields, attributes)
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)


def survive(body: bytes, encoding: Encoding) -> None:
    try:
        mapped([body], encoding)
    except (MalformedOtlpError, TooManySpansError):
        return


def edited(body: bytes, changes: list[tuple[float, int]]) -> bytes:
    changed = bytearray(body)
    for place, byte in changes:
        changed[int(place * len(changed))] = byte
    return bytes(changed)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes(body: bytes) -> None:
    for encoding in Encoding:
        survive(body, encoding)


@FUZZ
@given(edits)
def test_a_real_request_with_bytes_changed(changes: list[tuple[float, int]]) -> None:
    survive(edited(PROTOBUF, changes), Encoding.PROTOBUF)
    survive(edited(BODY, changes), Encoding.JSON)


@FUZZ
@given(anything)
def test_any_json(value: Any) -> None:
    survive(json.dumps(value).encode(), Encoding.JSON)


@FUZZ
@given(st.lists(spans, max_size=3), fields)
def test_spans_with_any_fields(found: list[dict[str, Any]], resource: dict[str, Any]) -> None:
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": found}]}]}

    survive(json.dumps(request).encode(), Encoding.JSON)


@FUZZ
@given(st.lists(spans, max_size=3))
def test_log_records_with_any_fields(found: list[dict[str, Any]]) -> None:
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "gen_ai.user.message", **record} for record in found]}]}]}

    try:
        records = decode_logs(json.dumps(request).encode(), Encoding.JSON)
    except MalformedOtlpError:
        return
    map_logs(PROJECT, records, received_at_us=NOW_US)
