"""Hourly rollups: what ended steps add up to, whatever the order, repetition and batches, also after a deletion."""

import random
from collections import Counter

import pytest
from tests.builders import BASE_US, NATIVE, batch, document, ended, llm, record, recorded, records, started, step_id

from ams_contracts.documents import Status, StepType
from ams_contracts.events import TaskDeleted
from ams_contracts.histograms import bucket_of
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store import hourly_rollups

HOUR_US = 3_600_000_000
HOUR = BASE_US // HOUR_US
SUMS = ("steps", "input_tokens", "output_tokens", "cost_nusd", "priced_steps", "duration_us", "timed_steps")


async def rollups(store) -> list[dict[str, object]]:
    return await store.rows("hourly_rollups")


async def from_the_steps(store) -> dict[tuple[object, ...], Counter[str]]:
    """The same from the table of steps, which is always right."""
    found: dict[tuple[object, ...], Counter[str]] = {}
    for row in await store.rows("steps"):
        elsewhere = {row["repeats_response"], row["repeats_call"]} - {None, row["task_id"]}  # the call counts where it was seen first
        if row["stamp_phase"] == 2 and not elsewhere:
            key = (
                row["started_at_us"] // HOUR_US,
                row["agent"] or "",
                row["model"] or "",
                row["type"],
                row["status"],
                row["tool_name"] or "",
            )
            sums = found.setdefault(key, Counter())
            sums.update(
                steps=1, input_tokens=row["counted_input"], output_tokens=row["counted_output"], cost_nusd=row["counted_nusd"] or 0,
                priced_steps=row["counted_nusd"] is not None, duration_us=row["duration_us"] or 0, timed_steps=row["duration_us"] is not None,
            )  # fmt: skip
    return found


async def check(store) -> None:
    expected = await from_the_steps(store)
    rows = await rollups(store)
    found: dict[tuple[object, ...], Counter[str]] = {}
    for row in rows:
        key = (row["hour"], row["agent"], row["model"], row["type"], row["status"], row["tool"])
        found.setdefault(key, Counter()).update({name: row[name] for name in SUMS})
        assert sum(row["durations"]) == row["timed_steps"]
        assert sum(row["costs"]) == row["priced_steps"]
        assert not row["durations"] or row["durations"][-1] != 0
    assert found == expected


async def test_ended_steps_are_counted_by_hour_and_dimension(projector, store) -> None:
    call = llm(100, model="m", agent="a", duration_us=1_000)
    later = document(type=StepType.TOOL, tool_name="search", status=Status.ERROR, started_at_us=BASE_US + HOUR_US, duration_us=5)
    await projector.apply(records(batch(1, recorded(1, call), recorded(2, call), recorded(3, later), started(4, document(), seq=1))))

    rows = await rollups(store)
    assert [(row["hour"], row["agent"], row["model"], row["type"], row["status"], row["tool"], row["steps"]) for row in rows] == [
        (HOUR, "a", "m", "llm", "ok", "", 2),
        (HOUR + 1, "", "", "tool", "error", "search", 1),
    ]
    assert (rows[0]["input_tokens"], rows[0]["output_tokens"], rows[0]["cost_nusd"], rows[0]["duration_us"]) == (200, 100, 2_000, 2_000)
    assert rows[0]["durations"] == [0] * bucket_of(1_000) + [2]
    assert rows[0]["tokens"] == [0] * bucket_of(150) + [2]
    await check(store)


async def test_the_rows_are_those_of_the_steps_whatever_the_batches(projector, store) -> None:
    chance = random.Random(11)
    history = [
        batch(
            n % 6, recorded(n, llm(n, parent_step_id=max(1, n // 2), agent=f"a{n % 3}", response_id=f"r{n % 4}", model="m", duration_us=n))
        )
        for n in range(1, 60)
    ]
    history += [batch(n % 6, recorded(n, llm(n + 1, agent="late", duration_us=2 * n), at_us=BASE_US + 900)) for n in range(1, 60, 7)]
    history += [batch(8, started(n, document(), seq=2 * n), producer=NATIVE) for n in range(1, 20)]
    history += [batch(8, ended(n, document(duration_us=n), seq=2 * n + 1), producer=NATIVE) for n in range(1, 15)]
    history.append(batch(4, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")))
    chance.shuffle(history)
    await projector.apply(records(*history))
    await check(store)
    once = await rollups(store)

    await store.empty()
    projector.position.clear()
    projector.projection = StepsProjection(projector.projection._pool)
    log, at = records(*history, *chance.sample(history[:-1], 20)), 0
    while at < len(log):
        size = chance.randrange(1, 9)
        await projector.apply(log[at : at + size])
        at += size

    await check(store)
    assert await rollups(store) == once


async def test_an_agent_is_counted_under_its_own_name_and_leaves_with_its_task(projector, store) -> None:
    guide = document(type=StepType.AGENT, name="guide", duration_us=9)
    below = document(type=StepType.TOOL, name="lookup", parent_step_id=1, duration_us=5)
    await projector.apply(records(batch(1, recorded(1, guide), recorded(2, below))))

    assert {row["agent"]: row["type"] for row in await rollups(store)} == {"guide": "agent", "": "tool"}

    await projector.apply(records(batch(1, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")), first=1))
    assert await rollups(store) == []


@pytest.mark.parametrize("together", [True, False])
async def test_values_beyond_the_limit_count_as_other(projector, store, monkeypatch, together: bool) -> None:
    monkeypatch.setattr(hourly_rollups, "_ADMIT", hourly_rollups._ADMIT.replace("1000", "3"))
    given = [record(n, batch(n + 1, recorded(n + 1, document(agent=f"agent {n}")))) for n in range(6)]
    for some in [given] if together else [[one] for one in given]:
        await projector.apply(some)

    found = Counter({row["agent"]: row["steps"] for row in await rollups(store)})
    assert found == Counter({"agent 0": 1, "agent 1": 1, "agent 2": 1, "other": 3})

    await projector.apply(records(batch(6, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")), first=6))
    assert {row["agent"]: row["steps"] for row in await rollups(store)}["other"] == 2


async def test_a_count_that_moves_to_another_task_moves_in_the_rollups_too(projector, store) -> None:
    first = llm(100, response_id="r", model="m", started_at_us=BASE_US, ended_at_us=BASE_US + 50)
    second = llm(100, response_id="r", model="m", started_at_us=BASE_US + 10, ended_at_us=BASE_US + 40)
    await projector.apply(records(batch(3, recorded(4, second))))
    await projector.apply(records(batch(1, recorded(2, first)), first=1))
    await check(store)
    assert (await store.step(step_id(4)))["usage_shadowed"]

    await projector.apply(records(batch(1, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")), first=2))
    await check(store)
