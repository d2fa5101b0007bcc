"""Spans and log records of one step meet, whichever arrives first; what never meets is bounded and counted."""

from typing import Any

import pytest
from prometheus_client import REGISTRY
from tests.reference import NOW_US, PROJECT, map_one

from ams_contracts.documents import Failure, Slot, Status
from ams_contracts.events import MediaStored, PayloadStored
from ams_trace_ingest.intake import log_joiner
from ams_trace_ingest.intake.log_joiner import Additions, LogJoiner
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.span_model import LogRecord

TASK, STEP = "1" * 32, "2" * 16
OTHER_PROJECT = "01900000-0000-7000-8000-000000000002"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.response.id": "r1"}
DETAILS = "gen_ai.client.inference.operation.details"
SAID = {
    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}],
    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Because."}], "finish_reason": "length"}],
    "gen_ai.tool.definitions": [{"name": "search"}],
}
UNJOINED = {"projection": "intake", "reason": "unjoined_log"}
EXCEPTION = {"exception.type": "RateLimitError", "exception.message": "slow down", "exception.stacktrace": "Traceback ..."}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(name: str, attributes: dict[str, Any], *, trace_id: str = TASK, span_id: str = STEP) -> LogRecord:
    return LogRecord(trace_id, span_id, NOW_US * 1000, name, None, attributes)


def spans(joiner: LogJoiner, *items: MappedSpan, project: str = PROJECT) -> Additions:
    return joiner.add_spans(project, items, received_at_us=NOW_US)


def logs(joiner: LogJoiner, *records: LogRecord, project: str = PROJECT) -> Additions:
    return joiner.add_logs(project, records, received_at_us=NOW_US).additions


@pytest.mark.parametrize("span_first", [True, False])
def test_a_conversation_completes_the_step_whichever_arrives_first(span_first: bool) -> None:
    joiner, span = LogJoiner(), map_one(CHAT)
    additions = (
        [spans(joiner, span), logs(joiner, record(DETAILS, SAID))]
        if span_first
        else [logs(joiner, record(DETAILS, SAID)), spans(joiner, span)]
    )

    ((task_id, event),) = [step for one in additions for step in one.steps]

    assert (task_id, event.step_id) == (TASK, STEP)
    assert (event.step.preview_input, event.step.preview_output, event.step.finish_reasons) == ("Why?", "Because.", ["length"])
    assert event.at_us > span.event.at_us
    assert event.event_id != span.event.event_id
    slots = [payload.slot for one in additions for _, payload in one.payloads if isinstance(payload, PayloadStored)]
    assert slots == [Slot.INPUT, Slot.OUTPUT, Slot.LOGS]


def test_bytes_in_a_record_become_media() -> None:
    picture = {"type": "blob", "mime_type": "image/png", "content": "iVBORw0KGgo="}

    additions = logs(LogJoiner(), record(DETAILS, {"gen_ai.input.messages": [{"role": "user", "parts": [picture]}]}))

    (_, media), (_, payload) = additions.payloads
    assert isinstance(media, MediaStored)
    assert isinstance(payload, PayloadStored)
    assert media.sha256 in payload.text
    assert "iVBORw0KGgo" not in payload.text


def test_an_exception_gives_the_failed_step_its_message_and_stack() -> None:
    joiner = LogJoiner()
    spans(joiner, map_one({**CHAT, "error.type": "RateLimitError"}, status_code=2))

    additions = logs(joiner, record("gen_ai.client.operation.exception", EXCEPTION))

    assert additions.steps[0][1].step.error == Failure(type="RateLimitError", message="slow down")
    stacks = [item.text for _, item in additions.payloads if isinstance(item, PayloadStored) and item.slot is Slot.ERROR_STACK]
    assert stacks == ["Traceback ..."]


def test_an_exception_that_was_survived_changes_no_status() -> None:
    joiner = LogJoiner()
    spans(joiner, map_one(CHAT))

    (step,) = logs(joiner, record("exception", EXCEPTION)).steps

    assert (step[1].step.status, step[1].step.error) == (Status.OK, None)


def test_what_the_span_says_itself_wins() -> None:
    joiner = LogJoiner()
    spans(joiner, map_one({**CHAT, "gen_ai.input.messages": '[{"role":"user","content":"Mine"}]'}))

    (step,) = logs(joiner, record(DETAILS, SAID)).steps

    assert (step[1].step.preview_input, step[1].step.preview_output) == ("Mine", "Because.")


def test_a_record_of_a_step_that_lacks_nothing_does_not_wait() -> None:
    clock = Clock()
    joiner, other = LogJoiner(clock), LogJoiner(clock)
    complete = {
        "gen_ai.input.messages": '[{"role":"user","content":"Mine"}]',
        "gen_ai.output.messages": '[{"role":"assistant","content":"Yours"}]',
    }
    spans(joiner, map_one({**CHAT, **complete}))
    unjoined = REGISTRY.get_sample_value("ams_events_ignored_total", UNJOINED) or 0

    assert logs(joiner, record(DETAILS, SAID)).steps == []
    logs(other, record(DETAILS, SAID))
    for one, another in ((other, joiner), (joiner, other)):
        for news in one.take_news(10):
            another.receive(news, received_at_us=NOW_US)

    assert (len(joiner._waiting), len(other._waiting)) == (0, 0)
    clock.now = log_joiner.WAIT_SECONDS + 1
    logs(joiner, record(DETAILS, SAID, span_id="3" * 16))
    logs(other, record(DETAILS, SAID, span_id="3" * 16))
    assert (REGISTRY.get_sample_value("ams_events_ignored_total", UNJOINED) or 0) == unjoined


def test_records_in_two_requests_before_the_span_both_count() -> None:
    joiner = LogJoiner()
    logs(joiner, record(DETAILS, {"gen_ai.input.messages": SAID["gen_ai.input.messages"]}))
    logs(joiner, record(DETAILS, {"gen_ai.output.messages": SAID["gen_ai.output.messages"]}))

    (step,) = spans(joiner, map_one(CHAT)).steps

    assert (step[1].step.preview_input, step[1].step.preview_output) == ("Why?", "Because.")


@pytest.mark.parametrize("span_first", [True, False])
def test_an_evaluation_joins_by_its_response_id(span_first: bool) -> None:
    joiner = LogJoiner()
    evaluation = record(
        "gen_ai.evaluation.result", {"gen_ai.evaluation.name": "Relevance", "gen_ai.response.id": "r1"}, trace_id="", span_id=""
    )
    parts = (
        [spans(joiner, map_one(CHAT)), logs(joiner, evaluation)] if span_first else [logs(joiner, evaluation), spans(joiner, map_one(CHAT))]
    )

    ((task_id, payload),) = [item for one in parts for item in one.payloads]

    assert isinstance(payload, PayloadStored)
    assert (task_id, payload.step_id, payload.slot) == (TASK, STEP, Slot.LOGS)
    assert "Relevance" in payload.text


def test_a_record_that_names_nothing_is_refused_and_others_are_ignored() -> None:
    outcome = LogJoiner().add_logs(PROJECT, [record(DETAILS, SAID, trace_id="", span_id=""), record("my.event", {})], received_at_us=NOW_US)

    assert (outcome.refused, outcome.ignored, outcome.additions) == (1, 1, Additions([], []))


def test_another_projects_records_never_meet_a_step() -> None:
    joiner = LogJoiner()
    spans(joiner, map_one(CHAT))
    evaluation = record("gen_ai.evaluation.result", {"gen_ai.response.id": "r1"}, trace_id="", span_id="")

    assert logs(joiner, record(DETAILS, SAID), project=OTHER_PROJECT).steps == []
    assert logs(joiner, evaluation, project=OTHER_PROJECT) == Additions([], [])


def test_after_an_hour_nothing_is_remembered() -> None:
    clock = Clock()
    joiner = LogJoiner(clock)
    spans(joiner, map_one(CHAT))
    clock.now = log_joiner.WAIT_SECONDS + 1

    assert logs(joiner, record(DETAILS, SAID)).steps == []


def test_the_memory_is_bounded() -> None:
    joiner = LogJoiner()
    for number in range(log_joiner.STEPS_MAX + 10):
        spans(joiner, map_one({**CHAT, "gen_ai.response.id": f"r{number}"}, span_id=f"{number + 1:016x}"))
    assert len(joiner._documents) == log_joiner.STEPS_MAX
    for number in range(log_joiner.WAITING_MAX + 10):
        logs(joiner, record(DETAILS, SAID, trace_id="3" * 32, span_id=f"{number + 1:016x}"))
    assert len(joiner._waiting) == log_joiner.WAITING_MAX
