"""Two instrumentations of one call without a common response id (R3 by call key), and calls that only look alike."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import document

from ams_contracts.documents import StepType
from ams_trace_ingest.repeated_calls import CALL_PREFIX, END_TOLERANCE_US, Claim, claims_of, overlapping_claims

MS = 1_000
OUTER, INNER = "langchain", "openai"


def view(step_id: str, scope: str, start_ms: int, end_ms: int, **fields: Any) -> Claim:
    return Claim(
        **{
            "task_id": f"task of {step_id}",
            "step_id": step_id,
            "response_id": f"{CALL_PREFIX}1:67:34:agents",
            "model": "gpt-4o-mini",
            "started_at_us": start_ms * MS,
            "ended_at_us": end_ms * MS,
            "scope": scope,
            **fields,
        }
    )


def repeated(*claims: Claim) -> dict[str, str]:
    """Shadowed steps, and the tasks that count; the same in every order."""
    found = [overlapping_claims(order) for order in permutations(claims)]
    assert all(one == found[0] for one in found)
    return {step_id: task_id for (_, step_id), task_id in found[0].items()}


def test_the_view_of_the_client_within_that_of_the_framework_is_the_same_call() -> None:
    outer = view("a", OUTER, 0, 100)
    inner = view("b", INNER, 5, 95, model="gpt-4o-mini-2024-07-18", own_id="chatcmpl-1")

    assert repeated(outer, inner) == {"b": "task of a"}


def test_three_instrumentations_of_one_call_count_once() -> None:
    views = view("a", OUTER, 0, 100), view("b", INNER, 5, 95), view("c", "openllmetry", 6, 94)

    assert repeated(*views) == {"b": "task of a", "c": "task of a"}


@pytest.mark.parametrize(
    "other",
    [
        {"scope": OUTER},
        {"start_ms": -5},
        {"end_ms": 100 + END_TOLERANCE_US // MS + 1},
        {"model": "gpt-4o"},
        {"words": "2"},
        {"own_id": "2"},
        {"response_id": f"{CALL_PREFIX}2:67:34:agents"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_calls_that_differ_in_one_thing_are_two_calls(other: dict[str, Any]) -> None:
    outer = view("a", OUTER, 0, 100, words="1", own_id="1")

    assert repeated(outer, view(step_id="b", scope=INNER, start_ms=5, end_ms=95, words="1", own_id="1")) == {"b": "task of a"}
    assert "b" not in repeated(
        outer, view(**{"step_id": "b", "scope": INNER, "start_ms": 5, "end_ms": 95, "words": "1", "own_id": "1", **other})
    )


def test_parallel_equal_calls_stay_as_many_as_they_are() -> None:
    outer = [view("a1", OUTER, 0, 100), view("a2", OUTER, 1, 101)]
    inner = [view("b1", INNER, 10, 90), view("b2", INNER, 11, 91)]

    assert repeated(*outer) == repeated(*inner) == {}
    assert repeated(*outer, *inner).keys() == {"b1", "b2"}
    assert len(repeated(*outer, *inner, view("b3", INNER, 12, 92))) == 2  # the third is a call of its own


def test_the_outer_call_that_fits_most_tightly_is_taken_so_that_every_view_finds_one() -> None:
    short, long = view("a1", OUTER, 0, 30), view("a2", OUTER, 1, 1_000)

    assert repeated(short, long, view("b1", INNER, 10, 25), view("b2", INNER, 11, 900)) == {"b1": "task of a1", "b2": "task of a2"}


def test_a_common_response_id_decides_between_two_that_fit() -> None:
    first, second = view("a1", OUTER, 0, 100, own_id="1"), view("a2", OUTER, 1, 50)

    assert repeated(first, second, view("b1", INNER, 10, 40, own_id="1"), view("b2", INNER, 11, 45, own_id="2")) == {
        "b1": "task of a1",
        "b2": "task of a2",
    }


def test_a_retry_within_one_outer_call_counts() -> None:
    assert len(repeated(view("a", OUTER, 0, 100), view("b1", INNER, 5, 40), view("b2", INNER, 50, 95))) == 1


def test_what_a_step_claims_needs_an_instrumentation_and_an_end() -> None:
    found = {"type": StepType.LLM, "response_id": "r", "call_key": "k", "scope": OUTER, "ended_at_us": 7}

    assert claims_of("t", "s", document(**found)).keys() == {"r", f"{CALL_PREFIX}k"}
    assert claims_of("t", "s", document(**{**found, "ended_at_us": None})).keys() == {"r"}
    assert claims_of("t", "s", document(**{**found, "scope": None})).keys() == {"r"}


def test_the_spaces_of_an_answer_do_not_make_it_another_one() -> None:
    found = {"type": StepType.LLM, "call_key": "k", "scope": OUTER, "ended_at_us": 7}
    one, two, three = (
        claims_of("t", "s", document(**found, preview_output=text))[f"{CALL_PREFIX}k"].words for text in ("a b ", "a\nb", "a c")
    )

    assert one == two != three


VIEWS = st.lists(st.tuples(st.sampled_from([OUTER, INNER, "third"]), st.integers(0, 9), st.integers(0, 9)), max_size=7)


@given(VIEWS, st.randoms(use_true_random=False))
def test_the_order_of_the_claims_changes_nothing_and_each_outer_call_has_one_view_of_an_instrumentation(
    rows: list[tuple[str, int, int]], random: Any
) -> None:
    claims = [view(str(index), scope, start, start + length) for index, (scope, start, length) in enumerate(rows)]
    found = overlapping_claims(claims)
    random.shuffle(claims)

    assert overlapping_claims(claims) == found
    scopes = {claim.place: claim.scope for claim in claims}
    pairs = [(task_id, scopes[place]) for place, task_id in found.items()]
    assert len(pairs) == len(set(pairs))
    assert not set(found.values()) & {task_id for task_id, _ in found}
