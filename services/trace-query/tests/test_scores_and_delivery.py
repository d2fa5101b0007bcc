"""Scores of a task, and the delivery by its producers."""

import pytest
from asyncpg import Range

from ams_contracts.tables import scores, task_producers
from ams_contracts.topics import PAYLOADS
from ams_trace_query.delivery import gaps_between

T0 = 1_782_000_000_000_000


async def score(store, task_id: str, score_id: str, at_us: int, **values) -> None:
    defaults = {"seq": 0, "event_id": "e" * 32, "name": "helpful", "number": 0.5, "source": "human", "removed": False}
    await store.insert(scores, project_id=store.project_id, task_id=task_id, score_id=score_id, at_us=at_us, **{**defaults, **values})


async def test_scores_are_listed_in_pages_oldest_first_without_removed_ones(ada, store) -> None:
    task = await store.task()
    await score(store, task, "c", T0 + 1, label="good", author="ann", comment="yes")
    await score(store, task, "b", T0 + 2, step_id="a" * 16, number=None)
    await score(store, task, "a", T0 + 2)
    await score(store, task, "d", T0, removed=True)
    await score(store, await store.task(), "other", T0)

    first = await ada.get(f"tasks/{task}/scores", limit="2")
    second = await ada.get(f"tasks/{task}/scores", limit="2", cursor=first["next_cursor"])

    assert [item["score_id"] for item in first["items"] + second["items"]] == ["c", "a", "b"]
    assert second["next_cursor"] is None
    assert first["items"][0] == {
        "score_id": "c", "step_id": None, "name": "helpful", "number": 0.5, "label": "good", "comment": "yes", "source": "human", "author": "ann",
        "at_us": T0 + 1,
    }  # fmt: skip


async def test_scores_of_one_step_or_of_the_task_are_listed_alone(ada, store) -> None:
    task = await store.task()
    await score(store, task, "task", T0)
    await score(store, task, "one", T0, step_id="a" * 16)
    await score(store, task, "two", T0, step_id="b" * 16)

    of_step = await ada.get(f"tasks/{task}/scores", step_id="a" * 16)
    of_task = await ada.get(f"tasks/{task}/scores", of="task")
    refused = await ada.problem(f"tasks/{task}/scores", step_id="no")
    both = await ada.problem(f"tasks/{task}/scores", step_id="a" * 16, of="task")

    assert [item["score_id"] for item in of_step["items"]] == ["one"]
    assert [name["scores"] for name in of_step["names"]] == [1]
    assert [item["score_id"] for item in of_task["items"]] == ["task"]
    assert refused["code"] == "bad_step_id"
    assert both["code"] == "bad_of"


async def test_scores_are_summarized_by_name_whatever_the_page(ada, store) -> None:
    task = await store.task()
    for number, (score_id, value) in enumerate({"a": 0.25, "b": 0.75, "c": None, "d": 9.0}.items()):
        await score(store, task, score_id, T0, number=value, removed=score_id == "d", step_id="a" * 16 if number else None)
    for score_id, label in {"e": "good", "f": "bad", "g": "good"}.items():
        await score(store, task, score_id, T0, name="verdict", number=None, label=label)

    page = await ada.get(f"tasks/{task}/scores", limit="1")

    assert page["names"] == [
        {"name": "helpful", "scores": 3, "numbers": 2, "average": 0.5, "label": None, "task_scores": 1},
        {"name": "verdict", "scores": 3, "numbers": 0, "average": None, "label": "good", "task_scores": 3},
    ]


async def test_the_names_of_scores_of_a_project_are_those_of_its_newest_tasks(ada, store, foreign) -> None:
    for _ in range(2):
        task = await store.task()
        await score(store, task, "a", T0, name="helpful")
        await score(store, task, "b", T0, name="helpful", step_id="a" * 16)
    await score(store, task, "c", T0, name="tone", number=None, label="calm")
    await score(store, task, "d", T0, name="taken back", removed=True)
    await score(foreign, await foreign.task(), "e", T0, name="theirs")

    names = await ada.get("score-names")

    assert names["items"] == [{"name": "helpful", "tasks": 2}, {"name": "tone", "tasks": 1}]


@pytest.fixture
async def scored(ada, store):
    """The names of the tasks and of the steps that a query finds."""
    good, bad = await store.task(name="good"), await store.task(name="bad")
    for task, number, name in ((good, 0.9, "g"), (bad, 0.1, "b"), (bad, 0.4, "c")):
        step_id = name * 16 if name != "g" else "d" * 16
        await store.step(task, step_id=step_id, name=name, started_at_us=T0)
        await score(store, task, name, T0, number=number, step_id=step_id)
    await score(store, bad, "of the task", T0, number=1.0)
    await score(store, good, "removed", T0, number=0.0, removed=True)
    await score(store, good, "tone", T0, number=None, name="tone", label="calm", step_id="d" * 16)
    await score(store, bad, "right", T0, number=1.0, name="is right", label="true")

    async def names(query: str) -> tuple[list[str], list[str]]:
        found = [(await ada.get(kind, q=query))["items"] for kind in ("tasks", "steps")]
        return sorted(item["name"] for item in found[0]), sorted(item["name"] for item in found[1])

    return names


@pytest.mark.parametrize(
    ("query", "tasks", "steps"),
    [
        ("score.helpful:>0.5", ["good"], ["g"]),
        ("score.helpful:<0.5", [], ["b", "c"]),  # the average of the task is exactly 0.5
        ("score.helpful:0.5", ["bad"], []),
        ("score.helpful:>=0.5", ["bad", "good"], ["g"]),
        ("score.helpful:0.9,0.1", ["good"], ["b", "g"]),
        ("score.helpful:>-1", ["bad", "good"], ["b", "c", "g"]),
        ("score.helpful:*", ["bad", "good"], ["b", "c", "g"]),
        ("-score.helpful:>0.5", ["bad"], ["b", "c"]),
        ("score.tone:calm", ["good"], ["g"]),
        ("score.tone:ca*,x", ["good"], ["g"]),
        ('score."is right":true', ["bad"], []),
        ('score."is right":1', ["bad"], []),
        ("score.tone:>0", [], []),
        ("score.nothing:*", [], []),
    ],
)
async def test_a_query_finds_scores(scored, query: str, tasks: list[str], steps: list[str]) -> None:
    assert await scored(query) == (tasks, steps)


@pytest.mark.parametrize(
    ("query", "code"),
    [("score.a:>good", "bad_value"), ("score:1", "unknown_field"), ("score.a:>1,2", "bad_value"), ('score.a:>"1"', "bad_value")],
)
async def test_a_query_for_scores_that_means_nothing_is_explained(ada, query: str, code: str) -> None:
    problem = await ada.problem("tasks", q=query)

    assert (problem["status"], problem["code"]) == (400, code)


async def test_a_delivery_has_ranges_gaps_and_reported_losses(ada, store) -> None:
    task = await store.task()
    common = {"project_id": store.project_id, "task_id": task, "sdk": "ams-python", "version": "1", "host": "h", "unproven": 0}
    seqs = [Range(2, 4), Range(7, 8)]
    await store.insert(
        task_producers, instance_id="a", seqs=seqs, duplicates=3, dropped={"queue_full": 17}, truncated=2, reported_at_us=T0, **common
    )
    await store.insert(task_producers, instance_id="b", seqs=[Range(1, 11)], duplicates=0, dropped={}, truncated=0, **common)

    first = await ada.get(f"tasks/{task}/delivery", limit="1")
    second = await ada.get(f"tasks/{task}/delivery", limit="1", cursor=first["next_cursor"])

    assert first["items"] == [
        {
            "instance_id": "a", "sdk": "ams-python", "version": "1", "host": "h", "ranges": [[2, 3], [7, 7]], "gaps": [[1, 1], [4, 6]],
            "delivered": 3, "missing": 4, "duplicates": 3, "unproven": 0, "dropped": {"queue_full": 17}, "truncated": 2, "reported_at_us": T0,
        }
    ]  # fmt: skip
    assert [(item["instance_id"], item["ranges"], item["gaps"], item["reported_at_us"]) for item in second["items"]] == [
        ("b", [[1, 10]], [], None)
    ]
    assert second["next_cursor"] is None


async def test_a_delivery_has_its_place_in_the_log_and_what_is_searchable(ada, store) -> None:
    task = await store.task(partition=3, first_offset=40, last_offset=77, seen_at_us=T0 + 5)

    complete = await ada.get(f"tasks/{task}/delivery")
    for projection, offset in (("payloads", 9), ("text", 8)):
        await store.execute("INSERT INTO g1.positions VALUES ($1, $2, 3, $3, $4)", projection, PAYLOADS.name, offset, T0 // 1_000)
    behind = await ada.get(f"tasks/{task}/delivery")

    assert {name: complete[name] for name in complete.keys() - {"items", "next_cursor"}} == {
        "first_position": "1.3.41", "last_position": "1.3.78", "received_at_us": T0 + 5, "searchable_until_us": None,
    }  # fmt: skip
    assert behind["searchable_until_us"] == T0


def test_a_task_without_deliveries_has_no_gaps() -> None:
    assert gaps_between([]) == []
