"""The cache of open tasks saves reads, does not change what is written, and is bounded."""

import gc
import tracemalloc
from datetime import date
from types import SimpleNamespace
from typing import cast

import asyncpg
import msgspec
import pytest
from tests.builders import BASE_MS, BASE_US, NATIVE, batch, beat, document, ended, llm, record, recorded, started, step_id, task_started

from ams_contracts.derive import derive_task, step_of
from ams_contracts.documents import Status, StepDocument, StepType, TaskDocument
from ams_contracts.events import Batch, TaskDeleted
from ams_contracts.fold import EMPTY_STEP, EMPTY_TASK, fold
from ams_contracts.topics import STEPS
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.changes import ShownByTree, StepChanges, TaskChanges
from ams_trace_ingest.projector.open_task_cache import STEP_BYTES_MAX, CachedTask, OpenTaskCache
from ams_trace_ingest.store import steps
from ams_trace_ingest.store.tasks import TaskRow

RUNNING = document(status=Status.RUNNING, type=StepType.AGENT)
HISTORY: list[Batch] = [
    batch(1, task_started(TaskDocument(name="work", status=Status.RUNNING, started_at_us=BASE_US)), started(1, RUNNING, seq=2), producer=NATIVE),
    batch(1, started(2, document(parent_step_id=1, status=Status.RUNNING), seq=3), beat(1, 2, seq=4, at_us=BASE_US + 5), producer=NATIVE),
    batch(1, recorded(3, llm(10, parent_step_id=2, response_id="r1"), seq=5), ended(2, llm(10, parent_step_id=1), seq=6), producer=NATIVE),
    batch(1, recorded(4, llm(20, parent_step_id=1, response_id="r1", started_at_us=BASE_US + 1), seq=7), producer=NATIVE),
    batch(1, ended(2, document(parent_step_id=1), seq=6), recorded(3, llm(30, parent_step_id=1), seq=8, at_us=BASE_US + 200), producer=NATIVE),
    batch(1, ended(1, document(type=StepType.AGENT), seq=9), producer=NATIVE),
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were read from the tables."""
    found: list[str] = []
    for name in ("load", "load_above", "load_below"):
        original = getattr(steps, name)

        async def listening(connection, places, original=original):
            found.extend(step for _, _, step, _ in places)
            return await original(connection, places)

        monkeypatch.setattr(steps, name, listening)
    return found


async def apply(projection: StepsProjection, *offsets: int) -> None:
    for offset in offsets:
        await projection.apply(STEPS.name, 0, [record(offset, HISTORY[offset])], offset)


async def test_with_it_and_without_it_the_tables_are_the_same(pool: asyncpg.Pool, store, asked: list[str]) -> None:
    for offset in range(len(HISTORY)):  # a process for each record: nothing is cached
        await apply(StepsProjection(pool), offset)
    expected = await store.everything()
    assert step_id(2) in asked
    await store.empty()
    asked.clear()

    await apply(StepsProjection(pool), *range(len(HISTORY)))

    assert await store.everything() == expected
    assert step_id(1) not in asked  # open all the time; of steps that ended only the ids are cached


async def test_what_another_process_wrote_since_is_read_again(pool: asyncpg.Pool, store, asked: list[str]) -> None:
    await apply(StepsProjection(pool), *range(len(HISTORY)))
    expected = await store.everything()
    await store.empty()
    first, second = StepsProjection(pool), StepsProjection(pool)
    await apply(first, 0, 1)
    await apply(second, 2)
    asked.clear()

    await apply(first, 3, 4, 5)

    assert step_id(1) in asked
    assert await store.everything() == expected


async def test_a_batch_that_fails_is_forgotten(pool: asyncpg.Pool, store, asked: list[str]) -> None:
    projection = StepsProjection(pool)
    await apply(projection, 0, 1)
    await store.connection.execute("ALTER TABLE g1.steps ADD CONSTRAINT never CHECK (step_id <> '0000000000000003') NOT VALID")
    try:
        await apply(projection, 2)
    finally:
        await store.connection.execute("ALTER TABLE g1.steps DROP CONSTRAINT never")

    assert [row["reason"] for row in await store.rows("dead_letters")] == ["postgres_23514"]
    assert step_id(2) in asked
    assert (await store.step(step_id(2)))["status"] == "ok"


async def test_it_is_bounded_and_what_was_not_spoken_of_for_longest_goes_first(pool: asyncpg.Pool, asked: list[str]) -> None:
    projection = StepsProjection(pool, open_tasks=OpenTaskCache(steps_max=22))  # an open step counts five, and its task six
    for offset, task in enumerate((1, 2, 1, 3)):
        events = [started(10 * task + offset, RUNNING, seq=offset + 1)]
        await projection.apply(STEPS.name, 0, [record(offset, batch(task, *events, producer=NATIVE))], offset)
    assert asked == []

    for offset, task in enumerate((3, 2), start=4):
        await projection.apply(STEPS.name, 0, [record(offset, batch(task, recorded(90 + task, document()), producer=NATIVE))], offset)

    assert set(asked) == {step_id(92), step_id(20 + 1)}


async def test_a_step_without_neighbours_that_reports_nothing_any_more_is_not_counted(pool: asyncpg.Pool, store) -> None:
    projection = StepsProjection(pool)
    top = started(1, RUNNING, seq=1)
    for offset, event in enumerate(
        (top, recorded(2, llm(10, parent_step_id=1, response_id="r1")), recorded(2, document(parent_step_id=1), at_us=BASE_US + 200))
    ):
        await projection.apply(STEPS.name, 0, [record(offset, batch(1, event, producer=NATIVE))], offset)

    step = await store.step(step_id(2))
    assert (step["counted_input"], step["counted_nusd"]) == (0, None)
    assert [(row["steps"], row["input_tokens"], row["cost_nusd"]) for row in await store.rows("tasks")] == [(2, 0, 0)]
    assert [row["claims"] for row in await store.rows("response_claims")] in ([], ["[]"], [[]])


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_task_that_another_partition_speaks_of_is_looked_up(pool: asyncpg.Pool, store, processes: int) -> None:
    first = StepsProjection(pool)
    second = first if processes == 1 else StepsProjection(pool)
    odd = ["odd"]  # rows with flags take the way on which nobody refuses a repetition
    await first.apply(STEPS.name, 0, [record(0, batch(1, started(1, RUNNING, seq=1), producer=NATIVE))], 0)
    foreign = batch(1, ended(2, llm(10, flags=odd), seq=2), ended(1, document(type=StepType.AGENT), seq=3), producer=NATIVE)
    await second.apply(STEPS.name, 1, [record(0, foreign, partition=1, timestamp_ms=BASE_MS + 1)], 0)

    late = [started(2, document(flags=odd, status=Status.RUNNING), seq=4), beat(1, seq=5, at_us=BASE_US + 5)]
    await first.apply(STEPS.name, 0, [record(1, batch(1, *late, producer=NATIVE))], 1)

    assert [row["status"] for row in await store.rows("steps")] == ["ok", "ok"]
    assert [(row["steps"], row["running_steps"], row["input_tokens"]) for row in await store.rows("tasks")] == [(2, 0, 10)]


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_task_that_another_partition_deletes_stays_deleted(pool: asyncpg.Pool, store, processes: int) -> None:
    first = StepsProjection(pool)
    second = first if processes == 1 else StepsProjection(pool)
    await first.apply(STEPS.name, 0, [record(0, batch(1, started(1, RUNNING, seq=1), producer=NATIVE))], 0)
    deletion = TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")
    await second.apply(STEPS.name, 1, [record(0, batch(1, deletion), partition=1)], 0)

    late = batch(1, recorded(2, llm(10, response_id="r1")), producer=NATIVE)
    await first.apply(STEPS.name, 0, [record(1, late)], 1)

    assert [await store.rows(table) for table in ("tasks", "steps", "response_claims")] == [[], [], []]
    assert await store.account() == {"projected": 2, "ignored deleted": 1}


@pytest.mark.parametrize(("steps", "opened"), [(1, False), (10, False), (2_000, False), (1, True), (10, True)])
def test_what_is_cached_takes_no_more_memory_than_its_weight_says(steps: int, opened: bool) -> None:
    row = SimpleNamespace(last_offset=0, seen_at_us=0)
    decoder = msgspec.json.Decoder(StepDocument)
    gc.collect()
    tracemalloc.start()
    try:
        kept = [CachedTask(0, date(2026, 1, 1)) for _ in range(2_000 // steps)]
        for number, cached in enumerate(kept):
            task = TaskChanges((f"p{number}", f"t{number}"), 0, 0, 0)
            tree = cached.derive_tree()
            for index in range(steps):
                step = StepChanges(step_id(number * steps + index), index)
                words = f"{number} {index}".ljust(200)
                doc = document(parent_step_id=number * steps or None, status=Status.RUNNING if opened else Status.OK, preview_input=words)
                event = (started if opened else recorded)(1, decoder.decode(msgspec.json.encode(doc)), seq=index)
                step.state = fold(EMPTY_STEP, event, step_id(1))
                task.steps[step.step_id] = step
                if (place := step_of(step.step_id, step.state)) is not None:
                    tree.put(place)
            task.tree = tree
            task.shown = ShownByTree(derive_task(tree, EMPTY_TASK))
            cached.update(task, cast(TaskRow, row))
            cached.tree()
            del task, step, event, doc, place
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert held <= STEP_BYTES_MAX * sum(cached.weight for cached in kept)
