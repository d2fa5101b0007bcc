"""The meter of telemetry, with a real Valkey."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ams_contracts.claims import Quota
from ams_kit.errors import TooManyError
from ams_kit.testing.valkey import ValkeyServer
from ams_kit.usage import UsageMeter, current_day, read_day, read_usage

PROJECT = "01900000-0000-7000-8000-000000000001"
NOON = 1_800_014_400.0 - 1_800_014_400 % 86_400 + 43_200


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey.url) as redis:
        await redis.flushdb()
        yield redis


async def test_two_processes_share_a_quota_of_events(redis: Redis) -> None:
    clock, quota = Clock(), Quota(events_per_minute=10)
    one, other = UsageMeter(redis, now_s=clock), UsageMeter(redis, now_s=clock)

    one.add(PROJECT, events=6, size_bytes=60)
    await one.flush()
    other.admit(PROJECT, quota)
    other.add(PROJECT, events=6, size_bytes=60)
    await other.flush()

    one.admit(PROJECT, quota)  # it learns the total when it counts the next time
    with pytest.raises(TooManyError) as refused:
        other.admit(PROJECT, quota)
    assert (refused.value.code, refused.value.retry_after_seconds) == ("quota_events", 60)
    clock.now += 60
    other.admit(PROJECT, quota)
    used = await read_usage(redis, PROJECT, NOON)
    assert (used.events_this_minute, used.events_today, used.bytes_today) == (12, 12, 120)
    assert await read_day(redis, current_day(NOON)) == [(PROJECT, 12, 120)]


async def test_a_quota_of_bytes_ends_at_midnight(redis: Redis) -> None:
    clock, quota = Clock(), Quota(bytes_per_day=100)
    meter = UsageMeter(redis, now_s=clock)
    meter.admit(PROJECT, quota)
    meter.add(PROJECT, events=1, size_bytes=100)

    with pytest.raises(TooManyError) as refused:
        meter.admit(PROJECT, quota)  # before it is flushed

    assert (refused.value.code, refused.value.retry_after_seconds) == ("quota_bytes", 43_200)
    assert "100 bytes a day" in refused.value.detail
    meter.admit(PROJECT, None)
    clock.now += 43_200
    meter.admit(PROJECT, quota)


async def test_what_waited_elsewhere_counts_for_the_minute_in_which_it_was_sent(redis: Redis) -> None:
    clock, quota = Clock(), Quota(events_per_minute=10)
    meter = UsageMeter(redis, now_s=clock)
    for sent_at in (NOON - 120, NOON - 60):
        meter.admit(PROJECT, quota, at_s=sent_at)
        meter.add(PROJECT, events=10, size_bytes=1, at_s=sent_at)
        await meter.flush()
        with pytest.raises(TooManyError):
            meter.admit(PROJECT, quota, at_s=sent_at + 1)
    meter.admit(PROJECT, quota)

    meter.add(PROJECT, events=10, size_bytes=1, at_s=NOON - 100_000)  # so old that it counts now
    with pytest.raises(TooManyError):
        meter.admit(PROJECT, quota, at_s=NOON + 3_600)
    assert (await read_usage(redis, PROJECT, NOON - 60)).events_this_minute == 10


async def test_counts_survive_an_outage_and_are_bounded(redis: Redis) -> None:
    clock = Clock()
    async with Redis.from_url("redis://127.0.0.1:1/0") as closed:
        meter = UsageMeter(closed, now_s=clock)
        meter.add(PROJECT, events=2, size_bytes=20)
        with pytest.raises(RedisError):
            await meter.flush()
        clock.now += 3_700
        with pytest.raises(RedisError):
            await meter.flush()
        assert (len(meter._pending_minutes), len(meter._pending_days)) == (0, 2)

        meter._redis = redis
        await meter.flush()

    assert (await read_usage(redis, PROJECT, clock.now)).events_today == 2
    assert await redis.ttl(f"ams:usage:day:{current_day(clock.now)}") > 86_400
