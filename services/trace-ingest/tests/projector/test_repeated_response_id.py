"""A response id that very many steps claim: all of them count, the task says so, and a batch costs what it holds."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from tests.builders import BASE_US, NATIVE, PROJECT, batch, llm, record, recorded, step_id, task_id

from ams_contracts.events import Batch, TaskDeleted
from ams_contracts.topics import STEPS
from ams_trace_ingest.projector import claim_updater
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.retention import Pruner
from ams_trace_ingest.repeated_calls import RESPONSE_STEPS_MAX, Claim
from ams_trace_ingest.store import claims
from ams_trace_ingest.store.retention import TaskBatch

FLAG = "repeated_response_id"
STEPS_OF_ONE_ID = 50_000
STEPS_OF_A_RECORD = 100
TASKS = 10


def call(step: int, **changes: object) -> object:
    return recorded(step, llm(10, **{"response_id": "r1", "started_at_us": BASE_US + step, **changes}))


def deleted(seq: int) -> TaskDeleted:
    return TaskDeleted(event_id=f"f{seq:031x}", seq=seq, at_us=BASE_US + 500, by="somebody")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many claims were compared, written into rows of response ids, and written one by one."""
    counts = {"compared": 0, "encoded": 0, "overflow": 0}
    overlapping, encoded, add = claim_updater.overlapping_claims, claims._entries_of, claims.add_overflow

    def counting_overlapping(given: Sequence[Claim], steps_max: int) -> set[tuple[str, str]]:
        counts["compared"] += len(given)
        return overlapping(given, steps_max)

    def counting_encoded(given: Sequence[Claim]) -> object:
        counts["encoded"] += len(given)
        return encoded(given)

    async def counting_add(connection: object, given: Sequence[tuple[str, Claim]]) -> object:
        counts["overflow"] += len(given)
        return await add(connection, given)

    monkeypatch.setattr(claim_updater, "overlapping_claims", counting_overlapping)
    monkeypatch.setattr(claims, "_entries_of", counting_encoded)
    monkeypatch.setattr(claims, "add_overflow", counting_add)
    return counts


async def test_fifty_thousand_steps_of_one_response_id_cost_what_each_batch_holds(projector, store, work: dict[str, int]) -> None:
    offset = 0
    for first in range(1, STEPS_OF_ONE_ID + 1, 4 * STEPS_OF_A_RECORD):
        poll = [
            record(
                offset + part,
                batch(1 + (offset + part) % TASKS, *(call(first + part * STEPS_OF_A_RECORD + i) for i in range(STEPS_OF_A_RECORD))),
            )
            for part in range(4)
        ]
        offset += len(poll)
        await projector.apply(poll)

    assert work["overflow"] == STEPS_OF_ONE_ID
    assert 0 < work["compared"] <= 4 * RESPONSE_STEPS_MAX  # the few batches before the limit
    assert 0 < work["encoded"] <= 4 * RESPONSE_STEPS_MAX + STEPS_OF_ONE_ID  # each batch offers its claims for a new row
    (row,) = await store.rows("response_claims")
    assert (row["claims"], row["overflow"]) == ("[]", STEPS_OF_ONE_ID)
    tasks = await store.rows("tasks")
    assert sum(task["input_tokens"] for task in tasks) == 10 * STEPS_OF_ONE_ID
    assert [task["flags"] for task in tasks] == [[FLAG]] * TASKS


async def test_the_step_above_the_limit_lets_all_count_and_flags_their_tasks(pool, store) -> None:
    projection = StepsProjection(pool, response_steps_max=3)
    await projection.apply(STEPS.name, 0, [record(0, batch(1, call(1))), record(1, batch(2, call(2), call(3)))], 0)
    assert [(await store.task(task_id(task)))["input_tokens"] for task in (1, 2)] == [10, 0]

    await projection.apply(STEPS.name, 1, [record(0, batch(3, call(4)), partition=1)], 0)

    assert [(await store.task(task_id(task)))["input_tokens"] for task in (1, 2, 3)] == [10, 20, 10]
    assert [(await store.task(task_id(task)))["flags"] for task in (1, 2, 3)] == [[FLAG]] * 3


async def test_the_rule_applies_again_when_a_deletion_leaves_few_steps(pool, store) -> None:
    projection = StepsProjection(pool, response_steps_max=3)
    await projection.apply(STEPS.name, 0, [record(0, batch(1, call(1))), record(1, batch(2, call(2), call(3), call(4)))], 0)
    await projection.apply(STEPS.name, 0, [record(2, batch(3, call(5)))], 2)

    await projection.apply(STEPS.name, 0, [record(3, batch(2, deleted(1), producer=NATIVE))], 3)

    assert [(await store.task(task_id(task)))["input_tokens"] for task in (1, 3)] == [10, 0]
    assert [(await store.task(task_id(task)))["flags"] for task in (1, 3)] == [[], []]
    (row,) = await store.rows("response_claims")
    assert ([entry[1] for entry in json.loads(row["claims"])], row["overflow"]) == ([step_id(1), step_id(5)], 0)
    assert await store.rows("response_claims_overflow") == []


async def test_a_step_that_names_another_response_leaves_the_flag_to_those_that_stay(pool, store) -> None:
    projection = StepsProjection(pool, response_steps_max=2)
    await projection.apply(STEPS.name, 0, [record(0, batch(1, *map(call, (1, 2, 3)))), record(1, batch(2, call(4)))], 0)

    later = recorded(4, llm(10, response_id="r2", started_at_us=BASE_US), at_us=BASE_US + 900)
    await projection.apply(STEPS.name, 0, [record(2, batch(2, later))], 2)

    assert [(await store.task(task_id(task)))["flags"] for task in (1, 2)] == [[FLAG], []]
    rows = {row["response_id"]: (len(json.loads(row["claims"])), row["overflow"]) for row in await store.rows("response_claims")}
    assert rows == {"r1": (0, 3), "r2": (1, 0)}


@pytest.mark.parametrize("seed", range(6))
async def test_a_replay_in_other_batches_and_another_order_writes_the_same_claims(pool, store, seed: int) -> None:
    chance = random.Random(seed)
    history: list[Batch] = [batch(chance.randrange(1, 5), call(step, model=chance.choice(["m", "n"]))) for step in range(1, 13)]
    history += [
        batch(1 + index, recorded(100 + index, llm(5, response_id=chance.choice(["r1", "r2"])), at_us=BASE_US + 300)) for index in range(3)
    ]
    moved = [
        msgspec.structs.replace(item, events=[recorded(int(item.events[0].step_id, 16), llm(5, response_id="r2"), at_us=BASE_US + 700)])
        for item in chance.sample(history[:12], 4)
    ]
    history += moved
    seen: list[object] = []
    for size in (1, 3, len(history)):
        await store.empty()
        projection = StepsProjection(pool, response_steps_max=4)
        shuffled, at = chance.sample(history, len(history)), 0
        while at < len(shuffled):
            poll = [record(at + index, item) for index, item in enumerate(shuffled[at : at + size])]
            at = await projection.apply(STEPS.name, 0, poll, at)
        places = ("first_offset", "end_offset", "last_offset", "seen_at_us", "sort_at_us")
        seen.append(
            [await store.rows(table, without=places) for table in ("tasks", "steps", "response_claims", "response_claims_overflow")]
        )

    assert seen[0] == seen[1] == seen[2]


async def test_pruned_tasks_release_a_repeated_response_id(pool, store) -> None:
    projection = StepsProjection(pool, response_steps_max=RESPONSE_STEPS_MAX)
    many = [call(step) for step in range(1, RESPONSE_STEPS_MAX + 1)]
    await projection.apply(
        STEPS.name,
        0,
        [record(0, batch(1, *many)), record(1, batch(2, call(2_000, started_at_us=BASE_US), call(2_001, started_at_us=BASE_US + 1)))],
        0,
    )
    row = await store.task(task_id(1))
    assert row["flags"] == [FLAG]
    pruner = Pruner(pool, now=lambda: datetime.now(UTC))

    await pruner.prune(TaskBatch(PROJECT, row["day"], [task_id(1)]))

    kept = await store.task(task_id(2))
    assert (kept["input_tokens"], kept["flags"]) == (10, [])
    (claimed,) = await store.rows("response_claims")
    assert ([entry[1] for entry in json.loads(claimed["claims"])], claimed["overflow"]) == ([step_id(2_000), step_id(2_001)], 0)
    assert await store.rows("response_claims_overflow") == []
