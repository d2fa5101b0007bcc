"""Whatever attributes come, the mapping answers with events that the log's consumers can read."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reference import map_one

from ams_contracts.codec import decode_event, encode
from ams_contracts.documents import Slot
from ams_contracts.events import BATCH_BYTES_MAX
from ams_trace_ingest.intake.otlp_values import TIME_NS_END
from ams_trace_ingest.mapping.map_span import RULES
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.payloads import ENCODED_BYTES_MAX
from ams_trace_ingest.mapping.span_model import SpanEvent

KEYS = sorted(
    {
        *RULES.known_keys(),
        *(f"llm.{side}_messages.{index}.message.{rest}" for side in ("input", "output") for index in (0, 1) for rest in ("role", "content", "tool_calls.0.tool_call.function.name", "contents.0.message_content.text", "contents.x", "tool_calls")),
        *(f"gen_ai.{side}.{index}.{rest}" for side in ("prompt", "completion") for index in (0, 7) for rest in ("role", "content", "tool_calls.0.name", "")),
        "llm.input_messages.",
        "llm.input_messages.0",
        "llm.input_messages.0.message",
        "llm.input_messages." + "0." * 400,
        "retrieval.documents.0.document.content",
        "retrieval.documents.0",
        "embedding.embeddings.0.embedding.text",
        "gen_ai.request.temperature",
        "gen_ai.handoff.x",
        "ams.tag.a",
        "http.x",
    }
)  # fmt: skip
FIELDS = [
    "role",
    "content",
    "parts",
    "type",
    "text",
    "messages",
    "tool_calls",
    "function",
    "arguments",
    "id",
    "name",
    "lc",
    "kwargs",
    "data",
    "choices",
    "message",
    "generations",
    "contents",
    "input",
    "output",
    "candidates",
    "config",
    "prompt",
    "system",
    "total",
    "image_url",
    "source",
]
WORDS = [
    "",
    "user",
    "human",
    "tool",
    "ai",
    "text",
    "tool_call",
    "function_call",
    "image_url",
    "{}",
    "[]",
    "[[]]",
    '"x"',
    "{",
    "null",
    "1",
    "-1",
    "NaN",
    "\x1b[31m",
    "<img src=x onerror=alert(1)>",
    "cancelled",
    "pending_span",
    "2026-01-01T00:00:00Z",
    "0" * 16,
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4), max_leaves=12
)
attribute_values = values | values.map(json.dumps)
soups = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=10), attribute_values, max_size=12)
events = st.lists(
    st.builds(
        SpanEvent,
        st.sampled_from(["exception", "gen_ai.choice", "gen_ai.user.message", "gen_ai.tool.message", "gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "x"]),
        st.integers(0, 2**63 - 1),
        st.dictionaries(st.sampled_from(["content", "role", "message", "id", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt", "tool_calls", "exception.type", "exception.stacktrace"]), attribute_values, max_size=4),
    ),
    max_size=3,
)  # fmt: skip


def check(item: MappedSpan) -> None:
    for event in (item.event, *item.payloads):
        assert decode_event(encode(event)) == event
    step = item.event.step
    assert len({payload.slot for payload in item.payloads}) == len(item.payloads)
    assert [payload.slot for payload in item.payloads] == step.captured or set(step.captured) == {payload.slot for payload in item.payloads}
    assert len(step.preview_input or "") <= 512
    assert step.cost_nusd is None or 0 <= step.cost_nusd < 10**18
    json.loads(item.payloads[0].text)


spans = st.fixed_dictionaries(
    {
        "attributes": soups,
        "events": events,
        "start_ns": st.integers(0, TIME_NS_END - 1),
        "end_ns": st.integers(0, TIME_NS_END - 1),
        "name": st.text(max_size=5),
        "status_code": st.integers(-(2**31), 2**31 - 1),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans)
def test_any_attributes_give_readable_events(span: dict[str, Any]) -> None:
    check(map_one(**span))


@pytest.mark.parametrize("key", ["input.value", "gen_ai.input.messages", "output.value", "exception"])
@pytest.mark.parametrize("character", ["x", "\x01", '"', "\u20ac", "\N{GRINNING FACE}"])
def test_the_largest_values_fit_into_records(key: str, character: str) -> None:
    value = character * (1_048_576 // len(character.encode()))

    item = map_one({key: value, "gen_ai.operation.name": "chat"})

    check(item)
    assert all(len(encode(payload)) < ENCODED_BYTES_MAX + 10_000 for payload in item.payloads)
    assert len(encode(item.event)) < BATCH_BYTES_MAX / 4


def test_ten_thousand_attributes_fit_into_a_record() -> None:
    item = map_one({f"key.{index}": "x" * 400 for index in range(10_000)})

    check(item)
    original = json.loads(item.payloads[0].text)
    assert original["trace_id"] == "1" * 32
    assert original["cut"]


def test_a_step_event_stays_small_whatever_its_words() -> None:
    long = "\x01" * 5_000
    attributes = dict.fromkeys(RULES.known_keys(), long) | {f"ams.tag.{index}": long for index in range(200)}

    item = map_one(attributes, name=long, status_code=2, status_message=long)

    assert len(encode(item.event)) <= 240 * 1024


def test_deeply_nested_values_have_a_preview() -> None:
    value: Any = "bottom"
    for _ in range(32):
        value = [value]

    check(map_one({"input.value": value}))
    check(map_one({"input.value": "[" * 5_000 + "]" * 5_000}))


def test_markup_and_escapes_are_kept_as_they_are() -> None:
    item = map_one({"input.value": "<script>alert(1)</script>"}, name="<img src=x onerror=alert(1)>")

    assert item.event.step.name == "<img src=x onerror=alert(1)>"
    assert item.event.step.preview_input == "<script>alert(1)</script>"
    assert item.payloads[1].slot is Slot.INPUT
