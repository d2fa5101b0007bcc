"""Evaluation events of spans and logs become scores of their step."""

from typing import Any

import pytest
from tests.reference import NOW_US, PROJECT

from ams_contracts.events import ScoreRecorded
from ams_trace_ingest.intake.log_joiner import LogJoiner
from ams_trace_ingest.mapping.evaluations import score_of_evaluation
from ams_trace_ingest.mapping.map_logs import map_logs
from ams_trace_ingest.mapping.map_span import map_span
from ams_trace_ingest.mapping.span_model import LogRecord, Resource, Scope, Span, SpanEvent
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices

TASK, STEP = "1" * 32, "2" * 16
RESULT = "gen_ai.evaluation.result"
RELEVANCE = {
    "gen_ai.evaluation.name": "Relevance",
    "gen_ai.evaluation.score.value": 4.0,
    "gen_ai.evaluation.score.label": "pass",
    "gen_ai.evaluation.explanation": "on topic",
}


def a_score(attributes: dict[str, Any], *, name: str = RESULT, at_us: int = NOW_US) -> ScoreRecorded | None:
    return score_of_evaluation(PROJECT, TASK, STEP, name, attributes, at_us=at_us)


def test_an_event_of_a_span_is_a_score_of_the_step_and_the_same_when_it_is_sent_again() -> None:
    span = Span(trace_id=TASK, span_id=STEP, name="chat", start_ns=NOW_US * 1_000, end_ns=NOW_US * 1_000 + 1_000)
    span.events = [SpanEvent(RESULT, NOW_US * 1_000 + 500, RELEVANCE), SpanEvent("exception", 0, {})]
    resource, scope = Resource({}, b"{}", b"{}"), Scope("", "", {}, b"{}", b"{}")

    first, again = (map_span(PROJECT, resource, scope, span, received_at_us=NOW_US, prices=Prices(GenaiPrices())).scores for _ in range(2))

    (score,) = first
    assert list(first) == list(again)
    assert (score.step_id, score.name, score.number, score.label, score.comment, score.source, score.at_us) == (
        STEP, "Relevance", 4.0, "pass", "on topic", "code", NOW_US,
    )  # fmt: skip


def test_a_log_record_is_a_score_whether_its_span_is_known_or_not() -> None:
    record = LogRecord(TASK, STEP, NOW_US * 1_000, RESULT, None, RELEVANCE)

    outcome = LogJoiner().add_logs(PROJECT, [record], received_at_us=NOW_US)

    assert [(task, event.name) for task, event in outcome.additions.steps if isinstance(event, ScoreRecorded)] == [(TASK, "Relevance")]


def test_a_record_that_names_no_span_is_no_score_yet() -> None:
    mapped = map_logs(PROJECT, [LogRecord("", "", NOW_US * 1_000, RESULT, None, RELEVANCE)], received_at_us=NOW_US)

    assert (mapped.scores, len(mapped.unplaced)) == ([], 1)


def test_different_evaluations_are_different_scores() -> None:
    scores = [a_score(RELEVANCE), a_score(RELEVANCE, at_us=NOW_US + 1), a_score({**RELEVANCE, "gen_ai.evaluation.score.value": 3})]

    assert len({score.score_id for score in scores if score is not None}) == 3


def test_an_event_that_names_a_model_was_judged_by_it() -> None:
    score = a_score({**RELEVANCE, "gen_ai.response.model": "gpt-4o"})

    assert score is not None
    assert (score.source, score.author) == ("model", "gpt-4o")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gen_ai.evaluation.score.value": True, "gen_ai.evaluation.score.label": None}, (1.0, "true")),
        ({"gen_ai.evaluation.score.value": None}, (None, "pass")),
        ({"gen_ai.evaluation.score.value": float("nan")}, (None, "pass")),
        ({"gen_ai.evaluation.score.value": 1e300}, (None, "pass")),
        ({"gen_ai.evaluation.score.value": "4", "gen_ai.evaluation.score.label": "x" * 300}, (None, "x" * 256)),
        ({"gen_ai.evaluation.explanation": 5}, (4.0, "pass")),
    ],
)
def test_odd_values_are_read_as_far_as_they_mean_something(changes: dict[str, Any], expected: tuple[float | None, str | None]) -> None:
    score = a_score({**RELEVANCE, **changes})

    assert score is not None
    assert (score.number, score.label) == expected


@pytest.mark.parametrize(
    "event",
    [
        ({**RELEVANCE, "gen_ai.evaluation.name": None}, RESULT),
        ({"gen_ai.evaluation.name": "n"}, RESULT),
        ({"gen_ai.evaluation.name": "n", "gen_ai.evaluation.score.value": float("inf")}, RESULT),
        (RELEVANCE, "gen_ai.choice"),
    ],
)
def test_what_names_no_value_is_no_score(event: tuple[dict[str, Any], str]) -> None:
    attributes, name = event

    assert a_score(attributes, name=name) is None
