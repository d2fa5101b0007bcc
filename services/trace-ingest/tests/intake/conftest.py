import uuid
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from litestar import Litestar

from ams_contracts.claims import KeyGrant, Scope
from ams_contracts.codec import decode_batch
from ams_contracts.events import StepRecorded
from ams_contracts.topics import STEPS
from ams_kit.auth import AuthKit, KeyUse, open_redis
from ams_kit.bus import create_topics
from ams_kit.errors import UnauthenticatedError
from ams_kit.testing.serving import serving
from ams_trace_ingest.app import make_intake
from ams_trace_ingest.settings import IntakeSettings

WRITER = "ams_writer_key"
READER = "ams_reader_key"


class TwoKeys:
    """The exchange of API keys, as identity would answer it: one key that may write, one that may not."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.masking = True

    async def grant(self, api_key: str, use: KeyUse) -> KeyGrant:
        if api_key not in {WRITER, READER}:
            raise UnauthenticatedError
        scopes = [Scope.INGEST] if api_key == WRITER else []
        return KeyGrant(access_token="t", expires_in=600, project_id=self.project_id, key_id="k1", scopes=scopes, masking=self.masking)


@pytest.fixture
def project_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def settings(kafka_bootstrap: str) -> IntakeSettings:
    return IntakeSettings(
        public_url="http://localhost:8080",
        kafka_bootstrap=kafka_bootstrap,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        service_secret="s" * 32,
        identity_url="http://127.0.0.1:1",
        intake_bytes_max=96 * 1024 * 1024,
        kafka_inbound=False,
    )


@pytest.fixture
def keys(project_id: str) -> TwoKeys:
    return TwoKeys(project_id)


def an_intake(settings: IntakeSettings, keys: TwoKeys) -> Litestar:
    """An application that asks nobody but ``keys`` who may write."""

    async def close() -> None:
        return None

    return make_intake(
        settings,
        auth=cast("AuthKit", SimpleNamespace(keys=keys, close=close, trusted_proxies=(), redis=open_redis(settings.redis_url))),
    )


@pytest.fixture
async def app(settings: IntakeSettings, keys: TwoKeys) -> Litestar:
    await create_topics(settings.kafka_bootstrap)
    return an_intake(settings, keys)


@pytest.fixture
def another_app(app: Litestar, settings: IntakeSettings, keys: TwoKeys) -> Litestar:
    """A second replica."""
    return an_intake(settings, keys)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    with serving(app) as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {WRITER}"}, timeout=30) as client:
            yield client


@pytest.fixture
async def steps_of_project(kafka_bootstrap: str, project_id: str, client: httpx.AsyncClient) -> AsyncIterator[Callable[[], Any]]:
    """The step documents that reached the log since the test began."""
    partitions = [TopicPartition(STEPS.name, number) for number in range(STEPS.partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap) as consumer:
        consumer.assign(partitions)
        begin = await consumer.end_offsets(partitions)

        async def read() -> list[StepRecorded]:
            end = await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, begin[partition])
            events: list[StepRecorded] = []
            while [partition for partition in partitions if await consumer.position(partition) < end[partition]]:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    batches = [decode_batch(record.value).batch for record in records]
                    events += [
                        event
                        for batch in batches
                        if batch.project_id == project_id
                        for event in batch.events
                        if isinstance(event, StepRecorded)
                    ]
            return events

        yield read
