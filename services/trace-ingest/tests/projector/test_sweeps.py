"""What time does: silent steps, tasks without a root, hints for live lists."""

import asyncio

import asyncpg
import msgspec
import pytest
from tests.builders import (
    BASE_US,
    NATIVE,
    OTLP,
    PROJECT,
    batch,
    beat,
    document,
    ended,
    llm,
    record,
    recorded,
    records,
    started,
    step_id,
    task_id,
)

from ams_contracts.codec import decode_batch
from ams_contracts.documents import Status
from ams_contracts.events import TaskDeleted
from ams_contracts.topics import TASKS, task_key
from ams_contracts.views import TaskChanged
from ams_kit.bus import Record
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.feed import TaskFeed
from ams_trace_ingest.projector.sweeps import LOST_AFTER_SECONDS, CaughtUp, Sweeper


class KeptLog:
    """Keeps the port's promise: what it is given is there afterwards, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.arrived = asyncio.Event()

    async def publish(self, records, *, timeout_seconds: float = 4) -> list[object]:
        self.records.extend(records)
        self.arrived.set()
        return []


@pytest.fixture
def log() -> KeptLog:
    return KeptLog()


@pytest.fixture
def sweeper(pool: asyncpg.Pool, log: KeptLog) -> Sweeper:
    sweeper = Sweeper(pool, log, TaskFeed(log), lambda: {0: 0})
    sweeper._caught_up.update({0: 0}, -10_000.0)  # has read everything for long
    return sweeper


RUNNING = document(status=Status.RUNNING)


async def test_a_step_whose_agent_fell_silent_is_lost_and_comes_back(projector, store, sweeper, log) -> None:
    await projector.apply(
        records(batch(1, started(2, RUNNING, seq=1), beat(2, seq=2, at_us=BASE_US + 9), started(3, RUNNING, seq=3), producer=NATIVE))
    )

    await sweeper.declare_lost()

    published = [decode_batch(item.value).batch for item in log.records]
    assert [[event.step_id for event in item.events] for item in published] == [[step_id(2), step_id(3)]]
    assert published[0].events[0].at_us == BASE_US + 10
    await projector.apply([record(1, published[0])])
    assert ((await store.task(task_id(1)))["status"], (await store.task(task_id(1)))["lost_steps"]) == ("lost", 2)
    log.records.clear()
    await sweeper.declare_lost()
    assert log.records == []

    await projector.apply(records(batch(1, beat(2, seq=4, at_us=BASE_US + 99), producer=NATIVE), first=2))
    assert ((await store.task(task_id(1)))["status"], (await store.task(task_id(1)))["lost_steps"]) == ("running", 1)
    await projector.apply(records(batch(1, ended(2, document(), seq=5), ended(3, document(), seq=6), producer=NATIVE), first=3))
    assert ((await store.task(task_id(1)))["status"], (await store.task(task_id(1)))["lost_steps"]) == ("ok", 0)


async def test_a_producer_that_never_beat_loses_nothing(projector, sweeper, log) -> None:
    await projector.apply(
        records(batch(1, started(2, RUNNING, seq=0), producer=OTLP), batch(3, started(4, RUNNING, seq=1), producer=NATIVE))
    )

    await sweeper.declare_lost()

    assert log.records == []


def test_nothing_is_lost_while_the_log_is_not_read_to_its_end() -> None:
    caught_up = CaughtUp()

    assert caught_up.update({0: 0, 1: 5}, 100.0) == []
    assert caught_up.update({0: 0, 1: 0}, 100.0 + LOST_AFTER_SECONDS) == [0]
    assert caught_up.update({0: 3, 1: 0}, 100.0 + 2 * LOST_AFTER_SECONDS) == [1]
    assert caught_up.update({0: 0, 1: 0}, 101.0 + 2 * LOST_AFTER_SECONDS) == [1]


async def test_a_task_whose_root_never_came_is_shown_by_its_steps(projector, store, sweeper) -> None:
    await projector.apply(
        records(
            batch(
                1,
                recorded(3, document(parent_step_id=2, name="first", ended_at_us=BASE_US + 7)),
                recorded(4, llm(5, parent_step_id=2, started_at_us=BASE_US + 3)),
            )
        )
    )

    await sweeper.mark_rootless()

    task = await store.task(task_id(1))
    assert (task["status"], task["flags"], task["name"], task["started_at_us"], task["ended_at_us"]) == (
        "ok",
        ["no_root"],
        "first",
        BASE_US,
        BASE_US + 50,
    )
    await projector.apply(records(batch(1, recorded(2, document(name="root", status=Status.ERROR))), first=1))
    task = await store.task(task_id(1))
    assert (task["status"], task["flags"], task["name"]) == ("error", [], "root")


async def test_live_lists_receive_the_newest_state_and_deletions(pool, store, log) -> None:
    feed = TaskFeed(log)
    running = asyncio.create_task(feed.run())
    projection = StepsProjection(pool, listener=feed)
    try:
        await projection.apply("ams.steps.v1", 0, records(batch(1, recorded(2, document())), batch(3, recorded(4, llm(7)))), 0)
        await asyncio.wait_for(log.arrived.wait(), 5)
        changes = [msgspec.json.decode(item.value, type=TaskChanged) for item in log.records]
        assert [(item.topic, item.key) for item in log.records] == [(TASKS, task_key(PROJECT, task_id(n))) for n in (1, 3)]
        assert [(change.task.task_id, change.position, change.task.input_tokens) for change in changes] == [
            (task_id(1), "1.0.1", 0),
            (task_id(3), "1.0.2", 7),
        ]

        log.records.clear()
        log.arrived.clear()
        deletion = TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")
        await projection.apply("ams.steps.v1", 0, records(batch(1, deletion), first=2), 2)
        await asyncio.wait_for(log.arrived.wait(), 5)
        assert [(item.key, item.value) for item in log.records] == [(task_key(PROJECT, task_id(1)), None)]
    finally:
        running.cancel()


async def test_running_tasks_are_published_again(projector, sweeper, log) -> None:
    await projector.apply(records(batch(1, started(2, RUNNING, seq=1), producer=NATIVE), batch(3, recorded(4, document()))))
    running = asyncio.create_task(sweeper._feed.run())
    try:
        await sweeper.republish_running()
        await asyncio.wait_for(log.arrived.wait(), 5)
    finally:
        running.cancel()

    assert [item.key for item in log.records] == [task_key(PROJECT, task_id(1))]
