"""Log lines of a step, and the search for them."""

import pytest

from ams_contracts.tables import step_log_counts, step_logs

T0 = 1_782_000_000_000_000


async def log(store, task: str, step: str, *texts: str, received: int | None = None) -> None:
    key = {"project_id": store.project_id, "task_id": task, "step_id": step}
    for number, text in enumerate(texts):
        await store.insert(step_logs, **key, at_us=T0 + number // 2, event_id=f"{number:032x}", place=0, level="info", text=text)
    await store.insert(step_log_counts, **key, received=received or len(texts), kept=len(texts), chars=sum(map(len, texts)))


async def test_lines_are_listed_in_pages_oldest_first_with_how_many_came(ada, store) -> None:
    task = await store.task()
    step, other = await store.step(task), await store.step(task)
    await log(store, task, step, "a", "b", "c", received=7)
    await log(store, task, other, "of another step")

    first = await ada.get(f"tasks/{task}/steps/{step}/logs", limit="2")
    second = await ada.get(f"tasks/{task}/steps/{step}/logs", limit="2", cursor=first["next_cursor"])

    assert first["items"] == [{"at_us": T0, "level": "info", "text": "a"}, {"at_us": T0, "level": "info", "text": "b"}]
    assert [item["text"] for item in second["items"]] == ["c"]
    assert (second["next_cursor"], second["received"], second["kept"]) == (None, 7, 3)


async def test_a_step_without_lines_has_an_empty_list_and_an_unknown_step_is_not_found(ada, store) -> None:
    task = await store.task()

    assert await ada.get(f"tasks/{task}/steps/{await store.step(task)}/logs") == {
        "items": [],
        "next_cursor": None,
        "received": 0,
        "kept": 0,
    }
    assert (await ada.problem(f"tasks/{task}/steps/{'f' * 16}/logs"))["code"] == "step_not_found"


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("log:TIMEOUT", True),
        ('log:"5 s timeout"', True),
        ("log:5*out", True),
        ("log:absent", False),
        ("-log:timeout", False),
        ("log:100%", False),
    ],
)
async def test_steps_and_tasks_are_found_by_their_lines(ada, store, foreign, q: str, found: bool) -> None:
    task = await store.task()
    step = await store.step(task)
    await log(store, task, step, "ready", "after a 5 s timeout")
    foreign_task = await foreign.task()
    await log(foreign, foreign_task, await foreign.step(foreign_task), "timeout absent 100%")

    steps, tasks = await ada.get("steps", q=q), await ada.get("tasks", q=q)

    assert [item["step_id"] for item in steps["items"]] == ([step] if found else [])
    assert [item["task_id"] for item in tasks["items"]] == ([task] if found else [])
