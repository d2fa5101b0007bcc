"""Each background task of trace-query restarts after any failure, and a closed database connection gives a 503."""

import asyncpg
import httpx
import pytest
from litestar.testing import AsyncTestClient

from ams_kit.auth import open_redis
from ams_kit.testing.revocations import kept_complete
from ams_kit.testing.supervision import running
from ams_kit.testing.valkey import ValkeyServer
from ams_trace_query.app import make_app
from ams_trace_query.settings import Settings


async def test_each_task_restarts_after_an_unexpected_error(traces_url: str) -> None:
    valkey = ValkeyServer()
    valkey.start()
    redis = open_redis(valkey.url)
    settings = Settings(
        public_url="http://localhost:8080",
        database_url=traces_url,
        redis_url=valkey.url,
        identity_url="http://127.0.0.1:1",
        service_secret="s" * 32,
    )
    try:
        async with kept_complete(redis), running(make_app(settings)) as query:
            names = await query.fail_each_task()
    finally:
        await redis.aclose()
        valkey.remove()

    assert names == {"identity-events", "revocation-replica"}


@pytest.mark.parametrize("place", ["acquire", "begin", "query"])
async def test_a_connection_that_closes_within_a_message_gives_503(
    make_query_app, store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """asyncpg raises InternalClientError in this case, which derives directly from Exception."""

    async def cut(*_: object, **__: object) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    targets = {
        "acquire": (asyncpg.pool.Pool, "acquire"),
        "begin": (asyncpg.Connection, "execute"),
        "query": (asyncpg.Connection, "fetch"),
    }
    async with AsyncTestClient(make_query_app()) as client:
        assert (await client.get(f"/api/traces/{store.project_id}/tasks", headers={"Authorization": "Bearer ada"})).status_code == 200
        monkeypatch.setattr(*targets[place], cut)

        answer: httpx.Response = await client.get(f"/api/traces/{store.project_id}/tasks", headers={"Authorization": "Bearer ada"})

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        monkeypatch.undo()
        assert (await client.get(f"/api/traces/{store.project_id}/tasks", headers={"Authorization": "Bearer ada"})).status_code == 200
