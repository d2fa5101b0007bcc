"""Whatever the order and the batches, the tables hold what the pure rules say of all events together."""

import json
import random
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest
from tests.builders import (
    BASE_MS,
    BASE_US,
    NATIVE,
    OTLP,
    PROJECT,
    batch,
    beat,
    document,
    ended,
    record,
    recorded,
    started,
    step_id,
    task_id,
)
from tests.reference import wrappers_and_claims

from ams_contracts.documents import MESSAGING, Status, StepType, Usage
from ams_contracts.events import Batch
from ams_contracts.fold import EMPTY_STEP, StepState, fold, step_ids_of
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.changes import contribution
from ams_trace_ingest.repeated_calls import RESPONSE_STEPS_MAX, is_call_key, overlapping_claims
from ams_trace_ingest.rollup import Counted, Node, count, node_of

TYPES = [StepType.LLM, StepType.LLM, StepType.LLM, StepType.SPAN, StepType.AGENT, StepType.TOOL, StepType.EMBEDDING]
PLACE_COLUMNS = ("first_offset", "end_offset", "last_offset", "seen_at_us", "sort_at_us", "partition", "day")


def a_document(chance: random.Random, step: int, steps: int) -> Any:
    kind = chance.choice(TYPES)
    tokens = chance.choice([0, 10, 100, 1000])
    start = BASE_US + chance.randrange(6) * 10
    return document(
        type=kind,
        type_raw=chance.choice([None, MESSAGING]),
        name=f"s{step}",
        status=chance.choice([Status.OK, Status.OK, Status.ERROR]),
        parent_step_id=chance.choice([None, *[chance.randrange(1, steps + 2) for _ in range(4)]]),
        started_at_us=chance.choice([start, start, start, None]),
        ended_at_us=start + chance.randrange(30),
        usage=chance.choice([None, Usage(input=tokens, output=tokens // 2)]),
        cost_nusd=chance.choice([None, tokens * 7]),
        response_id=chance.choice([None, "r1", "r2", "r3"]),
        scope=(scope := chance.choice([None, "framework", "client", "client"])),
        call_key=chance.choice(["c1", "c1", "c2"]) if scope is not None else None,
        preview_output=chance.choice([None, "words", "words", "others"]),
        model=chance.choice(["m", "m", "n"]),
    )


def a_history(chance: random.Random) -> list[Batch]:
    """Batches of three tasks: starts, beats, ends, whole steps, repetitions."""
    batches: list[Batch] = []
    for task in (1, 2, 3):
        steps = chance.randrange(1, 9)
        seq = 0
        for step in range(1, steps + 1):
            doc = a_document(chance, step, steps)
            if chance.random() < 0.5:
                batches.append(batch(task, recorded(step, doc, at_us=BASE_US + step), producer=OTLP))
                if chance.random() < 0.3:  # reported again, later and with other values
                    batches.append(batch(task, recorded(step, a_document(chance, step, steps), at_us=BASE_US + 50 + step), producer=OTLP))
            else:
                seq += 3
                open_document = msgspec.structs.replace(a_document(chance, step, steps), status=Status.RUNNING, usage=None, cost_nusd=None)
                batches.append(batch(task, started(step, open_document, seq=seq), producer=NATIVE))
                if chance.random() < 0.6:
                    status = chance.choice(["running", "waiting"])
                    batches.append(
                        batch(
                            task,
                            beat(step, chance.randrange(1, steps + 3), seq=seq + 1, at_us=BASE_US + seq, status=status),
                            producer=NATIVE,
                        )
                    )
                if chance.random() < 0.7:
                    batches.append(batch(task, ended(step, doc, seq=seq + 2), producer=NATIVE))
    return batches + [b for b in batches if chance.random() < 0.2]


def node(step: str, state: StepState) -> Node | None:
    return None if state.document is None else node_of(step, state.document)


def by_the_rules(
    batches: list[Batch], steps_max: int = RESPONSE_STEPS_MAX
) -> tuple[dict[tuple[str, str], tuple[StepState, Counted, bool]], dict[str, tuple[int, ...]], dict[str, bool]]:
    """Steps, totals, and which tasks claim a response id of too many steps, by the pure functions alone, from all events at once."""
    states: dict[tuple[str, str], StepState] = defaultdict(lambda: EMPTY_STEP)
    for item in batches:
        for event in item.events:
            for step in step_ids_of(event):
                states[item.task_id or "", step] = fold(states[item.task_id or "", step], event, step)
    wrappers, claims = wrappers_and_claims({key: state.document for key, state in states.items() if state.document is not None})
    of_keys = [
        overlapping_claims([one for one in claims if is_call_key(one.response_id) is by_call], steps_max) for by_call in (False, True)
    ]
    shadows = wrappers.union(*of_keys)
    claimed = Counter(claim.response_id for claim in claims if not is_call_key(claim.response_id))
    repeated = dict.fromkeys((key[0] for key in states), False) | {
        claim.task_id: True for claim in claims if claimed[claim.response_id] > steps_max
    }
    steps: dict[tuple[str, str], tuple[StepState, Counted, bool]] = {}
    totals: dict[str, tuple[int, ...]] = {}
    for key, state in states.items():
        found = node(key[1], state)
        counted = Counted(0, 0, None, unpriced=False) if found is None else count(found, shadowed=key in shadows)
        steps[key] = (state, counted, key in shadows)
        elsewhere = any(of_key.get(key, key[0]) != key[0] for of_key in of_keys)
        added = contribution(
            state.status, counted, repeated=elsewhere, type_raw=None if state.document is None else state.document.type_raw
        )
        totals[key[0]] = tuple(map(sum, zip(totals.get(key[0], (0,) * len(added)), added, strict=True)))
    return steps, totals, repeated


TABLES = ("tasks", "steps", "agents", "response_claims", "response_claims_overflow")
TOTALS = (
    "steps",
    "errors",
    "running_steps",
    "waiting_steps",
    "lost_steps",
    "input_tokens",
    "output_tokens",
    "cost_nusd",
    "priced_steps",
    "unpriced_steps",
    "repeated_steps",
    "unmetered_calls",
    "messaging_steps",
)


async def play(projector, batches: list[Batch], chance: random.Random) -> None:
    offsets = {0: 0, 1: 0}
    queue = list(batches)
    while queue:
        taken, queue = queue[: (size := chance.randrange(1, 8))], queue[size:]
        for partition in (0, 1):  # tasks 1 and 3 share a partition
            mine = (
                [item for item in taken if item.task_id == task_id(2)]
                if partition
                else [item for item in taken if item.task_id != task_id(2)]
            )
            if mine:
                first = offsets[partition]
                offsets[partition] += len(mine)
                await projector.apply(
                    [record(first + i, item, partition=partition, timestamp_ms=BASE_MS + first + i) for i, item in enumerate(mine)]
                )


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("steps_max", [RESPONSE_STEPS_MAX, 2, 1])
async def test_any_order_and_any_batches_give_what_the_rules_say(pool, projector, store, seed: int, steps_max: int) -> None:
    projector.projection = StepsProjection(pool, response_steps_max=steps_max)
    chance = random.Random(seed)
    history = a_history(chance)
    expected_steps, expected_totals, expected_repeated = by_the_rules(history, steps_max)
    first: dict[str, list[dict[str, Any]]] | None = None

    for _ in range(3):
        await store.empty()
        projector.position.clear()
        shuffled = chance.sample(history, len(history))
        await play(projector, shuffled, chance)

        rows = {(row["task_id"], row["step_id"]): row for row in await store.rows("steps")}
        assert rows.keys() == expected_steps.keys()
        for key, (state, counted, shadowed) in expected_steps.items():
            row = rows[key]
            got = (row["status"], row["counted_input"], row["counted_output"], row["counted_nusd"], row["usage_shadowed"])
            assert got == (state.status, counted.input_tokens, counted.output_tokens, counted.cost_nusd, shadowed), key
        totals = {row["task_id"]: tuple(row[name] for name in TOTALS) for row in await store.rows("tasks")}
        assert {task: (found[0], *found[2:]) for task, found in totals.items()} == {
            task: (found[0], *found[2:]) for task, found in expected_totals.items()
        }  # errors are derived: ``test_derivation.py``
        assert {row["task_id"]: "repeated_response_id" in row["flags"] for row in await store.rows("tasks")} == expected_repeated
        claimed = await store.rows("response_claims")
        assert all(row["project_id"] == PROJECT for row in claimed)
        assert all(len(json.loads(row["claims"])) <= steps_max for row in claimed)
        overflow = Counter(row["response_id"] for row in await store.rows("response_claims_overflow"))
        assert {row["response_id"]: row["overflow"] for row in claimed if row["overflow"]} == overflow

        everything = {table: await store.rows(table, without=PLACE_COLUMNS) for table in TABLES}
        if first is not None:
            for table, now in everything.items():
                assert [{key: (a[key], b[key]) for key in a if a[key] != b[key]} for a, b in zip(first[table], now, strict=True)] == [
                    {}
                ] * len(now)
        first = everything


async def test_a_chain_that_comes_from_the_leaf_up_counts_once(projector, store) -> None:
    """Wrappers of one call, each around the one before, with plain spans between: only the innermost counts."""
    usage = Usage(input=10, output=1)
    chain = [(9, StepType.LLM, 8), (8, StepType.SPAN, 7), (7, StepType.LLM, 6), (6, StepType.SPAN, 5), (5, StepType.LLM, None)]
    for offset, (step, kind, parent) in enumerate(chain):
        doc = document(type=kind, parent_step_id=parent, usage=usage if kind == StepType.LLM else None)
        await projector.apply([record(offset, batch(1, recorded(step, doc)))])

    rows = {row["step_id"]: row for row in await store.rows("steps")}
    assert [(rows[step_id(step)]["usage_shadowed"], rows[step_id(step)]["counted_input"]) for step in (9, 7, 5)] == [
        (False, 10),
        (True, 0),
        (True, 0),
    ]
    assert (await store.task(task_id(1)))["input_tokens"] == 10


async def test_the_first_claim_of_an_answer_is_kept_beside_a_step_that_releases_it(projector, store) -> None:
    """One step is the first to claim an answer, while another one, which named it and could not claim it, names another one."""
    call = document(type=StepType.LLM, usage=Usage(input=10, output=1), response_id="r1", ended_at_us=BASE_US + 50)
    await projector.apply([record(0, batch(2, started(2, document(type=StepType.LLM, response_id="r1"), seq=1)))])
    ends = ended(2, document(type=StepType.LLM, response_id="r2", usage=Usage(input=5)), seq=2)
    await projector.apply([record(1, batch(1, recorded(1, call))), record(2, batch(2, ends))])
    await projector.apply([record(3, batch(3, recorded(4, msgspec.structs.replace(call, started_at_us=BASE_US + 2))))])

    rows = {row["step_id"]: (row["usage_shadowed"], row["counted_input"]) for row in await store.rows("steps")}
    assert rows == {step_id(1): (False, 10), step_id(2): (False, 5), step_id(4): (True, 0)}


async def test_a_start_that_comes_late_and_names_another_answer_changes_no_count(projector, store) -> None:
    call = document(type=StepType.LLM, usage=Usage(input=10, output=1), response_id="r1", ended_at_us=BASE_US + 50)
    second = msgspec.structs.replace(call, started_at_us=BASE_US + 1)
    await projector.apply([record(0, batch(1, recorded(1, call))), record(1, batch(2, recorded(2, second)))])
    late = started(2, msgspec.structs.replace(call, response_id="r2", status=Status.RUNNING), seq=1)
    await projector.apply([record(2, batch(2, late))])

    rows = {row["step_id"]: (row["usage_shadowed"], row["counted_input"]) for row in await store.rows("steps")}
    assert rows == {step_id(1): (False, 10), step_id(2): (True, 0)}
