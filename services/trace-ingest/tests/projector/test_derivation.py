"""Whatever the order and the batches, the tables hold what ``derive`` says of all steps together."""

import random
from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from tests.builders import (
    BASE_MS,
    BASE_US,
    NATIVE,
    OTLP,
    batch,
    document,
    ended,
    llm,
    record,
    recorded,
    started,
    step_id,
    task_ended,
    task_id,
)

from ams_contracts.derive import Derived, DerivedStep, derive, step_of
from ams_contracts.documents import Failure, Status, StepType, TaskDocument
from ams_contracts.events import Batch, StepProgressed, TaskEnded, TaskStarted
from ams_contracts.fold import EMPTY_STEP, EMPTY_TASK, StepState, TaskState, fold, fold_task, step_ids_of
from ams_trace_ingest.projector import derivation, derive_due
from ams_trace_ingest.projector.changes import StepChanges, TaskChanges
from ams_trace_ingest.projector.derive_due import FLAG_NOT_DERIVED, derive_next_due
from ams_trace_ingest.projector.open_task_cache import CachedStep, CachedTask
from ams_trace_ingest.projector.ordered_tree import OrderedTree, derive_new_task
from ams_trace_ingest.store.connections import set_generation
from ams_trace_ingest.store.tasks import TaskRow

TASKS = (1, 2, 3)
BASE_DAY = datetime.fromtimestamp(BASE_US / 1e6, UTC).date()
MESSAGES = [None, "disk full", "write failed: disk full", "OSError: disk full", "refused"]
SHOWN = ("agent", "errors", "ended_at_us", "duration_us", "error_type", "error_message", "preview", "preview_output", "derive_due")


def a_document(chance: random.Random, step: int, steps: int, *, ordered: bool) -> Any:
    parent = chance.choice([None, *([chance.randrange(1, step)] * 4 if step > 1 else [])])
    start = BASE_US + step * 10
    if not ordered:
        parent = chance.choice([None, *[other for _ in range(4) if (other := chance.randrange(1, steps + 2)) != step]])
        start = chance.choice([BASE_US + chance.randrange(6) * 10, BASE_US + chance.randrange(6) * 10, None])
    status = chance.choice([Status.OK, Status.OK, Status.ERROR, Status.ERROR, Status.RUNNING])
    end = (start or BASE_US) + chance.randrange(200)
    return document(
        type=chance.choice([StepType.LLM, StepType.SPAN, StepType.AGENT, StepType.TOOL]),
        name=f"s{step}",
        status=status,
        agent=chance.choice([None, None, None, "planner", "writer"]),
        service=chance.choice([None, "shop", "shop", "stock"]),
        parent_step_id=parent,
        started_at_us=start,
        ended_at_us=None if status is Status.RUNNING else end,
        duration_us=chance.choice([None, 7]),
        error=Failure(type=chance.choice([None, "OSError"]), message=chance.choice(MESSAGES)) if status is Status.ERROR else None,
        preview_input=chance.choice([None, None, f"asked {step}"]),
        preview_output=chance.choice([None, None, f"answer {step}"]),
        flags=chance.choice([[], [], [], ["odd_time"]]),
    )


def a_history(chance: random.Random) -> list[Batch]:
    """Batches of three tasks: starts, ends, whole steps, events of the task, repetitions."""
    batches: list[Batch] = []
    for task in TASKS:
        ordered, steps, seq = chance.random() < 0.5, chance.randrange(1, 10), 0
        for step in range(1, steps + 1):
            doc = a_document(chance, step, steps, ordered=ordered)
            seq += 3
            if chance.random() < 0.5:
                batches.append(batch(task, recorded(step, doc, at_us=BASE_US + chance.randrange(9)), producer=OTLP))
                continue
            first = a_document(chance, step, steps, ordered=ordered)
            batches.append(batch(task, started(step, first, seq=seq), producer=NATIVE))
            if chance.random() < 0.8:
                batches.append(batch(task, ended(step, doc, seq=seq + 1), producer=NATIVE))
        if chance.random() < 0.4:
            doc = TaskDocument(
                name="trip",
                agent=chance.choice([None, "concierge"]),
                status=chance.choice([Status.OK, Status.ERROR]),
                started_at_us=BASE_US,
                ended_at_us=BASE_US + chance.randrange(300),
                preview=chance.choice([None, "said by the task"]),
            )
            batches.append(batch(task, task_ended(doc), producer=NATIVE))
    return batches + [item for item in batches if chance.random() < 0.2]


def folded(batches: list[Batch]) -> dict[str, tuple[dict[str, StepState], TaskState]]:
    steps: dict[str, dict[str, StepState]] = defaultdict(dict)
    tasks: dict[str, TaskState] = defaultdict(lambda: EMPTY_TASK)
    for item in batches:
        task = item.task_id or ""
        for event in item.events:
            if isinstance(event, TaskStarted | TaskEnded):
                tasks[task] = fold_task(tasks[task], event)
                continue
            for step in step_ids_of(event):  # type: ignore[arg-type]
                steps[task][step] = fold(steps[task].get(step, EMPTY_STEP), event, step)  # type: ignore[arg-type]
    return {task: (steps[task], tasks[task]) for task in {*steps, *tasks}}


def derived_of(steps: dict[str, StepState], task: TaskState) -> Derived:
    return derive((found for step, state in steps.items() if (found := step_of(step, state)) is not None), task)


def shown_by(steps: dict[str, StepState], task: TaskState) -> dict[str, Any]:
    found = derived_of(steps, task).task
    asked = steps[found.asked_step_id].document if found.asked_step_id is not None else None
    answer = steps[found.answer_step_id].document if found.answer_step_id is not None else None
    return {
        "agent": found.agent,
        "errors": found.errors,
        "ended_at_us": found.ended_at_us,
        "duration_us": found.duration_us,
        "error_type": found.error.type if found.error is not None else None,
        "error_message": found.error.message if found.error is not None else None,
        "preview": (task.document.preview if task.document is not None else None) or (asked.preview_input if asked is not None else None),
        "preview_output": answer.preview_output if answer is not None else None,
        "derive_due": False,
    }


async def play(projector, batches: list[Batch], chance: random.Random) -> None:
    offset = 0
    while offset < len(batches):
        taken = batches[offset : offset + chance.randrange(1, 8)]
        await projector.apply([record(offset + i, item, timestamp_ms=BASE_MS + offset + i) for i, item in enumerate(taken)])
        offset += len(taken)


async def check(store, history: list[Batch]) -> None:
    expected = folded(history)
    rows = {(row["task_id"], row["step_id"]): row for row in await store.rows("steps")}
    for task, (steps, _) in expected.items():
        for step, found in derived_of(steps, EMPTY_TASK).steps.items():
            row = rows[task, step]
            assert DerivedStep(agent=row["agent"], affected=row["affected"], flags=row["derived_flags"]) == found, (task, step)
            assert row["document_agent"] == steps[step].document.agent  # type: ignore[union-attr]
    shown = {row["task_id"]: {name: row[name] for name in SHOWN} for row in await store.rows("tasks")}
    assert shown == {task: shown_by(*states) for task, states in expected.items()}


async def derive_all_due(pool: asyncpg.Pool) -> int:
    transactions = 0
    while True:
        async with pool.acquire() as connection, connection.transaction():
            await set_generation(connection, may_sort=True)
            if await derive_next_due(connection, [0]) is None:
                return transactions
        transactions += 1


@pytest.mark.parametrize("seed", range(30))
async def test_any_order_and_any_batches_give_what_derive_says(projector, store, seed: int) -> None:
    chance = random.Random(seed)
    history = a_history(chance)

    for _ in range(3):
        await store.empty()
        projector.position.clear()
        await play(projector, chance.sample(history, len(history)), chance)

        await check(store, history)


@pytest.mark.parametrize("seed", range(20))
async def test_marked_tasks_are_derived_from_their_rows(projector, store, pool, monkeypatch, seed: int) -> None:
    monkeypatch.setattr(derivation, "READ_STEPS_MAX", 2)
    monkeypatch.setattr(derivation, "ROWS_MAX", 1)
    monkeypatch.setattr(derive_due, "ROWS_MAX", 1)
    chance = random.Random(seed)
    history = a_history(chance)

    await play(projector, chance.sample(history, len(history)), chance)
    await derive_all_due(pool)

    await check(store, history)


@pytest.mark.parametrize("seed", range(60))
def test_a_task_that_is_all_new_derives_the_same_in_one_pass(seed: int) -> None:
    chance = random.Random(seed)
    steps, task = folded([item for item in a_history(chance) if item.task_id == task_id(1)])[task_id(1)]
    changes = {step: StepChanges(step, 0) for step in steps}
    for step, state in steps.items():
        changes[step].state = state

    tree, rows = derive_new_task(changes)

    expected = derived_of(steps, task)
    assert derivation.derive_task(tree, task) == expected.task
    assert {step: changes[step].agent for step in expected.steps} == {step: found.agent for step, found in expected.steps.items()}
    assert dict(rows) == {step: found for step, found in expected.steps.items() if found.affected or found.flags}


def test_steps_that_begin_after_their_parents_need_no_tree() -> None:
    steps = {step_id(n): StepChanges(step_id(n), 0) for n in range(1, 50)}
    for n in range(1, 50):
        doc = document(parent_step_id=n // 2 or None, started_at_us=BASE_US + n, agent="planner" if n == 3 else None)
        steps[step_id(n)].state = fold(EMPTY_STEP, recorded(n, doc), step_id(n))

    assert isinstance(derive_new_task(steps)[0], OrderedTree)


@pytest.mark.parametrize("seed", range(200))
def test_an_ordered_tree_that_grows_derives_what_all_of_its_steps_derive_or_says_that_it_does_not(seed: int) -> None:
    chance = random.Random(seed)
    history = [item for item in a_history(chance) if item.task_id == task_id(1)]
    cached, states, at, grown = CachedTask(0, BASE_DAY), dict[str, StepState](), 0, OrderedTree()
    while at < len(history):
        size = chance.randrange(1, 6)
        task = TaskChanges(("p", task_id(1)), 0, at, 0)
        for step, state in folded(history[at : at + size])[task_id(1)][0].items():
            known = states.get(step)
            changes = task.steps[step] = StepChanges(step, at)
            changes.state = state
            if known is not None:
                before = StepChanges(step, 0)
                before.state, before.agent = known, derived_of(states, EMPTY_TASK).steps[step].agent if known.document else None
                changes.join(CachedStep(task.key, before))
            states[step] = changes.state
        at += size

        if not grown.add(task.steps):
            return

        expected = derived_of(states, EMPTY_TASK)
        assert derivation.derive_task(grown, EMPTY_TASK) == expected.task
        agents = {step: found.agent for step, found in expected.steps.items()}
        assert {step: changes.agent for step, changes in task.steps.items() if step in agents} == {
            step: agents[step] for step in task.steps if step in agents
        }
        task.tree = grown
        cached.update(task, cast(TaskRow, SimpleNamespace(last_offset=at, seen_at_us=0)))
        tree = cached.derive_tree()
        assert {step: tree.derived(step) for step in tree.steps} == expected.steps


async def test_a_late_ancestor_corrects_the_steps_below_it(projector, store) -> None:
    for offset, (step, parent, agent) in enumerate(
        [(4, 3, None), (3, 2, None), (5, 2, "writer"), (6, 5, None), (2, 1, None), (1, None, "planner")]
    ):
        doc = document(parent_step_id=parent, agent=agent, service="shop", started_at_us=BASE_US + step)
        await projector.apply([record(offset, batch(1, recorded(step, doc)))])

    rows = {row["step_id"]: row["agent"] for row in await store.rows("steps")}
    assert rows == {step_id(n): "writer" if n in {5, 6} else "planner" for n in range(1, 7)}
    assert (await store.task(task_id(1)))["agent"] == "planner"


async def test_an_ancestor_of_more_rows_than_a_batch_rewrites_marks_its_task(projector, store, pool, monkeypatch) -> None:
    monkeypatch.setattr(derivation, "ROWS_MAX", 10)
    monkeypatch.setattr(derive_due, "ROWS_MAX", 10)
    steps = range(2, 37)
    await projector.apply([record(0, batch(1, *(recorded(n, document(parent_step_id=1, service="shop")) for n in steps)))])
    await projector.apply([record(1, batch(1, recorded(1, document(agent="planner", service="shop", ended_at_us=BASE_US + 5))))])

    before = {row["agent"] for row in await store.rows("steps") if row["step_id"] != step_id(1)}
    marked = (await store.task(task_id(1)))["derive_due"]
    transactions = await derive_all_due(pool)

    assert (before, marked, transactions) == ({"shop"}, True, 4)
    assert {row["agent"] for row in await store.rows("steps")} == {"planner"}
    assert (await store.task(task_id(1)))["derive_due"] is False


async def test_a_task_beyond_all_bounds_says_that_it_is_not_derived(projector, store, pool, monkeypatch) -> None:
    monkeypatch.setattr(derivation, "ROWS_MAX", 2)
    monkeypatch.setattr(derive_due, "STEPS_MAX", 3)
    await projector.apply([record(0, batch(1, *(recorded(n, document(parent_step_id=1, service="shop")) for n in range(2, 9))))])
    await projector.apply([record(1, batch(1, recorded(1, document(agent="planner"))))])

    await derive_all_due(pool)

    task = await store.task(task_id(1))
    assert (task["flags"], task["derive_due"], task["steps"]) == ([FLAG_NOT_DERIVED], False, 8)


async def test_a_step_that_is_sent_again_keeps_what_is_derived_of_it(projector, store) -> None:
    fault = Failure(type="OSError", message="disk full")
    below = recorded(2, document(parent_step_id=1, status=Status.ERROR, error=fault, started_at_us=BASE_US + 1))
    above = recorded(1, document(status=Status.ERROR, error=fault, agent="planner"))
    await projector.apply([record(0, batch(1, below, above))])
    await projector.apply([record(1, batch(1, below, above))])
    later = recorded(2, llm(5, parent_step_id=1, status=Status.ERROR, error=fault, started_at_us=BASE_US + 1), at_us=BASE_US + 900)
    await projector.apply([record(2, batch(1, later))])

    rows = {row["step_id"]: (row["agent"], row["affected"]) for row in await store.rows("steps")}
    assert rows == {step_id(1): ("planner", True), step_id(2): ("planner", False)}
    assert (await store.task(task_id(1)))["errors"] == 1


def test_progress_alone_has_no_place_in_a_tree() -> None:
    event = StepProgressed(event_id="c" * 32, seq=1, at_us=BASE_US, steps=[])

    assert step_ids_of(event) == []
    assert step_of(step_id(1), EMPTY_STEP) is None
