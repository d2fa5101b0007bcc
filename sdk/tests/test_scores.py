"""``ams.score``: which step or task is judged, by what, and what is not recorded."""

import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import ams
from ams_contracts.events import ScoreRecorded


def recorded(intake: Any) -> list[tuple[str | None, ScoreRecorded]]:
    assert ams.flush(10).pending == 0
    return [(batch.task_id, event) for batch in intake.batches() for event in batch.events if isinstance(event, ScoreRecorded)]


def test_a_score_without_ids_judges_the_current_step(tracing: Any) -> None:
    with ams.task("task") as task, ams.step("inner") as step:
        score_id = ams.score("right", 0.75, comment="close")

    [(task_id, score)] = recorded(tracing)
    assert (task_id, score.step_id, score.score_id) == (task.task_id, step.step_id, score_id)
    assert (score.name, score.number, score.label, score.comment, score.source) == ("right", 0.75, None, "close", "code")


def test_a_task_and_a_step_are_judged_by_their_objects_after_they_ended(tracing: Any) -> None:
    with ams.task("task") as task, ams.step("inner") as step:
        pass

    ams.score("helpful", value=True, task=task, source="human", author="ada")
    ams.score("tone", "calm", step=step, source="model")

    (first, whole), (second, one) = recorded(tracing)
    assert (first, second) == (task.task_id, task.task_id)
    assert (whole.step_id, whole.number, whole.label, whole.source, whole.author) == (None, 1.0, "true", "human", "ada")
    assert (one.step_id, one.number, one.label, one.source) == (step.step_id, None, "calm", "model")
    assert 0 < whole.seq < one.seq


def test_another_process_judges_by_id(tracing: Any) -> None:
    ams.score("helpful", 1, task="A" * 32)
    ams.score("helpful", 0, task="a" * 32, step="b" * 16, score_id="mine")

    assert [(task, score.step_id, score.number, score.seq) for task, score in recorded(tracing)] == [
        ("a" * 32, None, 1.0, 0),
        ("a" * 32, "b" * 16, 0.0, 0),
    ]
    assert recorded(tracing)[1][1].score_id == "mine"


def test_the_current_span_of_opentelemetry_is_judged(tracing: Any) -> None:
    with TracerProvider().get_tracer("t").start_as_current_span("span") as span:
        ams.score("right", value=False)

    context = span.get_span_context()
    [(task_id, score)] = recorded(tracing)
    assert (task_id, score.step_id, score.label) == (f"{context.trace_id:032x}", f"{context.span_id:016x}", "false")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": "n", "value": 1}, "no current step"),
        ({"name": "n", "value": 1, "step": "b" * 16}, "no current step"),
        ({"name": "n", "value": 1, "task": "x"}, "no current step"),
        ({"name": "n", "value": "", "task": "a" * 32}, "the value"),
        ({"name": "n", "value": [1], "task": "a" * 32}, "the value"),
        ({"name": "n", "value": float("nan"), "task": "a" * 32}, "between"),
        ({"name": "", "value": 1, "task": "a" * 32}, "a name"),
        ({"name": "n", "value": 1, "task": "a" * 32, "source": "cat"}, "the source"),
        ({"name": "n", "value": 1, "task": "a" * 32, "author": "user:ada"}, "signed in"),
    ],
)
def test_a_score_that_cannot_be_recorded_is_a_warning_and_no_error(
    tracing: Any, caplog: pytest.LogCaptureFixture, arguments: dict[str, Any], reason: str
) -> None:
    with caplog.at_level(logging.WARNING, logger="ams"):
        assert ams.score(**arguments) is None

    assert reason in caplog.text
    assert recorded(tracing) == []


def test_a_score_is_nothing_while_tracing_is_off() -> None:
    assert ams.score("n", 1, task="a" * 32) is None


def test_long_texts_are_cut_to_the_contract(tracing: Any) -> None:
    ams.score("n" * 300, "l" * 300, task="a" * 32, comment="c\0" * 3_000, author="a" * 300)

    [(_, score)] = recorded(tracing)
    assert [len(text or "") for text in (score.name, score.label, score.comment, score.author)] == [256, 256, 4_096, 256]
