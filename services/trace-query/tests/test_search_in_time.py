"""A search that takes too long answers what it has found, says how far it has looked, and goes on from there."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from ams_trace_query.steps import WINDOW_STEPS
from ams_trace_query.tasks import WINDOW_TASKS

T0 = 1_782_000_000_000_000
STEPS = 3 * WINDOW_STEPS
TASKS = 3 * WINDOW_TASKS
# copies of a row, one microsecond earlier each; every hundred of them began at the same moment
STEP_COPIES = """INSERT INTO g1.steps SELECT (jsonb_populate_record(s, jsonb_build_object('step_id', lpad(to_hex(n + 65536), 16, '0'), 'started_at_us',
    s.started_at_us - n / 100, 'cost_nusd', CASE WHEN n % 2900 = 0 THEN 9000000000 ELSE 1 END))).*
    FROM g1.steps s, generate_series(1, $3) n WHERE s.project_id = $1 AND s.task_id = $2"""
TASK_COPIES = """INSERT INTO g1.tasks SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', lpad(to_hex(n), 32, '0'), 'sort_at_us',
    t.sort_at_us - n / 100, 'steps', CASE WHEN n % 700 = 0 THEN 77 ELSE 1 END))).*
    FROM g1.tasks t, generate_series(1, $3) n WHERE t.project_id = $1 AND t.task_id = $2"""


@pytest.fixture
async def hurried(make_query_app: Callable[..., Litestar], store: Any, project_of: Callable[..., Any]) -> AsyncIterator[Any]:
    """Asks an application that has time for one window a request."""
    async with AsyncTestClient(make_query_app(search_ms_max=0)) as client:
        yield project_of(client, store.project_id)


async def walked(asking: Any, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages to the end."""
    pages = [await asking.get(path, **parameters)]
    while pages[-1]["next_cursor"] is not None:
        pages.append(await asking.get(path, **parameters, cursor=pages[-1]["next_cursor"]))
    return pages


async def test_a_search_of_steps_that_runs_out_of_time_goes_on_by_its_cursor(hurried, ada, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)
    without_start = await store.step(task_id, started_at_us=None, cost_nusd=9_000_000_000)

    pages = await walked(hurried, "steps", q="cost:>5")

    untils = [page["searched_until_us"] for page in pages]
    found = [step["step_id"] for page in pages for step in page["items"]]
    assert len(pages) > 2
    assert untils[-1] is None
    assert sorted(untils[:-1], reverse=True) == untils[:-1]
    assert found == [f"{number + 65536:016x}" for number in (2900, 5800)] + [without_start]
    for page in pages[:-1]:
        assert all(step["started_at_us"] >= page["searched_until_us"] for step in page["items"])
    assert found == [step["step_id"] for step in (await ada.get("steps", q="cost:>5"))["items"]]


async def test_a_full_page_says_nothing_of_how_far_it_has_looked(hurried, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)

    pages = await walked(hurried, "steps", q="cost:<1", limit=500)

    assert all(len(page["items"]) == 500 and page["searched_until_us"] is None for page in pages[:4])
    ids = [step["step_id"] for page in pages for step in page["items"]]
    assert len(ids) == len(set(ids)) == STEPS + 1 - STEPS // 2900


async def test_a_search_within_one_task_looks_at_no_others(hurried, store) -> None:
    large, small = await store.task(), await store.task()
    await store.step(large, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, large, STEPS)
    step_id = await store.step(small, started_at_us=T0 - 3_600_000_000, cost_nusd=9_000_000_000)

    page = await hurried.get("steps", q=f"task:{small} cost:>5")

    assert ([step["step_id"] for step in page["items"]], page["searched_until_us"], page["next_cursor"]) == ([step_id], None, None)


async def test_a_search_of_tasks_that_runs_out_of_time_goes_on_by_its_cursor(hurried, ada, store) -> None:
    task_id = await store.task(started_at_us=T0, steps=1)
    await store.execute(TASK_COPIES, store.project_id, task_id, TASKS)

    pages = await walked(hurried, "tasks", q="steps:77")

    found = [task["task_id"] for page in pages for task in page["items"]]
    assert len(pages) > 2
    assert pages[-1]["searched_until_us"] is None
    assert found == [f"{number:032x}" for number in (700, 1400)]
    assert found == [task["task_id"] for task in (await ada.get("tasks", q="steps:77"))["items"]]


async def test_a_status_that_no_task_has_is_answered_by_its_index(hurried, store) -> None:
    task_id = await store.task(started_at_us=T0)
    await store.execute(TASK_COPIES, store.project_id, task_id, TASKS)

    page = await hurried.get("tasks", q="status:waiting steps:77")

    assert (page["items"], page["searched_until_us"], page["next_cursor"]) == ([], None, None)


async def test_a_cursor_of_an_unfinished_search_keeps_to_the_range(hurried, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)

    pages = await walked(hurried, "steps", q="cost:>5", **{"from": "2026-06-20T23:59:59.999970Z", "to": "2026-06-21T00:00:00Z"})

    assert len(pages) > 1
    assert [step["step_id"] for page in pages for step in page["items"]] == [f"{2900 + 65536:016x}"]
