"""What a decorated function records: its capture settings, default arguments, agent and log lines."""

import json
from typing import Any

import pytest

import ams
from ams_contracts.events import StepProgressed


def test_the_current_step_keeps_to_the_capture_settings_of_its_decorator(tracing: Any) -> None:
    @ams.tool(capture_input=False, capture_output=False)
    def secret() -> None:
        step = ams.current_step()
        step.input = "hunter2"
        step.delta("hunter2")
        step.output = "hunter2"

    secret()

    ams.flush()
    assert tracing.steps()["secret"].captured == []
    assert "hunter2" not in str(tracing.events())


def test_a_step_may_be_captured_where_the_process_captures_nothing(intake: Any) -> None:
    ams.init("ams_test", endpoint=intake.url, announce=False, capture_output=False)

    @ams.tool(capture_output=True)
    def public() -> None:
        ams.current_step().output = "shown"

    public()

    assert ams.shutdown().complete
    assert "shown" in str(intake.events())


@pytest.mark.parametrize("length", [999, 1_000, 1_001])
def test_text_is_captured_alike_whatever_its_length(tracing: Any, length: int) -> None:
    @ams.tool
    def write() -> str:
        return "x" * length

    write()

    ams.flush()
    assert tracing.payload("write", "output").text == "x" * length


def test_a_task_that_ends_before_it_is_sent_has_its_agent(tracing: Any) -> None:
    @ams.agent
    def planner() -> None:
        pass

    with ams.task("task"):
        planner()

    ams.flush()
    [task] = tracing.tasks().values()
    assert task.agent == "planner"


def test_a_log_line_of_a_short_step_is_kept(tracing: Any) -> None:
    with ams.task("task"), ams.step("short") as step:
        step.log("this happened")

    ams.flush()
    assert [line.text for event in tracing.of(StepProgressed) for line in event.logs] == ["this happened"]


def test_default_arguments_are_captured_and_a_default_model_is_the_model_requested(tracing: Any) -> None:
    @ams.llm
    def ask(question: str, model: str = "gpt-4o-mini", *, temperature: float = 0.3, cache: object = None) -> str:
        return question

    ask("Why?")

    ams.flush()
    assert tracing.steps()["ask"].model_requested == "gpt-4o-mini"
    assert json.loads(tracing.payload("ask", "input").text) == {"question": "Why?", "model": "gpt-4o-mini", "temperature": 0.3}


def test_an_open_task_is_known_to_send_heartbeats_from_the_beginning(tracing: Any) -> None:
    with ams.task("task"):
        ams.flush()

        [beat] = tracing.of(StepProgressed)
        assert [step.status for step in beat.steps] == ["running"]
