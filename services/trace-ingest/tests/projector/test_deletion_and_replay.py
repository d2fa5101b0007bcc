"""A deleted task stays deleted, and a replay gives the same tables."""

import random

import pytest
from tests.builders import BASE_US, NATIVE, batch, beat, document, ended, llm, record, recorded, records, started, step_id, task_id

from ams_contracts.documents import Slot, StepType
from ams_contracts.events import AgentRegistered, PayloadStored, TaskDeleted
from ams_contracts.topics import PAYLOADS
from ams_trace_ingest.projector.hourly_rollups import HourlyRollups
from ams_trace_ingest.projector.payloads import PayloadsProjection

DELETED = TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US + 5_000, by="ann")


def payload(step: int, text: str, *, slot: Slot = Slot.INPUT, at_us: int = BASE_US, seq: int = 0) -> PayloadStored:
    return PayloadStored(
        event_id=f"{step:016x}{at_us - BASE_US:016x}", seq=seq, at_us=at_us, step_id=step_id(step), slot=slot, text=text, bytes=len(text)
    )


async def test_a_deleted_task_stays_deleted(projector, store, pool) -> None:
    payloads = PayloadsProjection(pool)
    await projector.apply(records(batch(1, recorded(2, llm(10))), batch(3, recorded(4, llm(20)))))
    await payloads.apply(PAYLOADS.name, 0, [record(0, batch(1, payload(2, "x")), topic=PAYLOADS.name)], 0)

    await projector.apply(records(batch(1, DELETED), batch(1, recorded(5, document())), first=2))
    await projector.apply(records(batch(1, recorded(6, document())), first=4))
    await payloads.apply(PAYLOADS.name, 0, [record(1, batch(1, payload(6, "y")), topic=PAYLOADS.name)], 1)

    assert [row["task_id"] for row in await store.rows("tasks")] == [task_id(3)]
    assert [row["task_id"] for row in await store.rows("steps")] == [task_id(3)]
    assert await store.rows("step_payloads") == []
    assert [(row["task_id"], row["deleted_by"]) for row in await store.rows("deleted_tasks")] == [(task_id(1), "ann")]


async def test_the_other_view_of_a_call_counts_when_the_first_is_deleted(projector, store) -> None:
    first = llm(100, response_id="r", model="m", started_at_us=BASE_US, ended_at_us=BASE_US + 50)
    second = llm(100, response_id="r", model="m", started_at_us=BASE_US + 10, ended_at_us=BASE_US + 40)
    await projector.apply(records(batch(1, recorded(2, first)), batch(3, recorded(4, second))))
    assert ((await store.task(task_id(1)))["input_tokens"], (await store.task(task_id(3)))["input_tokens"]) == (100, 0)

    await projector.apply(records(batch(1, DELETED), first=2))

    assert (await store.task(task_id(3)))["input_tokens"] == 100
    assert (await store.step(step_id(4)))["usage_shadowed"] is False


async def test_a_deletion_of_what_was_never_there_is_remembered(projector, store) -> None:
    await projector.apply(records(batch(1, DELETED)))
    await projector.apply(records(batch(1, recorded(2, document())), first=1))

    assert (await store.rows("tasks"), await store.rows("steps"), len(await store.rows("deleted_tasks"))) == ([], [], 1)


async def test_a_replay_from_the_start_gives_identical_tables(projector, store) -> None:
    chance = random.Random(5)
    history = [
        batch(None, AgentRegistered(event_id="a" * 32, seq=0, at_us=BASE_US, name="planner", version="1")),
        *(batch(n % 7, recorded(n, llm(n, parent_step_id=max(1, n // 2), agent="planner", response_id=f"r{n % 5}"))) for n in range(1, 60)),
        *(batch(9, recorded(n, document(type=StepType.LLM, parent_step_id=n // 2 or None))) for n in range(1, 20)),
        *(batch(8, started(n, document(parent_step_id=n - 1 or None), seq=3 * n), producer=NATIVE) for n in range(1, 20)),
        *(batch(8, beat(n, seq=3 * n + 1, at_us=BASE_US + n), producer=NATIVE) for n in range(1, 20)),
        *(batch(8, ended(n, document(parent_step_id=n - 1 or None), seq=3 * n + 2), producer=NATIVE) for n in range(1, 12)),
        batch(4, DELETED),
        b"nonsense",
    ]
    chance.shuffle(history)
    log = records(*history)
    await projector.apply(log)
    once = await store.everything()

    await store.empty()
    projector.position.clear()
    projector.projection._agents_seen.clear()  # another process replays
    projector.projection._hourly_rollups = HourlyRollups()
    at = 0
    while at < len(log):
        size = chance.randrange(1, 9)
        await projector.apply(log[at : at + size])
        at += size

    assert await store.everything() == once
    assert (await store.task(task_id(9)))["unmetered_calls"] == 10  # the leaves of the tree


@pytest.mark.parametrize("together", [True, False])
async def test_the_first_of_two_deletions_stays_whatever_the_batches(projector, store, together: bool) -> None:
    first, second = (TaskDeleted(event_id=who * 32, seq=0, at_us=BASE_US + at, by=who) for at, who in enumerate("ab"))
    given = [record(0, batch(1, recorded(1, document()))), record(1, batch(1, first)), record(2, batch(1, second))]
    for some in [given] if together else [[one] for one in given]:
        await projector.apply(some)

    assert [(row["deleted_by"], row["at_us"]) for row in await store.rows("deleted_tasks")] == [("a", BASE_US)]
