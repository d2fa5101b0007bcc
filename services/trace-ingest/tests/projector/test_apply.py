"""One batch after another: what the tables hold then."""

import pytest
from tests.builders import (
    BASE_US,
    NATIVE,
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
    task_ended,
    task_id,
    task_started,
)

from ams_contracts.documents import Status, StepType, TaskDocument, Usage
from ams_kit.bus import PositionMovedError


async def test_a_recorded_step_becomes_a_row_and_a_task(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(2, llm(100, agent="planner")))))

    task = await store.task(task_id(1))
    step = await store.step(step_id(2))
    assert (task["steps"], task["input_tokens"], task["output_tokens"], task["cost_nusd"], task["priced_steps"]) == (1, 100, 50, 1000, 1)
    assert (task["name"], task["status"], task["root_step_id"], task["agent"]) == ("chat", "ok", step_id(2), "planner")
    assert (step["type"], step["status"], step["counted_input"], step["end_offset"]) == ("llm", "ok", 100, 0)
    assert [row["name"] for row in await store.rows("agents")] == ["planner"]


async def test_a_redelivered_batch_leaves_one_row(projector, store) -> None:
    batches = records(batch(1, recorded(2, llm(100))), batch(1, recorded(3, document(parent_step_id=2))))
    await projector.apply(batches)
    before = await store.everything()

    with pytest.raises(PositionMovedError) as moved:
        await projector.apply(batches, expected=0)

    assert moved.value.stored == 2
    assert await store.everything() == before


async def test_an_event_sent_twice_changes_nothing_but_the_account(projector, store) -> None:
    event = recorded(2, llm(100))
    await projector.apply(records(batch(1, event)))
    steps = await store.rows("steps", without=["seen_at_us"])

    await projector.apply(records(batch(1, event), first=1))

    assert await store.rows("steps", without=["seen_at_us"]) == steps
    assert (await store.task(task_id(1)))["input_tokens"] == 100


async def test_a_zombie_with_an_old_position_changes_nothing(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(2, document()))))

    with pytest.raises(PositionMovedError):
        await projector.apply(records(batch(1, recorded(9, document()))), expected=0)

    assert [row["step_id"] for row in await store.rows("steps")] == [step_id(2)]


async def test_what_lies_before_the_position_is_skipped(projector, store) -> None:
    first, second = records(batch(1, recorded(2, document())), batch(1, recorded(3, document(parent_step_id=2))))
    await projector.apply([first])

    assert await projector.apply([first, second], expected=1) == 2

    assert (await store.task(task_id(1)))["steps"] == 2


async def test_a_native_task_lives_and_ends(projector, store) -> None:
    running = TaskDocument(name="research", kind="agent", status=Status.RUNNING, started_at_us=BASE_US, tags={"env": "prod"})
    step = document(type=StepType.AGENT, status=Status.RUNNING, agent="planner")
    await projector.apply(records(batch(1, task_started(running), started(2, step, seq=2), producer=NATIVE)))
    task = await store.task(task_id(1))
    assert (task["name"], task["status"], task["running_steps"], task["tags"]) == ("research", "running", 1, '{"env": "prod"}')

    await projector.apply(records(batch(1, beat(2, seq=3, at_us=BASE_US + 10, status="waiting"), producer=NATIVE), first=1))
    task = await store.task(task_id(1))
    assert (task["status"], task["running_steps"], task["waiting_steps"], task["heartbeats"]) == ("waiting", 0, 1, True)
    assert (await store.step(step_id(2)))["last_beat_us"] == BASE_US + 10

    done = TaskDocument(name="research", kind="agent", status=Status.OK, started_at_us=BASE_US, ended_at_us=BASE_US + 500, duration_us=500)
    await projector.apply(
        records(batch(1, ended(2, document(type=StepType.AGENT), seq=4), task_ended(done, seq=5), producer=NATIVE), first=2)
    )
    task = await store.task(task_id(1))
    assert (task["status"], task["running_steps"], task["waiting_steps"], task["duration_us"]) == ("ok", 0, 0, 500)
    producers = await store.rows("task_producers")
    assert [(row["instance_id"], [(r.lower, r.upper) for r in row["seqs"]], row["duplicates"]) for row in producers] == [
        ("p1", [(1, 6)], 0)
    ]
    step = await store.step(step_id(2))
    assert (step["status"], step["first_offset"], step["end_offset"]) == ("ok", 0, 2)


async def test_an_end_without_a_start_and_progress_after_an_end(projector, store) -> None:
    await projector.apply(records(batch(1, ended(2, document(started_at_us=None), seq=9), producer=NATIVE)))
    await projector.apply(records(batch(1, beat(2, seq=10, at_us=BASE_US + 900), producer=NATIVE), first=1))

    step = await store.step(step_id(2))
    assert (step["status"], step["started_at_us"]) == ("ok", None)
    assert (await store.task(task_id(1)))["running_steps"] == 0


async def test_progress_before_the_start_is_a_step_of_its_own_until_then(projector, store) -> None:
    await projector.apply(records(batch(1, beat(2, seq=2, at_us=BASE_US + 5), producer=NATIVE)))
    assert ((await store.step(step_id(2)))["stamp_phase"], (await store.task(task_id(1)))["running_steps"]) == (None, 1)

    await projector.apply(records(batch(1, started(2, document(status=Status.RUNNING, name="late"), seq=1), producer=NATIVE), first=1))

    task, step = await store.task(task_id(1)), await store.step(step_id(2))
    assert (step["name"], task["steps"], task["running_steps"], task["name"]) == ("late", 1, 1, "late")


async def test_new_steps_with_progress_with_flags_and_plain_ones_of_one_batch_are_all_complete(projector, store) -> None:
    running = document(status=Status.RUNNING, name="open")
    await projector.apply(
        records(
            batch(
                1,
                started(2, running, seq=1),
                beat(2, seq=2, at_us=BASE_US + 7),
                beat(3, seq=3, at_us=BASE_US + 8),
                recorded(4, document(name="flagged", flags=["clock_skew"]), seq=4),
                recorded(5, document(name="plain", usage=Usage(input=3, output=4)), seq=5),
                producer=NATIVE,
            )
        )
    )

    steps = [await store.step(step_id(number)) for number in (2, 3, 4, 5)]
    found = [
        (step["name"], step["status"], step["progress_seq"], step["last_beat_us"], step["flags"], step["input_tokens"]) for step in steps
    ]
    assert found == [
        ("open", "running", 2, BASE_US + 7, [], None),
        ("", "running", 3, BASE_US + 8, [], None),
        ("flagged", "ok", None, None, ["clock_skew"], None),
        ("plain", "ok", None, None, [], 3),
    ]


async def test_a_call_without_tokens_counts_as_unmetered_once_it_ends(projector, store) -> None:
    running = document(type=StepType.LLM, name="chat", status=Status.RUNNING)
    found: list[int] = []
    for offset, event in enumerate(
        (
            started(2, running, seq=1),
            beat(2, seq=2, at_us=BASE_US + 1),
            ended(2, document(type=StepType.LLM, name="chat"), seq=3),
            ended(2, llm(100), seq=4, at_us=BASE_US + 200),
        )
    ):
        await projector.apply([record(offset, batch(1, event, producer=NATIVE))])
        found.append((await store.task(task_id(1)))["unmetered_calls"])

    assert found == [0, 0, 1, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize(("tokens", "unmetered"), [(10, 0), (None, 1)])
async def test_an_unmetered_wrapper_of_a_call_is_left_out(
    projector, store, order: tuple[int, ...], tokens: int | None, unmetered: int
) -> None:
    inner = document(type=StepType.LLM, name="chat", parent_step_id=3) if tokens is None else llm(tokens, parent_step_id=3)
    batches = [
        batch(1, recorded(2, document(type=StepType.LLM, name="wrapper"))),
        batch(1, recorded(3, document(parent_step_id=2))),
        batch(1, recorded(4, inner)),
    ]

    for offset, index in enumerate(order):
        await projector.apply([record(offset, batches[index])])

    task = await store.task(task_id(1))
    assert (task["unmetered_calls"], task["input_tokens"]) == (unmetered, tokens or 0)


async def test_a_root_that_comes_last_names_the_task(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(3, document(parent_step_id=2, name="child")))))
    assert ((await store.task(task_id(1)))["status"], (await store.task(task_id(1)))["name"]) == ("running", "")

    await projector.apply(records(batch(1, recorded(2, document(name="root", status=Status.ERROR))), first=1))

    task = await store.task(task_id(1))
    assert (task["name"], task["status"], task["errors"], task["root_step_id"]) == ("root", "error", 1, step_id(2))


async def test_the_earliest_parentless_step_is_the_root(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(5, document(name="second", started_at_us=BASE_US + 5)))))
    await projector.apply(records(batch(1, recorded(6, document(name="first", started_at_us=BASE_US + 1))), first=1))
    assert (await store.task(task_id(1)))["name"] == "first"

    # it turns out to have a parent after all
    await projector.apply(
        records(batch(1, recorded(6, document(name="first", started_at_us=BASE_US + 1, parent_step_id=5), at_us=BASE_US + 300)), first=2)
    )

    assert (await store.task(task_id(1)))["name"] == "second"


async def test_partitions_have_positions_of_their_own(projector, store) -> None:
    await projector.apply([record(4, batch(1, recorded(2, document())), partition=3)], expected=0)

    assert [(row["partition"], row["next_offset"]) for row in await store.rows("positions")] == [(3, 5)]
    assert {key: value.next_offset for key, value in (await projector.projection.stored("ams.steps.v1", [0, 3])).items()} == {3: 5}
