"""Reads from a standby: as of the positions that a request carries, or from the primary."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from prometheus_client import REGISTRY
from tests.standby import Pair, standby_pair

from ams_contracts.positions import Position
from ams_trace_query.context import POSITION_HEADER, _parse_positions

pytestmark = pytest.mark.timeout(600)
WAIT_MS = 4_000


def reads(outcome: str) -> float:
    return REGISTRY.get_sample_value("ams_replica_reads_total", {"outcome": outcome}) or 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with standby_pair(tmp_path_factory.mktemp("standby")) as one:
        url = one.primary.url()
        subprocess.run([sys.executable, "-m", "ams_trace_ingest", "migrate"], env={**os.environ, "AMS_DATABASE_URL": url}, check=True)
        yield one


@contextmanager
def executed_soon(url: str, statement: str) -> Iterator[None]:
    """Execute a statement while a request waits: in a thread, because a request of the test's client occupies the event loop."""

    async def execute() -> None:
        await asyncio.sleep(0.3)
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(execute()))
    thread.start()
    yield
    thread.join()


class Followed:
    """The API of trace-query with a replica, and both servers."""

    def __init__(self, client: AsyncTestClient[Litestar], project_id: str, primary: Any, standby: Any) -> None:
        self._client = client
        self.project_id = project_id
        self._primary = primary
        self.standby = standby

    async def write(self, offset: int) -> str:
        """What the projector does: rows and their position in one transaction."""
        async with self._primary.transaction():
            await self._primary.execute(
                "INSERT INTO g1.agents (project_id, name, tools, metadata, last_seen_at_us) VALUES ($1, $2, '{}', '{}', 1)",
                self.project_id,
                f"agent-{offset}",
            )
            await self._primary.execute(
                "INSERT INTO g1.positions (projection, topic, partition, next_offset, last_timestamp_ms) VALUES ('steps', 'ams.steps.v1', 3, $1, 1) "
                "ON CONFLICT (projection, topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
                offset,
            )
        return f"1.3.{offset}"

    async def get(self, position: str | None = None) -> Any:
        headers = {"Authorization": "Bearer ada"} | ({POSITION_HEADER: position} if position else {})
        return await self._client.get(f"/api/traces/{self.project_id}/agents", headers=headers)

    async def agents(self, position: str | None = None) -> list[str]:
        answer = await self.get(position)
        assert answer.status_code == 200, answer.text
        return sorted(agent["name"] for agent in answer.json()["items"])


@pytest.fixture
async def followed(pair: Pair, make_query_app: Callable[..., Litestar], store: Any) -> AsyncIterator[Followed]:
    role = "?role=ams_reader"
    app = make_query_app(database_url=pair.primary.url() + role, read_database_url=pair.standby.url() + role, read_wait_ms=WAIT_MS)
    primary, standby = await asyncpg.connect(pair.primary.url()), await asyncpg.connect(pair.standby.url())
    async with AsyncTestClient(app) as client:
        yield Followed(client, store.project_id, primary, standby)
    await primary.close()
    standby.terminate()


async def test_a_request_gets_the_state_that_it_names_from_the_standby_or_from_the_primary(followed: Followed, pair: Pair) -> None:
    first = await followed.write(10)
    while await followed.standby.fetchval("SELECT max(next_offset) FROM g1.positions") != 10:
        await asyncio.sleep(0.01)
    counts = {outcome: reads(outcome) for outcome in ("served", "waited", "behind", "unavailable")}
    assert await followed.agents(first) == ["agent-10"]
    assert reads("served") + reads("waited") == counts["served"] + counts["waited"] + 1

    await followed.standby.execute("SELECT pg_wal_replay_pause()")
    until_paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
    while not await followed.standby.fetchval(until_paused):
        await asyncio.sleep(0.01)
    second = await followed.write(11)
    assert await followed.agents() == ["agent-10"]  # a request that names nothing takes what the standby has
    assert await followed.agents(first) == ["agent-10"]
    began = time.monotonic()
    assert await followed.agents(second) == ["agent-10", "agent-11"]
    assert time.monotonic() - began >= WAIT_MS / 1_000
    assert reads("behind") == counts["behind"] + 1

    with executed_soon(pair.standby.url(), "SELECT pg_wal_replay_resume()"):
        assert await followed.agents(second) == ["agent-10", "agent-11"]
    assert reads("behind") == counts["behind"] + 1

    ahead = await followed.get("1.3.999")
    assert (ahead.status_code, ahead.json()["code"], ahead.headers["retry-after"]) == (503, "position_ahead", "1")
    assert (await followed.get("1.3.11, 7.3.999")).status_code == 200  # of another version of the topic: nothing is known about it
    for wrong in ("1.3", "1.3.5;1.4.5", ",".join(["1.3.5"] * 65)):
        answer = await followed.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_position")

    pair.kill_standby()
    failed_before = REGISTRY.get_sample_value("ams_queries_failed_total", {"reason": "unavailable"})
    until_served = time.monotonic() + 10
    while (await followed.get(second)).status_code != 200:
        assert time.monotonic() < until_served
    assert await followed.agents(second) == ["agent-10", "agent-11"]
    assert reads("unavailable") >= counts["unavailable"] + 1
    assert REGISTRY.get_sample_value("ams_queries_failed_total", {"reason": "unavailable"}) == failed_before


def test_the_highest_position_of_a_partition_counts_and_other_versions_hide_none() -> None:
    assert _parse_positions("1.7.9, 7.7.1,1.7.8") == [Position(1, 7, 9), Position(7, 7, 1)]


async def test_without_a_standby_a_position_is_waited_for_on_the_primary(
    make_query_app: Callable[..., Litestar], store: Any, traces_url: str
) -> None:
    await store.position(5, 40)
    path, headers = f"/api/traces/{store.project_id}/agents", {"Authorization": "Bearer ada"}

    moved = "UPDATE g1.positions SET next_offset = 41 WHERE projection = 'steps' AND partition = 5"
    with executed_soon(traces_url, moved):
        async with AsyncTestClient(make_query_app(read_wait_ms=60_000)) as client:
            assert (await client.get(path, headers={**headers, POSITION_HEADER: "1.5.41"})).status_code == 200
    async with AsyncTestClient(make_query_app(read_wait_ms=1)) as client:
        assert (await client.get(path, headers={**headers, POSITION_HEADER: "1.5.42"})).json()["code"] == "position_ahead"
