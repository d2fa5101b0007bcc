"""How fast trace-query answers on many steps. Prints one JSON line a measurement.

    python tests/load/bench_query.py [--steps 1000000] [--rounds 60] [--postgres URL]

Postgres comes from ``--postgres`` or ``AMS_TEST_POSTGRES_URL`` (a role that may create databases); a database of its own is
made, filled by COPY and dropped. The application runs in this process, with real queries as the role ams_reader.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from ams_contracts.claims import Access, Role
from ams_kit.auth import Principal
from ams_trace_query.app import make_app
from ams_trace_query.settings import Settings

MIGRATE = ("-m", "ams_trace_ingest", "migrate")
LARGE_TASK_STEPS = 100_000
STEPS_PER_TASK = 100
DAYS = 3
TYPES = ("agent", "llm", "llm", "tool", "tool", "retrieval")
MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini", "claude-sonnet-4", "gemini-2.5-pro")
AGENTS = ("planner", "researcher", "writer", "critic")
STEP_NAMES = (
    *("project_id", "task_id", "step_id", "day", "first_offset", "end_offset", "seen_at_us", "stamp_phase", "stamp_at_us", "stamp_seq"),
    *("stamp_event_id", "parent_step_id", "type", "name", "agent", "status", "document_status", "started_at_us", "ended_at_us"),
    *("duration_us", "seq", "model", "input_tokens", "output_tokens", "cost_nusd", "cost_source", "tool_name", "preview_input"),
    *("preview_output", "flags", "rest", "counted_input", "counted_output", "counted_nusd"),
)
TASK_NAMES = (
    *("project_id", "task_id", "day", "partition", "first_offset", "last_offset", "seen_at_us", "name", "kind", "agent", "status"),
    *("started_at_us", "duration_us", "tags", "flags", "steps", "errors", "running_steps", "waiting_steps", "lost_steps", "input_tokens"),
    *("output_tokens", "cost_nusd", "priced_steps", "unpriced_steps", "last_event_at_us", "sort_at_us"),
)


class OneMember:
    """An auth kit with one person in one project."""

    def __init__(self, project_id: str) -> None:
        self.verifier = self
        self._project_id = project_id

    async def verify(self, token: str) -> Principal:
        return Principal(token, "session", "jti", 2**40)

    async def access(self, user_id: str, project_id: str) -> Access | None:
        return Access(user_id=user_id, project_id=project_id, role=Role.VIEWER) if project_id == self._project_id else None

    async def close(self) -> None:
        """Nothing is open."""


def task_rows(project_id: str, tasks: list[tuple[str, int, int]]) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(1)
    for number, (task_id, at_us, count) in enumerate(tasks):
        status = dice.choices(("ok", "error", "running"), (94, 5, 1))[0]
        yield (
            *(project_id, task_id, day_of(at_us), number % 12, 1, 2, at_us, f"trip {number}", "task", AGENTS[number % 4], status),
            *(at_us, dice.randrange(10**7), json.dumps({"env": "prod" if number % 3 else "dev"}), [], count, 0, 0, 0, 0, 1_000, 200),
            *(dice.randrange(10**9), 1, 0, at_us + 10**6, at_us),
        )


def step_rows(project_id: str, tasks: list[tuple[str, int, int]]) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(2)
    words = ["search", "draft", "plan", "refund", "hotel", "train", "temple", "review"]
    for task_id, task_at_us, count in tasks:
        ids = [f"{dice.getrandbits(64) | 1:016x}" for _ in range(count)]
        for seq, step_id in enumerate(ids):
            at_us = task_at_us + seq * 1_000
            duration = int(dice.expovariate(1 / 800_000))
            llm = dice.random() < 0.4
            kind = "llm" if llm else dice.choice(TYPES)
            status = "error" if dice.random() < 0.01 else "ok"
            cost = dice.randrange(10**8) if llm else None
            tokens = dice.randrange(5_000) if llm else None
            text = " ".join(dice.choices(words, k=12))
            yield (
                *(project_id, task_id, step_id, day_of(task_at_us), seq, seq + 1, at_us, 2, at_us + duration, seq, "e" * 32),
                *(ids[dice.randrange(seq)] if seq else None, kind, f"{kind} {seq % 40}", AGENTS[seq % 4], status, status, at_us),
                *(
                    at_us + duration,
                    duration,
                    seq,
                    MODELS[seq % 4] if llm else None,
                    tokens,
                    tokens,
                    cost,
                    "computed" if llm else "unknown",
                ),
                *("search" if kind == "tool" else None, text, text, [], "{}", tokens or 0, tokens or 0, cost),
            )


def day_of(at_us: int) -> Any:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


async def fill(url: str, project_id: str, steps: int) -> list[tuple[str, int, int]]:
    """Write the tasks and steps; (task id, start, steps) of each, the large one first."""
    dice = random.Random(3)
    end = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1e6)
    span = DAYS * 86_400_000_000 - 10**9
    sizes = [min(LARGE_TASK_STEPS, steps), *[STEPS_PER_TASK] * (max(0, steps - LARGE_TASK_STEPS) // STEPS_PER_TASK)]
    tasks = [(f"{dice.getrandbits(128):032x}", end - dice.randrange(span), size) for size in sizes]
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    for row in await connection.fetch(
        """SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'g1' AND table_name IN ('tasks', 'steps')
           AND data_type = 'boolean' AND is_nullable = 'NO'"""
    ):
        await connection.execute(f"ALTER TABLE g1.{row['table_name']} ALTER COLUMN {row['column_name']} SET DEFAULT false")
    await connection.copy_records_to_table("tasks", schema_name="g1", columns=TASK_NAMES, records=task_rows(project_id, tasks))
    await connection.copy_records_to_table("steps", schema_name="g1", columns=STEP_NAMES, records=step_rows(project_id, tasks))
    await connection.execute("VACUUM ANALYZE g1.tasks, g1.steps")
    print(
        json.dumps(
            {"bench": "query", "what": "fill", "steps": sum(sizes), "tasks": len(tasks), "seconds": round(time.perf_counter() - started, 1)}
        ),
        flush=True,
    )
    await connection.close()
    return tasks


async def measure(what: str, rounds: int, call: Callable[[], Awaitable[httpx.Response]]) -> None:
    """Time a call, after three that warm up."""
    milliseconds: list[float] = []
    size = 0
    for number in range(rounds + 3):
        started = time.perf_counter()
        response = await call()
        elapsed = (time.perf_counter() - started) * 1_000
        if response.status_code != 200:
            print(json.dumps({"bench": "query", "what": what, "status": response.status_code, "problem": response.text[:200]}), flush=True)
            return
        size = len(response.content)
        if number >= 3:
            milliseconds.append(elapsed)
    ranks = statistics.quantiles(milliseconds, n=20, method="inclusive")
    print(
        json.dumps(
            {"bench": "query", "what": what, "rounds": rounds, "p50_ms": round(ranks[9], 2), "p95_ms": round(ranks[18], 2), "bytes": size}
        ),
        flush=True,
    )


async def run(url: str, project_id: str, tasks: list[tuple[str, int, int]], rounds: int) -> None:
    settings = Settings(
        public_url="http://localhost",
        database_url=f"{url}?role=ams_reader",
        redis_url="-",
        service_secret=secrets.token_hex(),
        identity_url="-",
    )
    app = make_app(settings, open_auth=lambda: OneMember(project_id))  # type: ignore[arg-type]  # the same methods
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer ada"}
    dice = random.Random(4)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url=f"http://localhost/api/traces/{project_id}", headers=headers) as http,
    ):

        def get(path: str, **parameters: str) -> Callable[[], Awaitable[httpx.Response]]:
            return lambda: http.get(path, params=parameters)

        def any_task(suffix: str) -> Callable[[], Awaitable[httpx.Response]]:
            return lambda: http.get(f"/tasks/{dice.choice(tasks[1:])[0]}{suffix}")

        large = tasks[0][0]
        page = (await http.get("/tasks", params={"limit": "500"})).json()
        await measure("tasks: first page", rounds, get("/tasks"))
        if page["next_cursor"] is not None:
            await measure("tasks: a page deep in the list", rounds, get("/tasks", limit="50", cursor=(await deep(http, page))))
        await measure("tasks: status=error", rounds, get("/tasks", status="error"))
        await measure(
            "tasks: agent and time", rounds, get("/tasks", agent="planner", **{"from": (datetime.now(UTC) - timedelta(days=2)).isoformat()})
        )
        await measure("tasks: q cost, tag, latency", rounds, get("/tasks", q="cost:>0.5 tag.env:prod latency:>2s"))
        await measure("task: one", rounds, any_task(""))
        await measure("task: skeleton of 100", rounds, any_task("/skeleton"))
        await measure("task: window of 50", rounds, any_task("/steps"))
        await measure("large task: window of 500", rounds, get(f"/tasks/{large}/steps", limit="500"))
        await measure("steps: newest", rounds, get("/steps"))
        await measure("steps: type and model", rounds, get("/steps", q="type:llm model:gpt-*"))
        await measure("steps: status:error", rounds, get("/steps", q="status:error"))
        await measure("steps: latency and cost", rounds, get("/steps", q="latency:>5s cost:>0.09"))
        await measure("steps: a word that many have", rounds, get("/steps", q="refund"))
        await measure("steps: a word that none has", max(3, rounds // 20), get("/steps", q="nowhere"))
        await measure_beside_heavy_ones(http, get("/tasks"))
        await measure("large task: skeleton of 100000", max(5, rounds // 5), get(f"/tasks/{large}/skeleton"))


async def measure_beside_heavy_ones(http: httpx.AsyncClient, cheap: Callable[[], Awaitable[httpx.Response]]) -> None:
    """A cheap question while 100 searches that find nothing are asked at once."""
    heavy = [asyncio.create_task(http.get("/steps", params={"q": f"nowhere{number}"}, timeout=60)) for number in range(100)]
    milliseconds: list[float] = []
    while not all(task.done() for task in heavy):
        started = time.perf_counter()
        await cheap()
        milliseconds.append((time.perf_counter() - started) * 1_000)
        await asyncio.sleep(0.02)
    statuses = [(await task).status_code for task in heavy]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    p99 = statistics.quantiles(milliseconds, n=100, method="inclusive")[98]
    what = "tasks: first page, beside 100 searches at once"
    print(
        json.dumps({"bench": "query", "what": what, "rounds": len(milliseconds), "p99_ms": round(p99, 2), "searches": counts}), flush=True
    )


async def deep(http: httpx.AsyncClient, page: dict[str, Any]) -> str:
    """A cursor some thousand tasks down."""
    cursor = page["next_cursor"]
    for _ in range(10):
        following = (await http.get("/tasks", params={"limit": "500", "cursor": cursor})).json()["next_cursor"]
        if following is None:
            break
        cursor = following
    return cursor


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--postgres", default=os.environ.get("AMS_TEST_POSTGRES_URL"))
    parser.add_argument("--keep", help="a database to use again: made and filled when it is not there, and not dropped")
    arguments = parser.parse_args()
    if not arguments.postgres:
        parser.error("name a Postgres by --postgres or AMS_TEST_POSTGRES_URL")
    name = arguments.keep or f"bench_query_{secrets.token_hex(4)}"
    url = f"{arguments.postgres.rsplit('/', 1)[0]}/{name}"
    admin = await asyncpg.connect(arguments.postgres)
    try:
        if await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            project_id, tasks = await already_there(url)
        else:
            await admin.execute(f"CREATE DATABASE {name}")
            await asyncio.to_thread(subprocess.run, [sys.executable, *MIGRATE], env={**os.environ, "AMS_DATABASE_URL": url}, check=True)
            project_id = str(uuid.uuid4())
            tasks = await fill(url, project_id, arguments.steps)
        await run(url, project_id, tasks, arguments.rounds)
    finally:
        if not arguments.keep:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


async def already_there(url: str) -> tuple[str, list[tuple[str, int, int]]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT project_id, task_id, sort_at_us, steps FROM g1.tasks ORDER BY steps DESC")
    await connection.close()
    return rows[0]["project_id"], [(row["task_id"], row["sort_at_us"], row["steps"]) for row in rows]


if __name__ == "__main__":
    asyncio.run(main())
