"""Tokens and costs: ladders, odd values, and what is ignored."""

from typing import Any

import pytest
from tests.reference import step_of

from ams_contracts.documents import Usage

LLM = {"openinference.span.kind": "LLM"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2}, Usage(input=5, output=2)),
        ({"gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 2}, Usage(input=5, output=2)),
        ({"llm.token_count.prompt": 5, "llm.token_count.completion_details.reasoning": 1}, Usage(input=5, reasoning=1)),
        (
            {"ai.usage.promptTokens": 5, "ai.usage.completionTokens": 2, "ai.usage.cachedInputTokens": 3},
            Usage(input=5, output=2, cache_read=3),
        ),
        ({"ai.usage.tokens": 5}, Usage(input=5)),
        ({"gen_ai.usage.input_tokens": 7, "llm.token_count.prompt": 5}, Usage(input=7)),
        ({"gen_ai.usage.input_tokens": "7"}, Usage(input=7)),
        ({"gen_ai.usage.input_tokens": 7.0}, Usage(input=7)),
        ({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_write.input_tokens": 4}, Usage(input=9, cache_write=4)),
        (
            {
                "gen_ai.usage.input_tokens": 9,
                "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 3,
                "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 2,
            },
            Usage(input=9, cache_write=5, cache_write_1h=2),
        ),
        (
            {"mlflow.chat.tokenUsage": '{"input_tokens": 22, "output_tokens": 17, "cache_read_input_tokens": 8}'},
            Usage(input=22, output=17, cache_read=8),
        ),
        (
            {
                "langfuse.observation.usage_details": '{"prompt_tokens": 22, "completion_tokens": 17, "completion_tokens_details": {"reasoning_tokens": 5}}'
            },
            Usage(input=22, output=17, reasoning=5),
        ),
        ({"gen_ai.usage.cache_read.input_tokens": 4}, None),
    ],
)
def test_usage(attributes: dict[str, Any], expected: Usage | None) -> None:
    assert step_of({**LLM, **attributes}).usage == expected


@pytest.mark.parametrize("value", [-1, 1.5, "many", True, 10**16, [5], {"a": 1}])
def test_a_count_that_is_none_is_marked_and_left_out(value: Any) -> None:
    step = step_of({**LLM, "gen_ai.usage.input_tokens": value, "gen_ai.usage.output_tokens": 2})

    assert step.usage == Usage(output=2)
    assert "bad_usage" in step.flags


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"langfuse.observation.cost_details": '{"input": 0.25, "total": 0.75}'}, 750_000_000),
        ({"langfuse.observation.cost_details": '{"input": 0.25, "output": 0.1}'}, 350_000_000),
        ({"llm.cost.prompt": 0.1, "llm.cost.completion": 0.2}, 300_000_000),
        ({"llm.cost.total": 0.5, "llm.cost.prompt": 0.1}, 500_000_000),
        ({"mlflow.llm.cost": '{"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003}'}, 3_000_000),
        ({"operation.cost": 1.2e-7}, 120),
        ({"gen_ai.usage.cost": "0.000000001"}, 1),
    ],
)
def test_a_reported_cost(attributes: dict[str, Any], expected: int) -> None:
    step = step_of({**LLM, **attributes, "gen_ai.usage.input_tokens": 5})

    assert (step.cost_nusd, step.cost_source) == (expected, "reported")


def test_an_all_zero_report_is_none() -> None:
    step = step_of(
        {
            **LLM,
            "langfuse.observation.cost_details": '{"input": 0, "output": 0, "total": 0}',
            "gen_ai.usage.input_tokens": 5,
            "gen_ai.request.model": "m",
        }
    )

    assert (step.cost_nusd, step.cost_source) == (50, "computed")


def test_a_failed_call_without_usage_has_no_known_cost() -> None:
    step = step_of({**LLM, "langfuse.observation.cost_details": '{"input": 0, "output": 0, "total": 0}'})

    assert (step.cost_nusd, step.cost_source) == (None, "unknown")


@pytest.mark.parametrize("value", [-1, 1e12, "-0.5"])
def test_a_cost_out_of_range_is_marked(value: Any) -> None:
    step = step_of({**LLM, "operation.cost": value})

    assert step.cost_nusd is None
    assert "bad_cost" in step.flags


def test_only_billable_steps_are_priced() -> None:
    attributes = {"gen_ai.usage.input_tokens": 5, "gen_ai.request.model": "m"}

    assert step_of({"openinference.span.kind": "AGENT", **attributes}).cost_nusd is None
    assert step_of({"openinference.span.kind": "EMBEDDING", **attributes}).cost_nusd == 50
