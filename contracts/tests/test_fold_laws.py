"""The fold's laws over random events: order, grouping and repetition change nothing."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ams_contracts import codec
from ams_contracts.documents import Status, StepDocument, StepType, TaskDocument, Usage
from ams_contracts.events import (
    OpenStep,
    StepEnded,
    StepLost,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskStarted,
    TaskUpdated,
)
from ams_contracts.fold import EMPTY_STEP, EMPTY_TASK, StepState, TaskState, fold, fold_task, join, stamp_of

STEP = "00f067aa0ba902b7"
OTHER = "00f067aa0ba902b8"

# few values, so that stamps collide often
at_us = st.integers(0, 4)
seq = st.integers(0, 3)
words = st.sampled_from(["plan", "search", "write"])
usages = st.none() | st.builds(Usage, input=st.integers(0, 9), output=st.integers(0, 9))
documents = st.builds(
    StepDocument, type=st.sampled_from(StepType), name=words, status=st.sampled_from(Status), usage=usages, agent=st.none() | words
)
open_steps = st.builds(OpenStep, step_id=st.sampled_from([STEP, OTHER]), status=st.sampled_from(["running", "waiting"]), usage=usages)
beats = st.lists(open_steps, max_size=3).map(
    lambda steps: [*steps, OpenStep(step_id=STEP)] if all(s.step_id != STEP for s in steps) else steps
)
common: dict[str, Any] = {"event_id": st.just("0" * 32), "seq": seq, "at_us": at_us}
step_event = st.one_of(
    *(st.builds(kind, step_id=st.just(STEP), step=documents, **common) for kind in (StepStarted, StepEnded, StepRecorded)),
    st.builds(StepProgressed, steps=beats, **common),
    st.builds(StepLost, step_id=st.just(STEP), last_beat_us=at_us, **common),
)
task_documents = st.builds(TaskDocument, name=words, status=st.sampled_from(Status), user_id=st.none() | words)
task_event = st.one_of(*(st.builds(kind, task=task_documents, **common) for kind in (TaskStarted, TaskUpdated, TaskEnded)))


def _with_own_ids(events: list[Any], ids: list[int]) -> list[Any]:
    return [msgspec.structs.replace(event, event_id=f"{number:032x}") for event, number in zip(events, ids, strict=False)]


def _histories(event: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    ids = st.lists(st.integers(0, 2**128 - 1), min_size=8, max_size=8, unique=True)
    return st.builds(_with_own_ids, st.lists(event, max_size=8), ids)


def _step(events: list[Any], state: StepState = EMPTY_STEP) -> StepState:
    for event in events:
        state = fold(state, event, STEP)
    return state


def _task(events: list[Any], state: TaskState = EMPTY_TASK) -> TaskState:
    for event in events:
        state = fold_task(state, event)
    return state


@given(_histories(step_event), st.data())
def test_the_order_of_a_steps_events_changes_nothing(events: list[Any], data: st.DataObject) -> None:
    other = data.draw(st.permutations(events))

    assert _step(other) == _step(events)


@given(_histories(step_event), st.data())
def test_repeating_a_steps_events_changes_nothing(events: list[Any], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=8)) if events else []

    assert _step([*events, *again]) == _step(events)
    assert _step([*again, *events]) == _step(events)


@given(_histories(step_event), st.integers(0, 8))
def test_a_step_that_was_stored_and_read_back_folds_on_the_same(events: list[Any], cut: int) -> None:
    stored = codec.encode(_step(events[:cut]))

    state = msgspec.json.decode(stored, type=StepState)

    assert _step(events[cut:], state) == _step(events)


@given(_histories(step_event), st.integers(0, 8), st.data())
def test_two_halves_joined_are_the_whole_in_whatever_order(events: list[Any], cut: int, data: st.DataObject) -> None:
    left, right = events[:cut], data.draw(st.permutations(events[cut:]))
    one, two = _step(left), _step(right)

    assert join(one, two) == join(two, one) == _step(events)
    assert join(one, one) is one
    assert join(EMPTY_STEP, one) == join(one, EMPTY_STEP) == one


@given(_histories(step_event), st.integers(0, 8), st.integers(0, 8))
def test_joining_is_associative(events: list[Any], first: int, second: int) -> None:
    low, high = sorted((first, second))
    one, two, three = _step(events[:low]), _step(events[low:high]), _step(events[high:])

    assert join(join(one, two), three) == join(one, join(two, three)) == _step(events)


@given(_histories(step_event))
def test_an_event_that_changes_nothing_gives_the_same_object_back(events: list[Any]) -> None:
    state = _step(events)

    assert all(fold(state, event, STEP) is state for event in events)


@given(_histories(step_event))
def test_a_step_is_over_exactly_when_an_end_came(events: list[Any]) -> None:
    assert _step(events).ended == any(isinstance(event, StepEnded | StepRecorded) for event in events)


@given(_histories(task_event), st.data())
def test_order_and_repetition_of_a_tasks_events_change_nothing(events: list[Any], data: st.DataObject) -> None:
    other = data.draw(st.permutations([*events, *events]))

    assert _task(other) == _task(events)
    assert _task(events).stamp == max(map(stamp_of, events), default=None)
