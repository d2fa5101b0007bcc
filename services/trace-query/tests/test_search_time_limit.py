"""A search that reaches its time limit returns its matches and how far it has searched, and continues from there."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import func, select

from ams_contracts.tables import steps
from ams_trace_query.database import Database, compile_statement
from ams_trace_query.search import text
from ams_trace_query.search.compile import step_condition
from ams_trace_query.search.parse import parse
from ams_trace_query.search.windowed_scan import indexed_clauses, is_indexed_for_steps
from ams_trace_query.steps import WINDOW_STEPS
from ams_trace_query.tasks import WINDOW_TASKS

T0 = 1_782_000_000_000_000
STEPS = 3 * WINDOW_STEPS
TASKS = 3 * WINDOW_TASKS
# copies of a row, each hundred of them one microsecond earlier
STEP_COPIES = """INSERT INTO g1.steps SELECT (jsonb_populate_record(s, jsonb_build_object('step_id', lpad(to_hex(n + 65536), 16, '0'), 'started_at_us',
    s.started_at_us - n / 100, 'cost_nusd', CASE WHEN n % 2900 = 0 THEN 40000000 ELSE 1 END))).*
    FROM g1.steps s, generate_series(1, $3) n WHERE s.project_id = $1 AND s.task_id = $2"""
TASK_COPIES = """INSERT INTO g1.tasks SELECT (jsonb_populate_record(t, jsonb_build_object('task_id', lpad(to_hex(n), 32, '0'), 'sort_at_us',
    t.sort_at_us - n / 100, 'steps', CASE WHEN n % 700 = 0 THEN 77 ELSE 1 END))).*
    FROM g1.tasks t, generate_series(1, $3) n WHERE t.project_id = $1 AND t.task_id = $2"""
# one text in every two thousand has the two words side by side
TEXTS = """INSERT INTO g1.step_text (project_id, task_id, step_id, slot, day, at_us, seq, event_id, words)
    SELECT project_id, task_id, step_id, 'input', day, 1, 1, 'e', to_tsvector('simple', CASE WHEN row_number() OVER (ORDER BY step_id) % 2000 = 1
    AND row_number() OVER (ORDER BY step_id) > 1 THEN 'it swims far' ELSE 'far it swims' END) || array_to_tsvector(ARRAY[' ' || project_id, ' ' || task_id])
    FROM g1.steps WHERE project_id = $1 AND task_id = $2"""
INDEX_LEAVES = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ('g1.' || $1)::regclass"


@pytest.fixture
async def hurried(make_query_app: Callable[..., Litestar], store: Any, project_of: Callable[..., Any]) -> AsyncIterator[Any]:
    """Sends requests to an application whose time limit allows one window per request."""
    async with AsyncTestClient(make_query_app(search_ms_max=0)) as client:
        yield project_of(client, store.project_id)


async def scan(asking: Any, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages until the last one."""
    pages = [await asking.get(path, **parameters)]
    while pages[-1]["next_cursor"] is not None:
        pages.append(await asking.get(path, **parameters, cursor=pages[-1]["next_cursor"]))
    return pages


async def test_a_search_of_steps_that_reaches_its_time_limit_continues_from_its_cursor(hurried, ada, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)
    without_start = await store.step(task_id, started_at_us=None, cost_nusd=40_000_000)

    pages = await scan(hurried, "steps", q="cost:>0.03")

    untils = [page["scanned_back_to_us"] for page in pages]
    found = [step["step_id"] for page in pages for step in page["items"]]
    assert len(pages) > 2
    assert untils[-1] is None
    assert sorted(untils[:-1], reverse=True) == untils[:-1]
    assert found == [f"{number + 65536:016x}" for number in (2900, 5800)] + [without_start]
    for page in pages[:-1]:
        assert all(step["started_at_us"] >= page["scanned_back_to_us"] for step in page["items"])
    assert found == [step["step_id"] for step in (await ada.get("steps", q="cost:>0.03"))["items"]]


async def test_a_full_page_has_no_scanned_back_to_us(hurried, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)

    pages = await scan(hurried, "steps", q="cost:<0.03", limit=500)

    assert all(len(page["items"]) == 500 and page["scanned_back_to_us"] is None for page in pages[:4])
    ids = [step["step_id"] for page in pages for step in page["items"]]
    assert len(ids) == len(set(ids)) == STEPS + 1 - STEPS // 2900


async def test_a_search_within_one_task_reads_no_others(hurried, store) -> None:
    large, small = await store.task(), await store.task()
    await store.step(large, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, large, STEPS)
    step_id = await store.step(small, started_at_us=T0 - 3_600_000_000, cost_nusd=40_000_000)

    page = await hurried.get("steps", q=f"task:{small} cost:>0.03")

    assert ([step["step_id"] for step in page["items"]], page["scanned_back_to_us"], page["next_cursor"]) == ([step_id], None, None)


async def test_a_search_of_tasks_that_reaches_its_time_limit_continues_from_its_cursor(hurried, ada, store) -> None:
    task_id = await store.task(started_at_us=T0, steps=1)
    await store.execute(TASK_COPIES, store.project_id, task_id, TASKS)

    pages = await scan(hurried, "tasks", q="steps:77")

    found = [task["task_id"] for page in pages for task in page["items"]]
    assert len(pages) > 2
    assert pages[-1]["scanned_back_to_us"] is None
    assert found == [f"{number:032x}" for number in (700, 1400)]
    assert found == [task["task_id"] for task in (await ada.get("tasks", q="steps:77"))["items"]]


async def test_a_status_that_no_task_has_uses_its_index(hurried, store) -> None:
    task_id = await store.task(started_at_us=T0)
    await store.execute(TASK_COPIES, store.project_id, task_id, TASKS)

    page = await hurried.get("tasks", q="status:waiting steps:77")

    assert (page["items"], page["scanned_back_to_us"], page["next_cursor"]) == ([], None, None)


async def test_a_cursor_of_an_unfinished_search_keeps_the_time_range(hurried, store) -> None:
    task_id = await store.task()
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)

    pages = await scan(hurried, "steps", q="cost:>0.03", **{"from": "2026-06-20T23:59:59.999970Z", "to": "2026-06-21T00:00:00Z"})

    assert len(pages) > 1
    assert [step["step_id"] for page in pages for step in page["items"]] == [f"{2900 + 65536:016x}"]


async def test_a_word_whose_lookup_times_out_is_searched_in_the_steps(hurried, ada, store, monkeypatch) -> None:
    task_id = await store.task(started_at_us=T0)
    await store.step(task_id, started_at_us=T0, cost_nusd=1)
    await store.execute(STEP_COPIES, store.project_id, task_id, STEPS)
    await store.execute(TEXTS, store.project_id, task_id)
    whole = [step["step_id"] for step in (await ada.get("steps", q='"swims far"'))["items"]]
    monkeypatch.setattr(text, "LOOK_UP_SECONDS_MAX", 0.0)

    pages = await scan(hurried, "steps", q='"swims far"')
    tasks = await scan(hurried, "tasks", q='"swims far"')

    assert len(pages) > 2
    assert (
        [step["step_id"] for page in pages for step in page["items"]]
        == whole
        == [f"{number + 65536:016x}" for number in (2000, 4000, 6000)]
    )
    assert [task["task_id"] for page in tasks for task in page["items"]] == [task_id]


async def test_a_query_that_times_out_does_not_abort_its_transaction(traces_url, store) -> None:
    database = await Database.open(f"{traces_url}?role=ams_reader", connections_max=1, statement_timeout_ms=4_000)
    async with database.read(store.project_id) as reader:
        row = await reader.row_within(select(func.pg_sleep(3)), 20)
        after = await reader.row(select(func.current_setting("statement_timeout").label("timeout"), func.current_setting("ams.project_id")))
    await database.close()

    assert row is None
    assert tuple(after) == ("4s", store.project_id)


@pytest.mark.parametrize(
    ("query", "indexed"),
    [
        ("cost:>0.05", ["cost"]),
        ("cost:>0.049", []),
        ("cost:<9", []),
        ("latency:>=10s type:llm", ["latency"]),
        ("duration:>9.9s", []),
        ("tokens:20k", ["tokens"]),
        ("cost:>1 OR tokens:>1m", []),
        ("-cost:>1", []),
        ("cost:>1 (tokens:>1m latency:>1h)", ["cost", "tokens", "latency"]),
        (f"task:{'a' * 32} status:error", ["task"]),
    ],
)
def test_rare_numbers_have_an_index(query: str, indexed: list[str]) -> None:
    assert [clause.field for clause in indexed_clauses(parse(query), is_indexed_for_steps)] == indexed


@pytest.mark.parametrize(
    ("query", "index"),
    [("cost:>0.05", "steps_costly"), ("latency:>=10s", "steps_slow"), ("duration:>1h", "steps_slow"), ("tokens:>=20k", "steps_long")],
)
async def test_the_clauses_counted_as_rare_match_the_partial_indexes(traces_url, store, query: str, index: str) -> None:
    """Postgres uses a partial index only when it can prove that the condition implies the predicate of the index."""
    statement = (
        select(steps.c.step_id)
        .where(steps.c.project_id == store.project_id, step_condition(parse(query)))
        .order_by(steps.c.started_at_us.desc())
    )
    text_, values = compile_statement(statement)
    owner = await asyncpg.connect(traces_url, server_settings={"search_path": "g1", "plan_cache_mode": "force_custom_plan"})
    names = [row[0] for row in await owner.fetch(INDEX_LEAVES, index)]
    await owner.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
    plan = "\n".join(row[0] for row in await owner.fetch(f"EXPLAIN {text_}", *values))
    await owner.close()

    assert any(name in plan for name in names), plan
