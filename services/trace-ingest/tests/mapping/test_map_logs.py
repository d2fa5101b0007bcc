"""GenAI log records join their step."""

import json
from typing import Any

import pytest
from tests.reference import NOW_US, PROJECT

from ams_contracts.codec import decode_event, encode
from ams_trace_ingest.mapping.map_logs import map_logs
from ams_trace_ingest.mapping.span_model import LogRecord

TRACE, SPAN = "1" * 32, "2" * 16
DETAILS = "gen_ai.client.inference.operation.details"


def record(
    name: str, body: Any = None, *, attributes: dict[str, Any] | None = None, trace_id: str = TRACE, time_ns: int = NOW_US * 1000
) -> LogRecord:
    return LogRecord(trace_id, SPAN, time_ns, name, body, attributes or {})


def test_details_become_the_input_and_output_of_their_step() -> None:
    attributes = {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "ho"}], "finish_reason": "stop"}],
    }

    joined = map_logs(PROJECT, [record(DETAILS, attributes=attributes)], received_at_us=NOW_US)

    assert (joined.joined, joined.ignored) == (1, 0)
    assert [(task, stored.step_id, stored.slot.value, stored.at_us) for task, stored in joined.payloads] == [
        (TRACE, SPAN, "input", NOW_US),
        (TRACE, SPAN, "output", NOW_US),
    ]
    assert json.loads(joined.payloads[0][1].text) == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert all(decode_event(encode(stored)) == stored for _, stored in joined.payloads)


def test_legacy_records_of_one_span_are_merged_in_order() -> None:
    records = [
        record("gen_ai.system.message", {"content": "be brief"}),
        record("gen_ai.user.message", {"content": "hi"}, time_ns=0),
        record("gen_ai.choice", {"message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}),
    ]

    joined = map_logs(PROJECT, records, received_at_us=NOW_US)

    asked, answered = (json.loads(stored.text) for _, stored in joined.payloads)
    assert [message["role"] for message in asked] == ["system", "user"]
    assert answered == [{"role": "assistant", "content": [{"type": "text", "text": "ho"}], "finish_reason": "stop"}]


def test_other_records_are_ignored_and_counted() -> None:
    records = [
        record("my.event", "x"),
        record(DETAILS, trace_id=""),
        record(DETAILS, trace_id="0" * 32),
        record(DETAILS, trace_id="x" * 32),
    ]

    joined = map_logs(PROJECT, records, received_at_us=NOW_US)

    assert (joined.payloads, joined.joined, joined.ignored, joined.unplaced) == ([], 0, 1, records[1:])


def test_the_name_may_be_an_attribute_and_a_repost_changes_nothing() -> None:
    records = [record("", {"content": "hi"}, attributes={"event.name": "gen_ai.user.message"})]

    assert map_logs(PROJECT, records, received_at_us=NOW_US) == map_logs(PROJECT, records, received_at_us=NOW_US + 5)


@pytest.mark.parametrize(
    ("written", "roles", "word"),
    [
        ([{"role": "user", "content": "hi"}, {"weird": 1}, {"weird": 2}], ["user", "unknown", "unknown"], "weird"),
        ({"text": "no message"}, ["user"], "no message"),
        ('[{"role": "user", "content": "cut o', ["user"], "cut o"),
        ([7], ["user"], "7"),
    ],
)
def test_what_is_no_conversation_is_kept(written: Any, roles: list[str], word: str) -> None:
    joined = map_logs(PROJECT, [record(DETAILS, attributes={"gen_ai.input.messages": written})], received_at_us=NOW_US)

    (stored,) = [stored for _, stored in joined.payloads]
    assert [message["role"] for message in json.loads(stored.text)] == roles
    assert word in stored.text


def test_the_message_of_an_exception_may_be_the_body() -> None:
    joined = map_logs(PROJECT, [record("exception", "boom", attributes={"exception.type": "E"})], received_at_us=NOW_US)

    failure = joined.steps[TRACE, SPAN].failure
    assert failure is not None
    assert (failure.type, failure.message) == ("E", "boom")
