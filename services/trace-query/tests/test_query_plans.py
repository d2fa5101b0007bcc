"""The plans of the statements behind lists, orders, charts and facets, on the rows of the benchmark at a smaller size."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import asyncpg
import pytest
from sqlalchemy import func, literal, select
from sqlalchemy.types import BigInteger
from tests.databases import temporary_database
from tests.load.many_steps import DAYS, END_US, PROJECT, Size, fill

from ams_contracts.tables import tasks
from ams_trace_query.database import Statement, compile_statement
from ams_trace_query.rows import TASK_COLUMNS
from ams_trace_query.search.filters import Condition
from ams_trace_query.skeleton import columns_statement
from ams_trace_query.task_facets import facets_statement
from ams_trace_query.task_histogram import counts_statement
from ams_trace_query.task_sort import NUMBERS, TaskSort

SIZE = Size(steps=30_000, tasks=3_000)
DAY_US = 86_400_000_000
MINE: list[Condition] = [tasks.c.project_id == PROJECT]
LAST_DAY: list[Condition] = [*MINE, tasks.c.sort_at_us >= literal(END_US - DAY_US, BigInteger)]
BY_COST = TaskSort("-cost", func.coalesce(NUMBERS["cost"], literal(-1, BigInteger)), descending=True)


@pytest.fixture(scope="module")
def large_url(postgres_admin_url: str, traces_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database like that of the benchmark, as the role ams_reader."""
    del traces_url  # its migration made the roles
    with temporary_database(postgres_admin_url, "query_plans") as url:
        environment = {**os.environ, "AMS_DATABASE_URL": url}
        subprocess.run([sys.executable, "-m", "ams_trace_ingest", "migrate"], env=environment, check=True, timeout=120)

        async def make() -> None:
            connection = await asyncpg.connect(url)
            await fill(connection, SIZE, tmp_path_factory.mktemp("rows"))
            await connection.close()

        asyncio.run(make())
        yield f"{url}?role=ams_reader"


async def plan_of(url: str, statement: Statement) -> str:
    settings = {"search_path": "g1", "plan_cache_mode": "force_custom_plan", "jit": "off", "work_mem": "32MB", "ams.project_id": PROJECT}
    connection = await asyncpg.connect(url, server_settings=settings)
    text, values = compile_statement(statement)
    rows = await connection.fetch(f"EXPLAIN (COSTS OFF) {text}", *values)
    await connection.close()
    return "\n".join(row[0] for row in rows)


def newest(*conditions: Condition) -> Statement:
    return select(*TASK_COLUMNS).where(*MINE, *conditions).order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id).limit(51)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (newest(), "tasks_by_time"),
        (newest(tasks.c.status == "error"), "tasks_by_status"),
        (newest(tasks.c.agent == "planner", tasks.c.sort_at_us < literal(END_US - DAY_US, BigInteger)), "tasks_by_agent"),
        (
            select(tasks.c.sort_at_us).where(*MINE).order_by(tasks.c.sort_at_us.desc()).offset(100).limit(1),
            "Index Only Scan using tasks_by_time",
        ),
        (select(func.min(tasks.c.sort_at_us)).where(*MINE), "Index Only Scan Backward using tasks_by_time"),
    ],
)
async def test_a_list_reads_its_page_in_the_order_of_an_index(large_url: str, statement: Statement, index: str) -> None:
    plan = await plan_of(large_url, statement)

    assert index in plan, plan
    assert "Sort" not in plan.replace("Incremental Sort", ""), plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize(
    "statement",
    [
        BY_COST.statement(select(*TASK_COLUMNS).where(*LAST_DAY), 51),
        counts_statement(LAST_DAY, END_US - DAY_US, DAY_US // 24),
        facets_statement(LAST_DAY, 10_000),
    ],
    ids=["order", "histogram", "facets"],
)
async def test_orders_and_counts_read_the_tasks_of_their_time_range_once(large_url: str, statement: Statement) -> None:
    plan = await plan_of(large_url, statement)

    assert plan.count("tasks_by_time") == 1, plan
    assert "Seq Scan" not in plan, plan


async def test_the_facets_of_everything_stop_after_the_newest_matches(large_url: str) -> None:
    plan = await plan_of(large_url, facets_statement(MINE, 500))

    assert "Index Scan using tasks_by_time" in plan, plan


async def test_the_first_steps_of_a_large_task_are_read_in_the_order_of_an_index(large_url: str) -> None:
    connection = await asyncpg.connect(large_url.partition("?")[0], server_settings={"search_path": "g1"})
    row: Any = await connection.fetchrow("SELECT task_id, day FROM tasks ORDER BY steps DESC LIMIT 1")
    await connection.close()
    day: date = row["day"]

    plan = await plan_of(large_url, columns_statement(PROJECT, row["task_id"], day, END_US - DAYS * DAY_US, 500))

    assert "Limit" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
