"""Responses while the database is unavailable, slow or not migrated, and under too many concurrent requests."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import httpx
import pytest
from litestar.testing import AsyncTestClient

from ams_kit.errors import UnavailableError
from ams_trace_query import concurrency_limit
from ams_trace_query.concurrency_limit import ConcurrencyLimit
from ams_trace_query.database import Database

HEADERS = {"Authorization": "Bearer ada"}


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:x@127.0.0.1:1/nothing", "postgresql://nobody:x@unknown.invalid/nothing"],
)
async def test_without_a_database_the_response_is_503_and_the_service_is_not_ready(make_query_app, store, url: str) -> None:
    async with AsyncTestClient(make_query_app(database_url=url)) as client:
        response = await client.get(f"/api/traces/{store.project_id}/tasks", headers=HEADERS)

        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert response.headers["retry-after"]
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


class CuttingProxy:
    """A proxy to Postgres that closes each connection after a number of bytes to the client."""

    def __init__(self, url: str, bytes_max: int) -> None:
        self._target = urlsplit(url)
        self._bytes_max = bytes_max

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._target.username}:{self._target.password}" if self._target.password else self._target.username
        return self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dict(parse_qsl(self._target.query))
        if "host" in query:
            upstream = await asyncio.open_unix_connection(f"{query['host']}/.s.PGSQL.{query.get('port', '5432')}")
        else:
            upstream = await asyncio.open_connection(self._target.hostname, self._target.port or 5432)
        forward = asyncio.create_task(self._copy(reader, upstream[1], 2**40))
        await self._copy(upstream[0], writer, self._bytes_max)
        forward.cancel()
        writer.close()
        upstream[1].close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int) -> None:
        with suppress(OSError):
            while left > 0 and (data := await reader.read(65_536)):
                writer.write(data[:left])
                await writer.drain()
                left -= len(data)


@pytest.mark.parametrize("bytes_max", [1, 9, 200, 400, 430, 450, 500, 600, 700, 900, 1_200, 1_500, 2_000, 3_000])
async def test_a_connection_that_closes_during_a_response_gives_503(make_query_app, store, traces_url: str, bytes_max: int) -> None:
    task_id = await store.task()
    await store.step(task_id)
    async with CuttingProxy(f"{traces_url}?role=ams_reader", bytes_max) as url, AsyncTestClient(make_query_app(database_url=url)) as client:
        for path in ("tasks", f"tasks/{task_id}/steps", "steps?q=draft"):
            response = await client.get(f"/api/traces/{store.project_id}/{path}", headers=HEADERS)

            assert response.status_code in {200, 503}, response.text
            assert response.status_code == 200 or (response.json()["code"] == "unavailable" and response.headers["retry-after"])


class FailingConnection:
    """A connection of which one call fails, as calls of asyncpg can."""

    def __init__(self, stage: str, error: Exception) -> None:
        self._stage, self._error = stage, error

    async def execute(self, sql: str) -> None:
        if sql.startswith(self._stage):
            raise self._error

    def is_closed(self) -> bool:
        return False

    def is_in_transaction(self) -> bool:
        return True

    def terminate(self) -> None:
        """Nothing is open."""


class FailingPool:
    """A pool whose only connection fails at one stage."""

    def __init__(self, stage: str, error: Exception) -> None:
        self._stage, self._error = stage, error
        self.released = 0

    async def acquire(self, *, timeout: float) -> FailingConnection:  # noqa: ASYNC109  as asyncpg has it
        if self._stage == "acquire":
            raise self._error
        return FailingConnection(self._stage, self._error)

    async def release(self, connection: FailingConnection) -> None:
        self.released += 1
        if self._stage == "release":
            raise self._error


CONNECTION_ERRORS = [
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError(110, "Connection timed out"),
]


@pytest.mark.parametrize("error", CONNECTION_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", ["acquire", "BEGIN", "COMMIT"])
async def test_a_connection_error_at_any_stage_is_unavailable(stage: str, error: Exception) -> None:
    database = Database(FailingPool(stage, error))  # type: ignore[arg-type]  # the same methods

    with pytest.raises(UnavailableError):
        async with database.read("01900000-0000-7000-8000-000000000001"):
            pass


@pytest.mark.parametrize("error", CONNECTION_ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", ["ROLLBACK", "release"])
async def test_an_error_after_the_rows_were_read_does_not_replace_the_response(stage: str, error: Exception) -> None:
    pool = FailingPool(stage, error)

    async with Database(pool).read("01900000-0000-7000-8000-000000000001"):  # type: ignore[arg-type]  # the same methods
        pass

    assert pool.released == 1


async def test_before_the_migrations_the_response_is_503(make_query_app, postgres_admin_url: str, store) -> None:
    async with AsyncTestClient(make_query_app(database_url=postgres_admin_url)) as client:  # a database without the tables of AMS
        response = await client.get(f"/api/traces/{store.project_id}/tasks", headers=HEADERS)

    assert response.status_code == 503


async def test_the_service_recovers_after_its_connections_were_closed(ada, store, traces_url: str) -> None:
    task_id = await store.task()
    await ada.get("tasks")
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ams-trace-query' AND datname = current_database()"
    )
    await store.execute(cut)

    statuses = [(await ada.answer("tasks")).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert (await ada.get("tasks"))["items"][0]["task_id"] == task_id


async def test_q68_a_query_that_times_out_gives_504(make_query_app, store, traces_url: str) -> None:
    await store.task()
    locker = await asyncpg.connect(traces_url)
    async with AsyncTestClient(make_query_app(statement_timeout_ms=200)) as client:
        async with locker.transaction():
            await locker.execute(
                "LOCK TABLE g1.agents IN ACCESS EXCLUSIVE MODE"
            )  # waiting for the lock counts towards the statement timeout

            response = await client.get(f"/api/traces/{store.project_id}/agents", headers=HEADERS)

        assert (response.status_code, response.json()["code"]) == (504, "query_timeout")
        assert (await client.get(f"/api/traces/{store.project_id}/agents", headers=HEADERS)).status_code == 200
    await locker.close()


async def test_reads_use_the_current_generation_and_follow_a_swap(ada, store) -> None:
    await store.task(name="of g1")
    generation = f"g{secrets.randbelow(10**9) + 2}"
    await store.execute(f"CREATE SCHEMA {generation}")
    try:
        await store.execute(f"CREATE TABLE {generation}.tasks (LIKE g1.tasks); CREATE TABLE {generation}.positions (LIKE g1.positions)")
        await store.execute(
            f"GRANT USAGE ON SCHEMA {generation} TO ams_reader; GRANT SELECT ON ALL TABLES IN SCHEMA {generation} TO ams_reader"
        )
        await store.execute("INSERT INTO public.generations VALUES ($1, false, 2, 1)", generation)
        before = await ada.get("tasks")
        await store.execute("UPDATE public.generations SET current = false WHERE current")
        await store.execute("UPDATE public.generations SET current = true WHERE name = $1", generation)

        after = await ada.get("tasks")
    finally:
        await store.execute("DELETE FROM public.generations WHERE name <> 'g1'")
        await store.execute("UPDATE public.generations SET current = true WHERE name = 'g1'")
        await store.execute(f"DROP SCHEMA {generation} CASCADE")

    assert [item["name"] for item in before["items"]] == ["of g1"]
    assert after["items"] == []


async def test_q66_cheap_queries_stay_fast_under_many_heavy_ones(make_query_app, store) -> None:
    await store.task()
    async with AsyncTestClient(make_query_app(heavy_queries_max=2)) as client:
        base = f"/api/traces/{store.project_id}"
        await client.get(f"{base}/tasks", headers=HEADERS)

        heavy = [asyncio.create_task(client.get(f"{base}/steps", params={"q": "refund"}, headers=HEADERS)) for _ in range(100)]
        started = time.perf_counter()
        cheap = await client.get("/livez")
        elapsed = time.perf_counter() - started
        answers = await asyncio.gather(*heavy)

    assert cheap.status_code == 200
    assert elapsed < 2
    assert {answer.status_code for answer in answers} <= {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.json()["code"] == "busy" and answer.headers["retry-after"] for answer in refused)


async def test_a_concurrency_limit_queues_some_requests_and_rejects_the_others() -> None:
    heavy_queries = ConcurrencyLimit(1)
    release = asyncio.Event()
    entered = asyncio.Event()

    async def hold() -> None:
        async with heavy_queries.slot():
            entered.set()
            await release.wait()

    holder = asyncio.create_task(hold())
    await entered.wait()
    waiters = [asyncio.create_task(hold()) for _ in range(concurrency_limit.WAITING_PER_SLOT)]
    await asyncio.wait_for(_until(lambda: heavy_queries.waiting == concurrency_limit.WAITING_PER_SLOT), 5)

    with pytest.raises(UnavailableError):
        async with heavy_queries.slot():
            pass
    release.set()
    await asyncio.gather(holder, *waiters)
    async with heavy_queries.slot():
        pass


async def _until(condition) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_full_concurrency_limit_rejects_after_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency_limit, "WAIT_SECONDS", 0.01)
    heavy_queries = ConcurrencyLimit(1)

    async with heavy_queries.slot():
        with pytest.raises(UnavailableError):
            async with heavy_queries.slot():
                pass


def test_the_process_serves_stops_on_sigterm_and_reports_a_missing_setting(traces_url: str, redis_url: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}
    missing = subprocess.run(
        [sys.executable, "-m", "ams_trace_query", "serve"], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert missing.returncode == 2
    assert "missing setting" in missing.stderr
    assert missing.stderr.count("\n") == 1

    settings = {
        "AMS_DATABASE_URL": traces_url,
        "AMS_REDIS_URL": redis_url,
        "AMS_SERVICE_SECRET": "s" * 32,
        "AMS_PUBLIC_URL": "http://localhost",
        "AMS_IDENTITY_URL": "http://127.0.0.1:1",
        "AMS_HEALTH_URLS": "identity=http://127.0.0.1:1",
        "AMS_KAFKA_BOOTSTRAP": "x:1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ams_trace_query", "serve"], env={**environ, **settings}, stderr=subprocess.PIPE, text=True
    )
    try:
        port = next(int(line.split('"port":')[1].split(",")[0].strip("} \n")) for line in process.stderr if '"listening"' in line)
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=20), trust_env=False) as client:
            assert client.get(f"{base}/livez").status_code == 200
            assert client.get(f"{base}/api/health").json() == {"status": "degraded", "services": {"identity": "down"}}
            assert client.get(f"{base}/api/traces/openapi/openapi.json").json()["info"]["title"] == "AMS trace-query"
            assert client.get(f"{base}/api/traces/0198f3aa-0000-7000-8000-0000000000aa/tasks").status_code == 401
            assert client.get(f"{base}/nothing").headers["content-type"] == "application/problem+json"
    finally:
        process.terminate()
        assert process.wait(10) in {0, -15}
