"""A broker that is frozen, killed or unreachable: every client notices in time and recovers by itself, and no acknowledged event is lost."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ams_contracts.topics import Topic
from ams_kit.bus import Consumer, Log, LogRecord, LogUnavailableError, Record, Tail, create_topics
from ams_kit.testing.recording_projection import RecordingProjection

pytestmark = pytest.mark.timeout(240)
TOPIC = Topic(name="faults", version=1, partitions=3)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Load:
    """Publishes numbered records of some keys, each again until it is acknowledged, and remembers which were."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.keys = [f"key-{number}-{secrets.token_hex(3)}" for number in range(4)]
        self.acknowledged = dict.fromkeys(self.keys, 0)
        self.refused = 0
        self.longest_wait = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._go_on(key)) for key in self.keys]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go_on(self, key: str) -> None:
        while True:
            number = self.acknowledged[key]
            started_at = time.monotonic()
            try:
                await self.log.publish([Record(topic=TOPIC, key=key.encode(), value=str(number).encode())])
                self.acknowledged[key] += 1
            except LogUnavailableError:
                self.refused += 1
                await asyncio.sleep(0.1)
            self.longest_wait = max(self.longest_wait, time.monotonic() - started_at)

    def check(self, values_of: Callable[[bytes], list[bytes]]) -> None:
        """All that was acknowledged is there, in order. A refused one may be there, too: its outcome was unknown, and it was sent again."""
        for key, acknowledged in self.acknowledged.items():
            values = [int(value) for value in values_of(key.encode())]
            assert list(dict.fromkeys(values))[:acknowledged] == list(range(acknowledged))
            assert values == sorted(values)


async def through(own_broker: Any, fault: Callable[[Load], Awaitable[None]]) -> Load:
    """Load, a consumer and a tail live through a fault; afterwards all three agree."""
    await create_topics(own_broker.bootstrap, topics=[TOPIC])
    log = await Log.open(own_broker.bootstrap, "faults")
    projection, tailed, sights = RecordingProjection(), [], []
    consumer = Consumer(own_broker.bootstrap, "faults", TOPIC, projection, on_stalled=lambda: pytest.fail("the watchdog barked"))
    tail = Tail(own_broker.bootstrap, [TOPIC], back_seconds=60)
    load = Load(log)
    try:
        await consumer.start()
        await tail.start(tailed.extend, on_connectivity=sights.append)
        await tail.ready()
        load.start()
        await until(lambda: projection.count() > 50)

        await fault(load)

        before = dict(load.acknowledged)
        await until(lambda: all(load.acknowledged[key] > before[key] + 5 for key in load.keys))
        await load.stop()
        last = {key: str(load.acknowledged[key] - 1).encode() for key in load.keys}
        await until(lambda: all(last[key] in projection.values(key.encode()) for key in load.keys))
        await until(lambda: len(tailed) >= projection.count())
        load.check(projection.values)
        load.check(lambda key: [record.value or b"" for record in tailed if record.key == key])
        assert _places(tailed) == sorted(set(_places(tailed)))
        assert sights[0] is True
        await until(lambda: sights[-1] is True)
        assert not consumer.alarms
    finally:
        await load.stop()
        await consumer.stop()
        await tail.stop()
        await log.close()
    load.sights = sights
    return load


def _places(records: list[LogRecord]) -> list[tuple[int, int]]:
    return sorted((record.partition, record.offset) for record in records)


async def test_a_frozen_broker_answers_nobody_late(own_broker) -> None:
    async def freeze(load: Load) -> None:
        own_broker.freeze()
        refused = load.refused
        await until(lambda: load.refused >= refused + 2 * len(load.keys))
        own_broker.thaw()

    load = await through(own_broker, freeze)

    assert load.refused
    assert load.longest_wait < 4.6
    assert False in load.sights


async def test_a_killed_broker_keeps_what_it_acknowledged(own_broker) -> None:
    async def kill(_: Load) -> None:
        own_broker.kill()
        await own_broker.start()

    await through(own_broker, kill)


async def test_a_broker_that_is_down_for_half_a_minute(own_broker) -> None:
    async def stop_and_start(load: Load) -> None:
        own_broker.kill()
        refused = load.refused
        async with asyncio.timeout(60):
            started_at = time.monotonic()
            while time.monotonic() - started_at < 30:
                await asyncio.sleep(0.5)  # the fault is the time itself
        assert load.refused > refused
        await own_broker.start()

    load = await through(own_broker, stop_and_start)
    assert False in load.sights


async def test_stopping_does_not_wait_for_a_frozen_broker(own_broker) -> None:
    await create_topics(own_broker.bootstrap, topics=[TOPIC])
    log = await Log.open(own_broker.bootstrap, "faults")
    consumer = Consumer(own_broker.bootstrap, "faults", TOPIC, RecordingProjection())
    tail = Tail(own_broker.bootstrap, [TOPIC])
    await consumer.start()
    await tail.start(lambda _: None)
    await tail.ready()
    await log.publish([Record(topic=TOPIC, key=b"k", value=b"v")])
    own_broker.freeze()
    waiting = asyncio.create_task(log.publish([Record(topic=TOPIC, key=b"k", value=b"v")]))

    started_at = time.monotonic()
    await asyncio.gather(consumer.stop(), tail.stop(), log.close())

    assert time.monotonic() - started_at < 10
    with pytest.raises(LogUnavailableError):
        await waiting
    own_broker.thaw()
