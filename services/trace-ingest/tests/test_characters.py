"""U+0000 and lone surrogates are replaced the same way on every way in, and the step says so."""

import base64
import json
from typing import Any

import pytest
from tests.reference import NOW_US, PRICES, PROJECT, to_protobuf

from ams_contracts.codec import decode_batch
from ams_contracts.events import StepStarted, TaskStarted
from ams_trace_ingest.characters import lone_surrogates_as_nul, replace_invalid_escapes
from ams_trace_ingest.intake.native import read_native
from ams_trace_ingest.intake.otlp import Encoding, decode_traces
from ams_trace_ingest.mapping.map_request import map_request

TASK, STEP = "a" * 32, "c" * 16


@pytest.mark.parametrize(
    ("json_text", "expected"),
    [
        (rb'"a\u0000b"', rb'"a\ufffdb"'),
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\udc00\ud800"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\u0000 \\ud800"', rb'"\\u0000 \\ud800"'),
        (rb'"\\\u0000"', rb'"\\\ufffd"'),
        (rb'"plain \n"', rb'"plain \n"'),
    ],
)
def test_invalid_escapes_are_replaced_in_place(json_text: bytes, expected: bytes) -> None:
    assert replace_invalid_escapes(json_text) == expected
    assert len(expected) == len(json_text)


def test_a_text_without_invalid_escapes_is_the_same_object() -> None:
    text = rb'{"a":"\ud83d\ude00 \\u0000"}'

    assert replace_invalid_escapes(text) is text


def test_a_lone_surrogate_becomes_a_nul_that_decoders_take() -> None:
    assert json.loads(lone_surrogates_as_nul(rb'"\ud800x\ud83d\ude00"')) == "\0x\N{GRINNING FACE}"


def native_flags(name: str) -> list[list[str]]:
    """The flags of a step and of a task whose name is written as this in JSON, and of their untouched neighbours."""
    step = {"kind": "step.started", "event_id": "b" * 32, "seq": 1, "at_us": 5, "step_id": STEP}
    task = {"kind": "task.started", "event_id": "d" * 32, "seq": 2, "at_us": 5}
    events = [
        step | {"step": {"type": "llm", "name": "NAME", "status": "running"}},
        step | {"step": {"type": "llm", "name": "call", "status": "running"}, "event_id": "e" * 32},
        task | {"task": {"name": "NAME", "status": "running"}},
        task | {"task": {"name": "call", "status": "running"}, "event_id": "f" * 32},
    ]
    batch = {"task_id": TASK, "producer": {"sdk": "ams", "instance_id": "p1"}, "events": events}
    body = json.dumps({"v": 1, "batches": [batch]}).replace("NAME", name).encode()
    found: list[list[str]] = []
    for event in decode_batch(read_native(body, project_id=PROJECT, key_id="k1", prices=PRICES).steps[0].value).batch.events:
        assert isinstance(event, StepStarted | TaskStarted)
        document = event.step if isinstance(event, StepStarted) else event.task
        assert document.name in {"a\ufffdb", "call"}
        found.append(document.flags)
    return found


@pytest.mark.parametrize("name", [r"a\u0000b", r"a\ud800b", r"a\uDC00b"])
def test_a_native_document_is_flagged_and_its_neighbours_are_not(name: str) -> None:
    assert native_flags(name) == [["replaced_characters"], [], ["replaced_characters"], []]


def otlp_flags(body: bytes, encoding: Encoding) -> list[list[str]]:
    items = map_request(PROJECT, decode_traces(body, encoding).groups, received_at_us=NOW_US, prices=PRICES)
    assert items[0].event.step.name == "a\ufffdb"
    return [item.event.step.flags for item in items]


def otlp_body(name: str) -> bytes:
    def span(span_id: str, name: str) -> dict[str, Any]:
        times = {"startTimeUnixNano": "1795000000000000000", "endTimeUnixNano": "1795000001000000000"}
        return {"traceId": TASK, "spanId": span_id, "name": name, **times}

    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span(STEP, "NAME"), span("d" * 16, "call")]}]}]})
    return body.replace("NAME", name).encode()


@pytest.mark.parametrize("name", [r"a\u0000b", r"a\ud800b", r"a\uDC00b"])
def test_a_span_in_json_is_flagged_and_its_neighbours_are_not(name: str) -> None:
    assert otlp_flags(otlp_body(name), Encoding.JSON) == [["replaced_characters"], []]


def test_a_span_in_protobuf_is_flagged_and_its_neighbours_are_not() -> None:
    # protobuf refuses bytes that are no UTF-8, so lone surrogates cannot arrive
    assert otlp_flags(to_protobuf(otlp_body(r"a\u0000b")), Encoding.PROTOBUF) == [["replaced_characters"], []]


def test_base64_of_zero_bytes_is_not_a_nul() -> None:
    text = base64.b64encode(bytes(6)).decode()

    assert replace_invalid_escapes(json.dumps(text).encode()) == json.dumps(text).encode()
