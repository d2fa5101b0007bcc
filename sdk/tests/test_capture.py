"""Values to text: whatever it is, something readable comes out and nothing is raised."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams.tracing.capture import Cut, capture
from ams.tracing.messages import as_messages, preview_of_json, preview_of_messages
from ams.tracing.runtime import PAYLOAD_BYTES_MAX


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Model:
    """Like one of pydantic."""

    def model_dump(self) -> dict[str, int]:
        return {"a": 1}


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, '{"a":1}'),
        (Point(1, 2), '{"x":1,"y":2}'),
        (Model(), '{"a":1}'),
        ([Odd()], '["<odd>"]'),
        (datetime(2026, 11, 26, tzinfo=UTC), '"2026-11-26T00:00:00Z"'),
        ({(1, 2): "x"}, '{"(1, 2)":"x"}'),
        (2**80, f"{2**80}"),
        (float("nan"), "null"),
    ],
)
def test_values_become_json(value: Any, text: str) -> None:
    captured = capture(value)
    assert isinstance(captured, bytes)
    assert captured.decode() == text


def test_text_stays_itself() -> None:
    text = "x" * 100
    assert capture(text) is text


def test_a_snapshot_does_not_change_afterwards() -> None:
    messages = [{"role": "user"}]
    captured = capture(messages)
    messages.append({"role": "assistant"})
    assert captured == b'[{"role":"user"}]'


def test_cycles_end() -> None:
    cycle: dict[str, Any] = {"name": "x"}
    cycle["self"] = cycle
    captured = capture(cycle)
    assert isinstance(captured, bytes)
    assert json.loads(captured) == {"name": "x", "self": "<...>"}


def test_what_is_too_long_is_cut_and_knows_its_length() -> None:
    captured = capture("ä" * PAYLOAD_BYTES_MAX * 2)
    assert isinstance(captured, Cut)
    assert captured.bytes == PAYLOAD_BYTES_MAX * 4


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.binary(max_size=8) | st.builds(Odd),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers() | st.none(), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=12,
)


@given(anything)
def test_anything_is_captured(value: Any) -> None:
    captured = capture(value)
    if isinstance(captured, bytes):
        json.loads(captured)


@given(anything)
def test_anything_may_claim_to_be_a_conversation(value: Any) -> None:
    captured = capture([{"role": "user", "content": value}])
    assert isinstance(captured, bytes)
    messages = as_messages(json.loads(captured))
    assert messages is not None
    assert len(preview_of_messages(messages, is_input=True)) <= 512
    assert len(preview_of_json(json.loads(captured))) <= 512


def test_the_blocks_of_anthropic_become_parts() -> None:
    messages = as_messages(
        [
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "3"}]},
        ]
    )
    assert messages == [
        {
            "role": "assistant",
            "content": [{"type": "reasoning", "text": "hm"}, {"type": "tool_call", "id": "t", "name": "add", "arguments": {"a": 1}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "id": "t", "result": "3"}]},
    ]


def test_a_list_of_other_things_is_no_conversation() -> None:
    assert as_messages([{"role": "admin", "name": "Ada"}]) is None
    assert as_messages([]) is None
    assert as_messages({"a": 1}) is None
