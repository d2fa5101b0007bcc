"""Tasks that only repeat calls of another task, whatever the order in which both arrive."""

from itertools import permutations
from typing import Any

import pytest
from tests.builders import BASE_US, batch, document, llm, record, recorded, task_id

from ams_contracts.documents import MESSAGING, Status, StepType
from ams_contracts.events import StepRecorded, TaskDeleted

FRAMEWORK, CLIENT = "langchain", "openai"


def call(step: int, scope: str, start: int, end: int, **changes: Any) -> StepRecorded:
    times = {"started_at_us": BASE_US + start, "ended_at_us": BASE_US + end}
    return recorded(step, llm(100, **{"scope": scope, "call_key": "k", "model": "m", "preview_output": "yes", **times, **changes}))


def batches() -> list[Any]:
    """Task 1: an agent with a call; task 2: the client's view of it, below a plain span; task 3: the same beside a tool."""
    return [
        batch(1, recorded(1, document(type=StepType.AGENT))),
        batch(1, call(2, FRAMEWORK, 0, 100, parent_step_id=1)),
        batch(2, recorded(4, document(name="POST")), call(3, CLIENT, 10, 90, parent_step_id=4, response_id="r")),
        batch(3, call(5, "another", 20, 80), recorded(6, document(type=StepType.TOOL))),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_task_of_a_second_view_is_a_duplicate_in_any_order(projector, store, order: tuple[int, ...]) -> None:
    for offset, number in enumerate(order):
        await projector.apply([record(offset, batches()[number])])

    first, second, third = [await store.task(task_id(number)) for number in (1, 2, 3)]
    assert (first["input_tokens"], second["input_tokens"], third["input_tokens"]) == (100, 0, 0)
    assert (first["duplicate_of"], second["duplicate_of"], third["duplicate_of"]) == (None, task_id(1), None)
    assert [task["repeated_steps"] for task in (first, second, third)] == [0, 1, 1]
    calls = [row for row in await store.rows("hourly_rollups") if row["type"] == "llm"]
    assert [(row["steps"], row["input_tokens"]) for row in calls if row["steps"]] == [(1, 100)]


async def test_a_call_of_its_own_ends_the_duplicate(projector, store) -> None:
    for offset, value in enumerate([*batches()[:3], batch(2, call(7, CLIENT, 200, 300, call_key="another"))]):
        await projector.apply([record(offset, value)])

    second = await store.task(task_id(2))
    assert (second["duplicate_of"], second["input_tokens"]) == (None, 100)


async def test_a_task_whose_original_is_deleted_is_shown_and_counts(projector, store) -> None:
    deleted = TaskDeleted(event_id="f" * 32, seq=0, at_us=BASE_US + 500, by="ann")
    for offset, value in enumerate([*batches()[:3], batch(1, deleted)]):
        await projector.apply([record(offset, value)])

    second = await store.task(task_id(2))
    assert (second["duplicate_of"], second["repeated_steps"], second["input_tokens"]) == (None, 0, 100)
    calls = [row for row in await store.rows("hourly_rollups") if row["type"] == "llm" and row["steps"]]
    assert [(row["steps"], row["input_tokens"]) for row in calls] == [(1, 100)]


async def test_a_task_takes_the_run_of_its_root(projector, store) -> None:
    await projector.apply(
        [
            record(0, batch(1, recorded(2, document(parent_step_id=1, run_id="other")))),
            record(1, batch(1, recorded(1, document(run_id="team")))),
        ]
    )

    assert (await store.task(task_id(1)))["run_id"] == "team"


def message(step: int, **fields: Any) -> StepRecorded:
    return recorded(step, document(name="publish", type_raw=MESSAGING, **fields))


async def test_a_task_that_only_passes_messages_is_folded_into_its_run(projector, store) -> None:
    await projector.apply(
        [
            record(0, batch(1, message(1, run_id="team"), message(2, parent_step_id=1))),
            record(1, batch(2, message(3, run_id="team"), recorded(4, document(type=StepType.AGENT, parent_step_id=3)))),
            record(2, batch(3, message(5))),
            record(3, batch(4, message(6, run_id="team", status=Status.ERROR))),
        ]
    )

    found = [await store.task(task_id(number)) for number in (1, 2, 3, 4)]
    assert [(task["messaging_steps"], task["folded_into"]) for task in found] == [(2, "team"), (1, None), (1, None), (0, None)]


async def test_work_that_comes_later_unfolds_a_task(projector, store) -> None:
    await projector.apply([record(0, batch(1, message(1, run_id="team")))])
    assert (await store.task(task_id(1)))["folded_into"] == "team"
    await projector.apply([record(1, batch(1, recorded(2, llm(100, parent_step_id=1))))])

    assert (await store.task(task_id(1)))["folded_into"] is None
