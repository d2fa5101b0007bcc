"""How fast trace-query answers on many steps. Prints one JSON line a measurement.

    ./ams bench query
    python -m tests.load.bench_query [--steps 5000000] [--tasks 20000] [--rounds 60] [--postgres URL]

Postgres comes from ``--postgres`` or ``AMS_TEST_POSTGRES_URL`` (a role that may create databases); a database of its own is
made, filled by COPY and dropped; the files of COPY stay in ``.cache/bench-query``. The application runs in this process, with real
queries as the role ams_reader.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from tests.load.many_steps import END_US, PROJECT, RARE_WORD, Size, fill

from ams_contracts.claims import Access, Role
from ams_kit.auth import Principal
from ams_trace_query.app import make_app
from ams_trace_query.settings import Settings

MIGRATE = ("-m", "ams_trace_ingest", "migrate")
CACHE = Path(__file__).parents[2] / ".cache" / "bench-query"
NOW = datetime.fromtimestamp(END_US / 1e6, UTC) + timedelta(minutes=5)
LIST_MS, WORDS_MS, SEARCH_MS = 50, 200, 1_000  # targets of the 95th percentile


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


class Processors:
    """The processor time of this process and of the database's connections: on a busy machine it says more than the clock."""

    def __init__(self, admin: asyncpg.Connection, database: str) -> None:
        self._admin = admin
        self._database = database

    async def milliseconds(self) -> float:
        """Used since the connections were opened; 0 for what is on another machine."""
        rows = await self._admin.fetch("SELECT pid FROM pg_stat_activity WHERE datname = $1", self._database)
        ours = time.process_time() * 1_000
        return ours + sum(_nanoseconds_of(row["pid"]) for row in rows) / 1e6


def _nanoseconds_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 0


async def measure(
    processors: Processors, what: str, rounds: int, call: Callable[[], Awaitable[httpx.Response]], target_ms: float | None = None
) -> None:
    """Time a call, after three that warm up."""
    milliseconds: list[float] = []
    size = 0
    used = 0.0
    for number in range(rounds + 3):
        if number == 3:
            used = await processors.milliseconds()
        started = time.perf_counter()
        response = await call()
        elapsed = (time.perf_counter() - started) * 1_000
        if response.status_code != 200:
            print(json.dumps({"bench": "query", "what": what, "status": response.status_code, "problem": response.text[:200]}), flush=True)
            return
        size = len(response.content)
        if number >= 3:
            milliseconds.append(elapsed)
    cpu_ms = (await processors.milliseconds() - used) / rounds
    ranks = statistics.quantiles(milliseconds, n=20, method="inclusive")
    figures = {
        "p50_ms": round(ranks[9], 2),
        "p95_ms": round(ranks[18], 2),
        "cpu_ms": round(cpu_ms, 1),
        "target_p95_ms": target_ms,
        "bytes": size,
    }
    print(json.dumps({"bench": "query", "what": what, "rounds": rounds, **figures}), flush=True)


async def run(url: str, tasks: list[str], rounds: int, processors: Processors) -> None:
    settings = Settings(
        public_url="http://localhost",
        database_url=f"{url}?role=ams_reader",
        redis_url="-",
        service_secret=secrets.token_hex(),
        identity_url="-",
    )
    app = make_app(settings, open_auth=lambda: OneMember(PROJECT), now=lambda: NOW)  # type: ignore[arg-type]  # the same methods
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": "Bearer ada"}
    dice = random.Random(4)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url=f"http://localhost/api/traces/{PROJECT}", headers=headers, timeout=60) as http,
    ):

        def get(path: str, **parameters: str) -> Callable[[], Awaitable[httpx.Response]]:
            return lambda: http.get(path, params=parameters)

        def any_task(suffix: str) -> Callable[[], Awaitable[httpx.Response]]:
            return lambda: http.get(f"/tasks/{dice.choice(tasks[1:])}{suffix}")

        large = tasks[0]
        week = {"from": (NOW - timedelta(days=7)).isoformat()}
        page = (await http.get("/tasks", params={"limit": "500"})).json()
        await measure(processors, "tasks: first page", rounds, get("/tasks"), LIST_MS)
        await measure(processors, "tasks: a page deep in the list", rounds, get("/tasks", limit="50", **(await deep(http, page))), LIST_MS)
        await measure(processors, "tasks: status=error", rounds, get("/tasks", status="error"), LIST_MS)
        await measure(processors, "tasks: agent and time", rounds, get("/tasks", agent="planner", **week), LIST_MS)
        await measure(processors, "tasks: q cost, tag, latency", rounds, get("/tasks", q="cost:>0.5 tag.tier:gold latency:>2s"), LIST_MS)
        for sort in ("-duration", "-cost", "name"):
            await measure(processors, f"tasks: sort {sort}", rounds, get("/tasks", sort=sort), LIST_MS)
        await measure(
            processors, "tasks: sort -tokens of a filter", rounds, get("/tasks", sort="-tokens", q="tag.tier:gold status:error"), LIST_MS
        )
        await measure(processors, "facets: everything", rounds, get("/tasks/facets"), LIST_MS)
        await measure(processors, "facets: a filter", rounds, get("/tasks/facets", q="agent:planner tag.tier:gold"), LIST_MS)
        await measure(processors, "histogram: everything", rounds, get("/tasks/histogram"), LIST_MS)
        await measure(processors, "histogram: a week of a filter", rounds, get("/tasks/histogram", q="status:error", **week), LIST_MS)
        await measure(processors, "task: one", rounds, any_task(""), LIST_MS)
        await measure(processors, "task: skeleton of a usual task", rounds, any_task("/skeleton"), LIST_MS)
        await measure(processors, "task: window of 50", rounds, any_task("/steps"), LIST_MS)
        await measure(processors, "large task: window of 500", rounds, get(f"/tasks/{large}/steps", limit="500"), LIST_MS)
        await measure(processors, "steps: newest", rounds, get("/steps"), LIST_MS)
        await measure(processors, "steps: type and model", rounds, get("/steps", q="type:llm model:gpt-*"), LIST_MS)
        await measure(processors, "steps: status:error", rounds, get("/steps", q="status:error"), LIST_MS)
        few = max(5, rounds // 5)
        await measure(processors, "steps: a rare word", few, get("/steps", q=RARE_WORD), WORDS_MS)
        await measure(processors, "tasks: a rare word", few, get("/tasks", q=RARE_WORD), WORDS_MS)
        absent = itertools.count()
        await measure(
            processors, "steps: a word that none has", few, lambda: http.get("/steps", params={"q": f"nowhere{next(absent)}"}), WORDS_MS
        )
        await measure(processors, "steps: a word that some have", few, get("/steps", q="word77"), SEARCH_MS)
        await measure(processors, "steps: a word that many previews have", few, get("/steps", q="hotels"), SEARCH_MS)
        await measure(processors, "tasks: two words", few, get("/tasks", q="word12 word13"), SEARCH_MS)
        await measure(processors, "steps: latency and cost", few, get("/steps", q="latency:>2.9s cost:>0.0399"), 1_300)
        await measure(processors, "steps: a name that none has", few, get("/steps", q="name:nope"), 1_300)
        await measure_beside_heavy_ones(http, get("/tasks"))
        await measure(processors, "large task: the first part of its skeleton", few, get(f"/tasks/{large}/skeleton", first="500"), LIST_MS)
        await measure(processors, "large task: its skeleton", few, get(f"/tasks/{large}/skeleton"))


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


async def deep(http: httpx.AsyncClient, page: dict[str, Any]) -> dict[str, str]:
    """The parameter for a page some thousand tasks down."""
    cursor = page["next_cursor"]
    for _ in range(10):
        if cursor is None:
            break
        following = (await http.get("/tasks", params={"limit": "500", "cursor": cursor})).json()["next_cursor"]
        if following is None:
            break
        cursor = following
    return {} if cursor is None else {"cursor": cursor}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5_000_000)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--postgres", default=os.environ.get("AMS_TEST_POSTGRES_URL"))
    parser.add_argument("--cache", type=Path, default=CACHE, help="the folder of the files of COPY")
    parser.add_argument("--keep", help="a database to use again: made and filled when it is not there, and not dropped")
    arguments = parser.parse_args()
    if not arguments.postgres:
        parser.error("name a Postgres by --postgres or AMS_TEST_POSTGRES_URL")
    name = arguments.keep or f"bench_query_{secrets.token_hex(4)}"
    url = f"{arguments.postgres.rsplit('/', 1)[0]}/{name}"
    admin = await asyncpg.connect(arguments.postgres)
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await admin.execute(f"CREATE DATABASE {name}")
            await asyncio.to_thread(subprocess.run, [sys.executable, *MIGRATE], env={**os.environ, "AMS_DATABASE_URL": url}, check=True)
            await make(url, Size(arguments.steps, arguments.tasks), arguments.cache)
        await run(url, await task_ids(url), arguments.rounds, Processors(admin, name))
    finally:
        if not arguments.keep:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


async def make(url: str, size: Size, cache: Path) -> None:
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    written = await fill(connection, size, cache)
    await connection.close()
    seconds = round(time.perf_counter() - started, 1)
    print(
        json.dumps({"bench": "query", "what": "fill", "steps": size.steps, "tasks": size.tasks, "seconds": seconds, "bytes": written}),
        flush=True,
    )


async def task_ids(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT task_id FROM g1.tasks ORDER BY steps DESC, task_id LIMIT 2000")
    await connection.close()
    return [row["task_id"] for row in rows]


if __name__ == "__main__":
    asyncio.run(main())
