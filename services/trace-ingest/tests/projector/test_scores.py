"""Scores are registers, and reports of losses too: the highest stamp counts, in whatever order and batches they arrive."""

import json
from itertools import permutations

import pytest
from tests.builders import BASE_US, NATIVE, PROJECT, batch, document, recorded, records, step_id, task_id

from ams_contracts.events import ProducerReported, ScoreRecorded, StepScored, TaskDeleted
from ams_contracts.scores import score_of


def scored(score_id: str, at: int, number: float, **changes) -> ScoreRecorded:
    given = {"seq": 0, "step_id": step_id(1), "name": "right", "source": "human", **changes}
    return ScoreRecorded(event_id=f"{at:032x}", at_us=BASE_US + at, score_id=score_id, number=number, **given)


def reported(at: int, seq: int, **dropped: int) -> ProducerReported:
    return ProducerReported(event_id=f"{at:032x}", seq=seq, at_us=BASE_US + at, dropped=dropped, truncated=at)


async def test_the_score_with_the_highest_stamp_counts_in_any_order(projector, store) -> None:
    events = [scored("a", 1, 0.1), scored("a", 2, 0.2, removed=True), scored("a", 3, 0.3, author="ann"), scored("b", 1, 1.0, step_id=None)]
    found = []
    for task, order in enumerate(permutations(events), start=1):
        at = projector.position.get(0, 0)
        await projector.apply(records(batch(task, *order[:2]), batch(task, order[2]), batch(task, order[3]), first=at))
        rows = await store.connection.fetch("SELECT * FROM g1.scores WHERE task_id = $1 ORDER BY score_id", task_id(task))
        found.append([{key: value for key, value in row.items() if key != "task_id"} for row in rows])
    assert all(rows == found[0] for rows in found)
    assert [(row["score_id"], row["step_id"], row["number"], row["author"], row["removed"]) for row in found[0]] == [
        ("a", step_id(1), 0.3, "ann", False),
        ("b", None, 1.0, None, False),
    ]
    assert await store.account() == {"projected": 4 * len(found)}


async def test_a_repeated_score_is_a_duplicate(projector, store) -> None:
    numbered = scored("n", 5, 1.0, seq=7)
    await projector.apply(records(batch(1, scored("a", 1, 0.1), scored("a", 1, 0.1), numbered, producer=NATIVE)))
    await projector.apply(records(batch(1, scored("a", 1, 0.1), numbered, producer=NATIVE), first=1))

    assert await store.account() == {"projected": 2, "duplicate": 3}
    assert [row["score_id"] for row in await store.rows("scores")] == ["a", "n"]


async def test_an_older_score_of_a_step_is_read_as_one_of_its_own(projector, store) -> None:
    old = StepScored(
        event_id="f" * 32,
        seq=0,
        at_us=BASE_US,
        step_id=step_id(1),
        name="right",
        value=0.75,
        label="good",
        explanation="why",
        source="code",
    )
    await projector.apply(records(batch(1, old)))

    row = (await store.rows("scores"))[0]
    assert (row["project_id"], row["score_id"], row["step_id"], row["number"], row["label"], row["comment"], row["source"]) == (
        PROJECT, "f" * 32, step_id(1), 0.75, "good", "why", "code",
    )  # fmt: skip


@pytest.mark.parametrize("value", [1e300, float("inf")])
def test_a_number_that_no_score_can_hold_is_left_out(value: float) -> None:
    event = StepScored(event_id="f" * 32, seq=0, at_us=1, step_id=step_id(1), name="n", value=value, source="code")

    assert score_of(event).number is None


async def test_scores_go_with_their_task(projector, store) -> None:
    await projector.apply(records(batch(1, recorded(1, document()), scored("a", 1, 0.1)), batch(2, scored("b", 1, 0.1))))
    await projector.apply(records(batch(1, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")), first=2))

    assert [row["task_id"] for row in await store.rows("scores")] == [task_id(2)]


async def test_the_report_with_the_highest_stamp_counts_in_any_order(projector, store) -> None:
    events = [reported(1, 1, queue_full=1), reported(2, 2, queue_full=4), reported(3, 3, queue_full=9, spool_full=1)]
    for task, order in enumerate(permutations(events), start=1):
        at = projector.position.get(0, 0)
        await projector.apply(records(batch(task, *order[:2], producer=NATIVE), batch(task, order[2], producer=NATIVE), first=at))
    rows = await store.rows("task_producers")
    assert len(rows) == 6
    for row in rows:
        assert (json.loads(row["dropped"]), row["truncated"], row["reported_at_us"]) == ({"queue_full": 9, "spool_full": 1}, 3, BASE_US + 3)
        assert [(piece.lower, piece.upper) for piece in row["seqs"]] == [(1, 4)]


async def test_a_report_without_a_number_is_kept(projector, store) -> None:
    await projector.apply(records(batch(1, reported(1, 0, spool_full=2), producer=NATIVE)))

    assert [(json.loads(row["dropped"]), list(row["seqs"])) for row in await store.rows("task_producers")] == [({"spool_full": 2}, [])]
