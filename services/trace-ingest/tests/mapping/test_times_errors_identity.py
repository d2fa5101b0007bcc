"""Times, errors, names, agents, conversations, tags and models."""

from typing import Any

import pytest
from tests.reference import NOW_US, PRICES, PROJECT, a_span, answer, folded, map_one, mapped, step_of

from ams_contracts.documents import Failure
from ams_contracts.events import StepRecorded, StepStarted
from ams_trace_ingest.intake.otlp import Encoding
from ams_trace_ingest.mapping.map_request import map_request
from ams_trace_ingest.mapping.span_model import Resource, Scope, ScopedSpans, SpanEvent

SECOND_NS = 10**9


def test_times_are_microseconds_and_nanoseconds_are_cut() -> None:
    step = step_of(start_ns=NOW_US * 1000 + 999, end_ns=NOW_US * 1000 + 2_001_998)

    assert (step.started_at_us, step.ended_at_us, step.duration_us) == (NOW_US, NOW_US + 2_001, 2_000)


def test_no_end_is_running() -> None:
    item = map_one(end_ns=0)

    assert isinstance(item.event, StepStarted)
    assert (item.event.step.status, item.event.step.ended_at_us) == ("running", None)


def test_an_end_before_the_start_has_no_duration() -> None:
    step = step_of(end_ns=NOW_US * 1000 - SECOND_NS)

    assert (step.ended_at_us, step.duration_us, step.flags) == (NOW_US - 1_000_000, None, ["clock_skew"])


def test_no_start_begins_at_the_end_else_at_the_receipt() -> None:
    with_end = step_of(start_ns=0)
    without = step_of(start_ns=0, end_ns=0)

    assert (with_end.started_at_us, with_end.flags) == (with_end.ended_at_us, ["no_start"])
    assert (without.started_at_us, without.status) == (NOW_US, "running")


@pytest.mark.parametrize("start_us", [31_536_000_000_000, NOW_US + 2 * 86_400_000_000])
def test_wild_times_are_kept_and_marked(start_us: int) -> None:
    step = step_of(start_ns=start_us * 1000, end_ns=start_us * 1000 + 1000)

    assert (step.started_at_us, step.flags) == (start_us, ["odd_time"])


@pytest.mark.parametrize(
    ("attributes", "scope", "expected"),
    [
        ({"gen_ai.response.time_to_first_chunk": 0.25}, "x", 250_000),
        ({"gen_ai.server.time_to_first_token": 309}, "strands.telemetry.tracer", 309_000),
        ({"gen_ai.server.time_to_first_token": 0.5}, "x", 500_000),
        ({"gen_ai.server.time_to_first_token": 0, "ai.response.msToFirstChunk": 426.8}, "x", 426_800),
        ({"langfuse.observation.completion_start_time": '"2026-11-20T00:00:00Z"'}, "x", None),
        ({"gen_ai.response.time_to_first_chunk": -1}, "x", None),
        ({"gen_ai.response.time_to_first_chunk": "soon"}, "x", None),
    ],
)
def test_time_to_first_token(attributes: dict[str, Any], scope: str, expected: int | None) -> None:
    assert step_of(attributes, scope=scope).ttft_us == expected


def test_time_to_first_token_by_an_event() -> None:
    events = [SpanEvent("mlflow.chunk.item.0", NOW_US * 1000 + 5_000_000), SpanEvent("mlflow.chunk.item.1", NOW_US * 1000 + 9_000_000)]

    assert step_of(events=events).ttft_us == 5_000


@pytest.mark.parametrize(
    ("fields", "attributes", "status", "failure"),
    [
        ({}, {}, "ok", None),
        ({"status_code": 1}, {}, "ok", None),
        ({"status_code": 99}, {}, "ok", None),
        ({"status_code": 2, "status_message": "no"}, {}, "error", Failure(message="no")),
        ({}, {"error.type": "timeout"}, "error", Failure(type="timeout")),
        ({}, {"gen_ai.tool.status": "error"}, "error", Failure()),
        ({}, {"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "no"}, "error", Failure(message="no")),
        (
            {"status_code": 2},
            {"error.type": "asyncio.exceptions.CancelledError"},
            "cancelled",
            Failure(type="asyncio.exceptions.CancelledError"),
        ),
    ],
)
def test_outcomes(fields: dict[str, Any], attributes: dict[str, Any], status: str, failure: Failure | None) -> None:
    step = step_of(attributes, **fields)

    assert (step.status, step.error) == (status, failure)


def test_the_last_exception_is_what_failed() -> None:
    events = [
        SpanEvent("exception", attributes={"exception.type": "Survived", "exception.message": "first"}),
        SpanEvent(
            "exception", attributes={"exception.type": "Fatal", "exception.message": "last", "exception.stacktrace": "Traceback ..."}
        ),
    ]

    item = map_one({"error.type": "_OTHER"}, events=events, status_code=2)

    assert item.event.step.error == Failure(type="Fatal", message="last")
    assert item.payloads[-1].text == "Traceback ..."
    assert item.payloads[-1].slot == "error_stack"


def test_an_exception_that_was_survived_is_no_error() -> None:
    item = map_one(events=[SpanEvent("exception", attributes={"exception.type": "Survived"})])

    assert (item.event.step.status, item.event.step.error) == ("ok", None)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ams.step.name": "a", "logfire.msg": "b"}, "a"),
        ({"logfire.msg": "running tool: t", "gen_ai.tool.name": "t"}, "running tool: t"),
        ({"gen_ai.tool.name": "t", "gen_ai.operation.name": "execute_tool"}, "t"),
        ({"gen_ai.agent.name": "planner", "gen_ai.operation.name": "invoke_agent"}, "planner"),
        ({"gen_ai.agent.name": "planner", "gen_ai.operation.name": "chat"}, "work"),
        ({"traceloop.entity.name": "e"}, "e"),
        ({}, "work"),
    ],
)
def test_names(attributes: dict[str, Any], expected: str) -> None:
    step = step_of(attributes)

    assert (step.name, step.span_name) == (expected, "work")


def test_a_step_has_the_agent_above_it_in_the_request_and_its_service() -> None:
    spans = [
        a_span({"gen_ai.operation.name": "execute_tool"}, span_id="c" * 16, parent_span_id="b" * 16),
        a_span({}, span_id="b" * 16, parent_span_id="a" * 16),
        a_span({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}, span_id="a" * 16),
        a_span({}, span_id="d" * 16),
    ]
    group = ScopedSpans(Resource({"service.name": "shop"}, b"{}", b"{}"), Scope("", "", {}, b"{}", b"{}"), spans)

    items = map_request(PROJECT, [group], received_at_us=NOW_US, prices=PRICES)

    assert [item.event.step.agent for item in items] == ["planner", "planner", "planner", None]
    assert {item.event.step.service for item in items} == {"shop"}


def test_without_a_service_name_it_is_unknown_service() -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%b","spanId":"%b"}]}]}]}' % (b"1" * 32, b"2" * 16)

    (item,) = mapped([body], Encoding.JSON)

    assert item.event.step.service == "unknown_service"


def test_conversation_user_environment_and_tags() -> None:
    step = step_of(
        {
            "session.id": "s1",
            "enduser.id": "u1",
            "tag.tags": ["env:prod", "beta"],
            "metadata": '{"tier": "gold", "langgraph_step": 1, "user_id": "u1"}',
        },
        resource={"deployment.environment.name": "staging"},
    )

    assert (step.conversation_id, step.user_id, step.environment) == ("s1", "u1", "staging")
    assert step.tags == {"env": "prod", "beta": "true", "tier": "gold"}


def test_tags_are_at_most_64() -> None:
    assert len(step_of({"tag.tags": [f"t{index}" for index in range(10_000)]}).tags) == 64


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.system": "OpenAI"}, "openai"),
        ({"gen_ai.provider.name": "anthropic", "gen_ai.system": "x"}, "anthropic"),
        ({"gen_ai.system": "az.ai.openai"}, "azure.ai.openai"),
        ({"gen_ai.system": "vertex_ai"}, "gcp.vertex_ai"),
        ({"gen_ai.system": "xai"}, "x_ai"),
        ({"ai.model.provider": "openai.responses"}, "openai"),
        ({"gen_ai.system": "azure.ai.inference"}, "azure.ai.inference"),
    ],
)
def test_providers(attributes: dict[str, Any], expected: str) -> None:
    assert step_of(attributes).provider == expected


def test_models_parameters_and_finish_reasons() -> None:
    step = step_of(
        {"llm.invocation_parameters": '{"model": "m-1", "temperature": 0}', "llm.model_name": "m-1-2026", "llm.finish_reason": "end_turn"}
    )

    assert (step.model_requested, step.model) == ("m-1", "m-1-2026")
    assert step.parameters == '{"model": "m-1", "temperature": 0}'
    assert step.finish_reasons == ["stop"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.response.id": "r1"},
        {"output.value": '{"id": "r1", "object": "chat.completion", "choices": []}'},
        {"output.value": '{"id": "r1", "object": "response", "output": []}'},
        {"output.value": '{"id": "r1", "type": "message", "role": "assistant", "content": []}'},
        {"output.value": '{"responseId": "r1", "candidates": []}'},
        {"output.value": '{"generations": [[{"message": {"kwargs": {"response_metadata": {"id": "r1"}}}}]]}'},
    ],
)
def test_response_ids(attributes: dict[str, Any]) -> None:
    assert step_of({"openinference.span.kind": "LLM", **attributes}).response_id == "r1"


@pytest.mark.parametrize(
    "written",
    [
        '{"id": "42"}',
        '{"id": "42", "choices": ["red", "blue"]}',
        '{"id": "42", "object": "chair", "output": []}',
        '{"id": "42", "content": []}',
    ],
)
def test_an_id_that_the_model_wrote_is_no_response_id(written: str) -> None:
    assert step_of({"openinference.span.kind": "LLM", "output.value": written}).response_id is None


def test_two_parallel_answers_that_are_the_same_json_both_count() -> None:
    attributes = {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": '{"id": "42"}', "llm.token_count.prompt": 5}

    steps = folded(map_one(attributes, span_id=span_id) for span_id in ("2" * 16, "3" * 16))

    assert answer(steps)["input_tokens"] == 10


def test_a_parent_that_is_itself_is_marked() -> None:
    assert step_of(parent_span_id="2" * 16).flags == ["self_parent"]


def test_a_remote_parent_is_marked() -> None:
    assert step_of(parent_span_id="3" * 16, flags=0x301).flags == ["remote_parent"]


def test_the_project_never_comes_from_a_span() -> None:
    one = map_one({"ams.project_id": "other"})

    assert isinstance(one.event, StepRecorded)
    assert one.event.step.tags == {}


def test_the_same_span_has_the_same_id_and_another_one_another() -> None:
    assert map_one({"a": 1}).event.event_id == map_one({"a": 1}).event.event_id
    assert map_one({"a": 1}).event.event_id != map_one({"a": 2}).event.event_id
    assert len({item.event_id for item in map_one({"input.value": "x", "output.value": "y"}).payloads}) == 3
