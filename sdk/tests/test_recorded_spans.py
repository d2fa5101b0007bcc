"""Spans of OpenTelemetry in ams_recorder."""

import pytest
from opentelemetry.sdk.trace import TracerProvider

import ams
from ams.testing import Recorder


def test_spans_of_any_provider_are_in_one_tree_with_steps(ams_recorder: Recorder) -> None:
    tracer = TracerProvider().get_tracer("framework")
    with ams.agent("planner"), tracer.start_as_current_span("chat gpt-test") as span:
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-test",
                "gen_ai.usage.input_tokens": 8,
                "gen_ai.usage.output_tokens": 2,
                "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "key sk-abcdefghijklmnopqrstuvwx"}]}]',
            }
        )
        with ams.tool("search"):
            pass
    with pytest.raises(ValueError, match="no"), tracer.start_as_current_span("broken", attributes={"openinference.span.kind": "TOOL"}):
        raise ValueError("no")

    assert (
        ams_recorder.tree
        == """
        planner [agent]
          chat gpt-test [llm]
            search [tool]
        broken [tool] error: ValueError: no
    """
    )
    chat = ams_recorder.step("chat gpt-test")
    assert (chat.model, chat.tokens, chat.ok) == ("gpt-test", 10, True)
    assert "sk-" not in str(chat.input)
    assert chat.input[0]["parts"][0]["type"] == "text"
    ams_recorder.assert_order("planner", "chat gpt-test", "search")
    assert ams_recorder.step("broken").error_stack is not None


def test_a_span_that_still_runs_is_running_and_later_ones_are_not_kept(ams_recorder: Recorder) -> None:
    span = TracerProvider().get_tracer("t").start_span("slow")

    assert ams_recorder.step("slow").status == "running"
    span.end()
    assert ams_recorder.step("slow").ok
