"""Fixtures: a separate topic per test on the shared broker, a producer, and a recording projection."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from tests.conditions import until

from ams_contracts.topics import Topic
from ams_kit.bus import Alarm, Consumer, Log, Record, create_topics
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.testing.recording_projection import RecordingProjection


class Bus:
    """One topic with a producer, a projection and the alarms of its consumers."""

    def __init__(self, bootstrap: str, topic: Topic, log: Log) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.log = log
        self.projection = RecordingProjection()
        self.alarms: list[Alarm] = []
        self.group = f"group-{topic.name}"

    async def publish(self, *values: int | str, key: str = "k") -> None:
        await self.log.publish(
            [Record(topic=self.topic, key=key.encode(), value=str(value).encode()) for value in values], timeout_seconds=10
        )

    @asynccontextmanager
    async def consumer(self, projection: Any = None, **options: Any) -> AsyncIterator[Consumer]:
        options.setdefault("on_stalled", lambda: None)
        consumer = Consumer(self.bootstrap, self.group, self.topic, projection or self.projection, on_alarm=self.alarms.append, **options)
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def applied(self, count: int, projection: RecordingProjection | None = None) -> None:
        """Wait until the projection has this many records."""
        await until(lambda: (projection or self.projection).count() >= count)

    async def alarm(self, kind: str) -> Alarm:
        """Wait for an alarm of this kind and return it."""
        await until(lambda: any(alarm.kind == kind for alarm in self.alarms))
        return next(alarm for alarm in self.alarms if alarm.kind == kind)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def recreate(self) -> None:
        """Delete the topic and recreate it, empty."""
        async with self.admin() as admin:
            await admin.delete_topics([self.topic.name])

            async def created() -> bool:
                try:
                    await create_topics(self.bootstrap, topics=[self.topic])
                except LogUnavailableError:  # metadata still lists the topic that is being deleted
                    return False
                described = await admin.describe_topics([self.topic.name])
                return not described[0]["error_code"] and len(described[0]["partitions"]) == self.topic.partitions

            await until(created)
        await self.log.close()
        self.log = await Log.open(self.bootstrap, "bus-tests")


@pytest.fixture
def topic() -> Topic:
    return Topic(name=f"bus-{secrets.token_hex(6)}", version=1, partitions=3)


@pytest.fixture
async def bus(kafka_bootstrap: str, topic: Topic) -> AsyncGenerator[Bus]:
    await create_topics(kafka_bootstrap, topics=[topic])
    bus = Bus(kafka_bootstrap, topic, await Log.open(kafka_bootstrap, "bus-tests"))
    yield bus
    await bus.log.close()
    bus.projection.close()
