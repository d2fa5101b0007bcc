"""Each service has a user of Valkey that may do what the service needs and no more."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from ams_contracts.claims import IDENTITY_CHANNEL
from ams_kit.auth.revocation import REVOCATIONS_KEY
from ams_kit.usage import UsageMeter, current_day, read_day
from ams_local.servers.base import free_port
from ams_local.servers.valkey import USERS, Valkey, acl_lines, urls_of_services, valkey_binary

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
        entry = await intake.xadd("ams:intake:logs", {"news": "{}"}, maxlen=5_000, approximate=True)
        assert await intake.xread({"ams:intake:logs": "0-0"}, count=5, block=500) == [[b"ams:intake:logs", [(entry, {b"news": b"{}"})]]]
        await live.set("ams:live:ticket:x", "1", ex=30)
        assert await live.getdel("ams:live:ticket:x") == b"1"

        for name in ("intake", "trace-query", "live-gateway"):
            assert await refused(users[name], "HSET", REVOCATIONS_KEY, "a", "b"), name
            assert await refused(users[name], "DEL", REVOCATIONS_KEY), name
            assert await refused(users[name], "PUBLISH", IDENTITY_CHANNEL, "x"), name
            assert await refused(users[name], "GET", "ams:throttle:a"), name
            assert await refused(users[name], "KEYS", "*"), name
        assert await refused(query, "GETDEL", "ams:live:ticket:x")
        assert await refused(query, "XADD", "ams:intake:logs", "*", "a", "b")
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


def test_a_server_of_the_person_takes_the_printed_users(tmp_path: Path) -> None:
    port, secret = free_port(frozenset()), "the secret of the installation"
    users = tmp_path / "users.acl"
    users.write_text("\n".join(["user default off", *acl_lines(secret)]) + "\n")
    urls = urls_of_services(f"redis://{{service}}@127.0.0.1:{port}/0", secret)
    argv = [str(valkey_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--aclfile", str(users)]

    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            for url in urls.values():
                assert _hash_is_empty(url)
        finally:
            process.kill()

    assert set(urls) == set(USERS)
    assert secret not in users.read_text()
    assert urls_of_services(f"redis://:password@127.0.0.1:{port}/0", secret) == {}


def _hash_is_empty(url: str) -> bool:
    with SyncRedis.from_url(url, retry=Retry(ConstantBackoff(0.05), 100)) as redis:
        return redis.hgetall(REVOCATIONS_KEY) == {}
