"""Deriving over random trees: the order of steps changes nothing, and a tree that grew says the same as one that was derived at once."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ams_contracts.derive import DerivedStep, DeriveStep, DeriveTree, derive, derive_task, rank_of
from ams_contracts.derive_errors import COMPARED_MAX, Failed, affected_steps, repeats
from ams_contracts.documents import Failure, Status, StepType, TaskDocument
from ams_contracts.fold import EMPTY_TASK, Stamp, TaskState

IDS = [f"{number:016x}" for number in range(1, 9)]
words = st.sampled_from([None, "disk full", "disk", "write: disk full", "an OSError", "refused"])
failures = st.none() | st.builds(Failure, type=st.sampled_from([None, "OSError", "ValueError"]), message=words)
times = st.none() | st.integers(0, 6)
step = st.builds(
    DeriveStep,
    step_id=st.sampled_from(IDS),
    parent_step_id=st.none() | st.sampled_from(IDS),
    type=st.sampled_from([StepType.SPAN, StepType.LLM, StepType.AGENT]),
    status=st.sampled_from([Status.OK, Status.ERROR, Status.ERROR, Status.RUNNING]),
    agent=st.sampled_from([None, None, "planner", "writer"]),
    service=st.sampled_from([None, "shop"]),
    started_at_us=times,
    ended_at_us=times,
    duration_us=times,
    seq=st.integers(0, 1),
    error=failures,
    asks=st.booleans(),
    answers=st.booleans(),
    wrong_clock=st.booleans(),
)
histories = st.lists(step, max_size=16)
tasks = st.just(EMPTY_TASK) | st.builds(
    TaskState,
    document=st.builds(
        TaskDocument,
        name=st.just("trip"),
        agent=st.sampled_from([None, "planner"]),
        status=st.sampled_from([Status.OK, Status.ERROR, Status.RUNNING]),
        started_at_us=times,
        ended_at_us=times,
        error=failures,
    ),
    stamp=st.builds(Stamp, phase=st.sampled_from([0, 2]), at_us=st.just(0), seq=st.just(0), event_id=st.just("")),
)


def last_of_each(history: list[DeriveStep]) -> dict[str, DeriveStep]:
    return {item.step_id: item for item in history}


def grown(history: list[DeriveStep]) -> DeriveTree:
    tree = DeriveTree()
    for item in history:
        tree.put(item)
    return tree


def all_derived(tree: DeriveTree) -> dict[str, DerivedStep]:
    return {step_id: tree.derived(step_id) for step_id in tree.steps}


# -- what derive says, by the slowest program that could say it -----------------------------------------------


def chain(steps: dict[str, DeriveStep], step_id: str) -> list[str]:
    """The ancestors, nearest first, up to the first that is missing or comes again."""
    found: list[str] = []
    parent = steps[step_id].parent_step_id
    while parent is not None and parent in steps and parent not in found:
        found.append(parent)
        parent = steps[parent].parent_step_id
    return found


def ancestors(steps: dict[str, DeriveStep], step_id: str) -> list[str]:
    """The same with cycles cut: a step that is its own ancestor has no parent."""
    found: list[str] = []
    here = step_id
    while here not in chain(steps, here):
        parent = steps[here].parent_step_id
        if parent is None or parent not in steps:
            break
        found.append(parent)
        here = parent
    return found


def slowly(steps: dict[str, DeriveStep]) -> dict[str, DerivedStep]:
    above = {step_id: ancestors(steps, step_id) for step_id in steps}
    failed = {step_id: item for step_id, item in steps.items() if item.status is Status.ERROR}
    affected = {
        step_id
        for step_id, item in failed.items()
        if any(repeats(item.error or Failure(), other.error or Failure()) for below, other in failed.items() if step_id in above[below])
    }
    answer: dict[str, DerivedStep] = {}
    for step_id, item in steps.items():
        agent = next((name for other in [step_id, *above[step_id]] if (name := steps[other].agent) is not None), item.service)
        flags = ["cycle"] if step_id in chain(steps, step_id) else []
        parent = steps[above[step_id][0]] if above[step_id] else None
        if parent is not None and None not in (parent.started_at_us, parent.ended_at_us, item.started_at_us):
            began, ended, start = parent.started_at_us or 0, parent.ended_at_us or 0, item.started_at_us or 0
            flags += ["skewed"] if began - start > max(0, ended - began) else []
        answer[step_id] = DerivedStep(agent=agent, affected=step_id in affected, flags=flags)
    return answer


@given(histories)
def test_every_step_derives_what_its_ancestors_and_descendants_say(history: list[DeriveStep]) -> None:
    steps = last_of_each(history)

    assert derive(steps.values()).steps == slowly(steps)


@settings(max_examples=400)
@given(histories, tasks)
@example([DeriveStep(step_id=IDS[0], parent_step_id=IDS[0], agent="planner"), DeriveStep(step_id=IDS[0])], EMPTY_TASK)
def test_a_tree_that_grew_says_the_same_as_one_derived_at_once(history: list[DeriveStep], task: TaskState) -> None:
    tree = grown(history)

    at_once = derive(last_of_each(history).values(), task)
    assert all_derived(tree) == at_once.steps
    assert derive_task(tree, task) == at_once.task


@given(histories, tasks, st.data())
def test_the_order_of_steps_changes_nothing(history: list[DeriveStep], task: TaskState, data: st.DataObject) -> None:
    steps = list(last_of_each(history).values())
    other = data.draw(st.permutations(steps))

    assert derive(other, task) == derive(steps, task)
    assert derive_task(grown(other), task) == derive(steps, task).task


@given(histories, histories)
def test_a_tree_names_every_step_that_changed(before: list[DeriveStep], after: list[DeriveStep]) -> None:
    tree = grown(before)
    tree.take_changed()
    known = all_derived(tree)

    for item in after:
        tree.put(item)

    changed = tree.take_changed()
    now = all_derived(tree)
    assert {step_id for step_id in now if now[step_id] != known.get(step_id)} <= changed
    assert tree.take_changed() == set()


@given(histories)
def test_the_task_of_a_tree_is_led_by_its_earliest_parentless_step(history: list[DeriveStep]) -> None:
    steps = last_of_each(history)
    roots = [item for item in steps.values() if item.parent_step_id is None]

    found = derive(steps.values()).task

    assert found.root_step_id == (min(roots, key=rank_of).step_id if roots else None)


# -- bounds ---------------------------------------------------------------------------------------------------

DEEP = 10_000


def deep_chain(**changes: Any) -> list[DeriveStep]:
    ids = [f"{number:016x}" for number in range(1, DEEP + 1)]
    return [DeriveStep(step_id=step_id, parent_step_id=parent, **changes) for step_id, parent in zip(ids, [None, *ids], strict=False)]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_10_000_steps_is_derived_in_any_order(backwards: bool) -> None:
    steps = deep_chain(status=Status.ERROR, error=Failure(type="OSError", message="disk full"))
    steps[0] = replace(steps[0], agent="planner")

    tree = grown(steps[::-1] if backwards else steps)

    assert tree.derived(steps[-1].step_id) == DerivedStep(agent="planner")
    assert tree.derived(steps[1].step_id) == DerivedStep(agent="planner", affected=True)
    assert tree.errors() == 1


def test_a_ring_of_10_000_steps_ends() -> None:
    steps = deep_chain(agent=None)
    steps[0] = replace(steps[0], parent_step_id=steps[-1].step_id)

    found = derive(steps)

    assert {tuple(item.flags) for item in found.steps.values()} == {("cycle",)}
    assert found.task.root_step_id is None


def test_of_many_different_failures_below_a_step_the_last_ones_are_compared() -> None:
    failed = {f"{number:04}": Failed(number, f"{number:04}", Failure(message=f"refused by host {number:04}")) for number in range(1_000)}
    last, first = failed["0999"].failure, failed["0000"].failure
    above = {"top": Failed(2_000, "top", last), "first": Failed(2_000, "first", first)}

    def parent_of(step_id: str) -> str | None:
        return "first" if step_id == "top" else "top" if step_id in failed else None

    assert affected_steps({**failed, **above}, parent_of) == {"top"}
    few = dict(list(failed.items())[:COMPARED_MAX])
    assert affected_steps({**few, "first": above["first"]}, lambda step_id: "first" if step_id in few else None) == {"first"}
