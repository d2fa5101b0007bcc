"""The ladder of step types: every rung, and that the better one wins."""

from typing import Any

import pytest
from tests.reference import step_of


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ams.step.type": "guardrail"}, "guardrail"),
        ({"langfuse.observation.type": "generation"}, "llm"),
        ({"langfuse.observation.type": "event"}, "log"),
        ({"langfuse.observation.type": "retriever"}, "retrieval"),
        ({"openinference.span.kind": "CHAIN"}, "workflow"),
        ({"openinference.span.kind": "RERANKER"}, "rerank"),
        ({"openinference.span.kind": "PROMPT"}, "span"),
        ({"openinference.span.kind": "UNKNOWN"}, "span"),
        ({"gen_ai.operation.name": "chat"}, "llm"),
        ({"gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "create_agent"}, "agent"),
        ({"gen_ai.operation.name": "plan"}, "workflow"),
        ({"gen_ai.operation.name": "search_memory"}, "memory"),
        ({"gen_ai.operation.name": "something_new"}, "span"),
        ({"gen_ai.operation.name": "something_new", "gen_ai.request.model": "m"}, "llm"),
        ({"mcp.method.name": "tools/call"}, "tool"),
        ({"mcp.method.name": "resources/read"}, "span"),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, "llm"),
        ({"mlflow.spanType": "RETRIEVER"}, "retrieval"),
        ({"traceloop.span.kind": "task"}, "workflow"),
        ({"traceloop.span.kind": "agent"}, "agent"),
        ({"llm.request.type": "rerank"}, "rerank"),
        ({"ai.operationId": "ai.generateText"}, "workflow"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "llm"),
        ({"ai.operationId": "ai.embedMany.doEmbed"}, "embedding"),
        ({"ai.operationId": "ai.toolCall"}, "tool"),
        ({"genkit:metadata:subtype": "flow"}, "workflow"),
        ({"gen_ai.handoff.from_agent": "a"}, "handoff"),
        ({"gen_ai.tool.call.id": "c1"}, "tool"),
        ({"event_loop.cycle_id": "x"}, "workflow"),
        ({"gen_ai.response.model": "m"}, "llm"),
        ({"http.request.method": "GET"}, "span"),
        ({"http.request.method": "GET", "gen_ai.request.model": "m"}, "llm"),
        ({"logfire.span_type": "log"}, "log"),
        ({"logfire.span_type": "span"}, "span"),
        ({}, "span"),
    ],
)
def test_a_rung_decides_alone(attributes: dict[str, Any], expected: str) -> None:
    assert step_of(attributes).type == expected


@pytest.mark.parametrize(
    ("better", "worse", "expected"),
    [
        ({"ams.step.type": "tool"}, {"openinference.span.kind": "LLM"}, "tool"),
        ({"openinference.span.kind": "AGENT"}, {"gen_ai.operation.name": "chat"}, "agent"),
        ({"gen_ai.operation.name": "execute_tool"}, {"mcp.method.name": "prompts/get"}, "tool"),
        ({"gen_ai.operation.name": "invoke_agent"}, {"traceloop.span.kind": "workflow"}, "agent"),
        ({"traceloop.span.kind": "task"}, {"gen_ai.operation.name": "vector_db_retrieve"}, "workflow"),
        ({"traceloop.span.kind": "workflow"}, {"gen_ai.tool.name": "t"}, "workflow"),
    ],
)
def test_the_better_rung_wins_in_either_order(better: dict[str, Any], worse: dict[str, Any], expected: str) -> None:
    assert step_of({**better, **worse}).type == expected
    assert step_of({**worse, **better}).type == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("call_llm", "llm"), ("agent_run [x]", "agent"), ("execute_tool t", "tool"), ("invocation", "workflow"), ("other", "span")],
)
def test_adk_says_it_by_name(name: str, expected: str) -> None:
    assert step_of({}, scope="gcp.vertex.agent", name=name).type == expected
    assert step_of({}, scope="elsewhere", name=name).type == "span"


def test_the_span_kind_never_decides() -> None:
    assert {step_of({}, kind=kind).type for kind in (0, 1, 2, 3, 4, 5, 99)} == {"span"}


def test_type_raw_names_the_attribute_that_decided() -> None:
    assert step_of({"openinference.span.kind": "LLM"}).type_raw == "openinference.span.kind=LLM"
    assert step_of({}).type_raw is None
