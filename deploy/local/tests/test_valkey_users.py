"""Each service has a user of Valkey that may do what the service needs and no more."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from ams_contracts.claims import IDENTITY_CHANNEL
from ams_kit.auth.revocation import REVOCATIONS_KEY
from ams_kit.usage import UsageMeter, current_day, read_day
from ams_local.servers.base import free_port
from ams_local.servers.valkey import USERS, Valkey

PROJECT = "01900000-0000-7000-8000-000000000001"


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(data=tmp_path / "valkey", port=free_port(frozenset()), password="0123456789abcdef")
    server.prepare()
    command = server.command()
    with subprocess.Popen(command.argv, cwd=command.cwd, stdout=subprocess.DEVNULL) as process:
        try:
            async with asyncio.timeout(10):
                while not await _answers(server):
                    await asyncio.sleep(0.02)
            yield server
        finally:
            process.kill()


async def _answers(server: Valkey) -> bool:
    try:
        return await server.answers()
    except OSError:
        return False


async def refused(redis: Redis, *command: str) -> bool:
    try:
        await redis.execute_command(*command)
    except NoPermissionError:
        return True
    return False


async def test_each_service_does_its_work_and_no_more(valkey: Valkey) -> None:
    users = {name: Redis.from_url(valkey.url_of(name)) for name in USERS}
    identity, intake, live, query = users["identity"], users["intake"], users["live-gateway"], users["trace-query"]
    try:
        await identity.hset(REVOCATIONS_KEY, mapping={"server": "x"})
        await identity.register_script("return redis.call('INCR', KEYS[1])")(keys=["ams:throttle:a"])
        async with identity.pipeline(transaction=True) as pipeline:
            pipeline.time()
            pipeline.hdel(REVOCATIONS_KEY, "sid:x")
            await pipeline.execute()
        for redis in users.values():
            pubsub = redis.pubsub()
            await pubsub.subscribe(IDENTITY_CHANNEL)
            assert (await redis.info("server"))["run_id"]
            assert await redis.hgetall(REVOCATIONS_KEY) == {b"server": b"x"}
            assert await redis.time()
            await pubsub.aclose()
        meter = UsageMeter(intake)
        meter.add(PROJECT, events=1, size_bytes=10)
        await meter.flush()
        assert await read_day(identity, current_day(time.time())) == [(PROJECT, 1, 10)]
        await live.set("ams:live:ticket:x", "1", ex=30)
        assert await live.getdel("ams:live:ticket:x") == b"1"

        for name in ("intake", "trace-query", "live-gateway"):
            assert await refused(users[name], "HSET", REVOCATIONS_KEY, "a", "b"), name
            assert await refused(users[name], "DEL", REVOCATIONS_KEY), name
            assert await refused(users[name], "PUBLISH", IDENTITY_CHANNEL, "x"), name
            assert await refused(users[name], "GET", "ams:throttle:a"), name
            assert await refused(users[name], "KEYS", "*"), name
        assert await refused(query, "GETDEL", "ams:live:ticket:x")
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("SHUTDOWN",),
            ("SET", "other", "x"),
        ):
            assert await refused(identity, *command), command
        with pytest.raises(RedisError):
            await Redis.from_url(valkey.url.replace(":0123456789abcdef@", ":wrong@")).ping()
    finally:
        for redis in users.values():
            await redis.aclose()
