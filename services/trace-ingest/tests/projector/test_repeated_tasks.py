"""Tasks that only repeat calls of another task, whatever the order in which both arrive."""

from itertools import permutations
from typing import Any

import pytest
from tests.builders import BASE_US, batch, document, llm, record, recorded, task_id

from ams_contracts.documents import StepType
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
