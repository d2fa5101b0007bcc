"""A database and topics of a test's own, the live projections beside, and a history to replay."""

import asyncio
import os
import random
import secrets
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from tests.builders import NATIVE, batch, beat, document, ended, llm, logged, recorded, started, step_id
from tests.conditions import until
from tests.replay_runner import target_of

from ams_contracts.codec import encode
from ams_contracts.documents import CostSource, Slot, StepType
from ams_contracts.events import AgentRegistered, Batch, PayloadStored, TaskDeleted
from ams_contracts.topics import Topic, task_key
from ams_kit.bus import Consumer, Log, Record, create_topics
from ams_trace_ingest.migrations.upgrade import upgrade
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.text import TextProjection
from ams_trace_ingest.replay.replay import ReplayTarget
from ams_trace_ingest.store.connections import open_writer

TABLES = (
    "task_days", "tasks", "steps", "step_payloads", "step_text", "media", "task_media", "task_producers", "scores", "step_logs", "step_log_counts", "hourly_rollups", "rollup_values", "agents", "response_claims", "deleted_tasks", "dead_letters",
)  # fmt: skip
NOW_US = 1_790_000_000_000_000


class Platform:
    """The live part: a log, the projections that follow it, and what the tables hold."""

    def __init__(self, bootstrap: str, log: Log, topics: tuple[Topic, Topic], owner: asyncpg.Connection, place: ReplayTarget) -> None:
        self.bootstrap = bootstrap
        self.log = log
        self.steps, self.payloads = topics
        self.owner = owner
        self.target = place
        self.consumers: list[Consumer] = []
        self.published = 0

    async def start_projector(self) -> None:
        pool = await open_writer(self.target.database_url, application="live", size_max=4, repeatable=True)
        group = secrets.token_hex(4)
        for name, topic, projection in (
            ("steps", self.steps, StepsProjection(pool)),
            ("payloads", self.payloads, PayloadsProjection(pool)),
            ("text", self.payloads, TextProjection(pool)),
            ("names", self.steps, TextProjection(pool)),
        ):
            consumer = Consumer(self.bootstrap, f"{name}-{group}", topic, projection)
            await consumer.start()
            self.consumers.append(consumer)

    async def stop_projector(self) -> None:
        await asyncio.gather(*(consumer.stop() for consumer in self.consumers))

    async def publish(self, *values: Batch | bytes, payloads: bool = False) -> None:
        topic = self.payloads if payloads else self.steps
        records = [
            Record(
                topic=topic,
                key=b"nobody" if isinstance(value, bytes) else task_key(value.project_id, value.task_id or "@agent"),
                value=value if isinstance(value, bytes) else encode(value),
                headers=[("v", b"1")],
            )
            for value in values
        ]
        await self.log.publish(records, timeout_seconds=30)

    async def publish_history(self, first_task: int, tasks: int = 20) -> None:
        """Something of everything; other tasks for another beginning."""
        chance = random.Random(first_task)
        values: list[Batch | bytes] = [
            b"nonsense",
            batch(None, AgentRegistered(event_id="a" * 32, seq=0, at_us=NOW_US, name="planner", version="1")),
        ]
        texts: list[Batch | bytes] = []
        for task in range(first_task, first_task + tasks):
            doc = llm(
                task + 1, parent_step_id=2, agent="planner", response_id=f"r{task % 7}", model="gpt-4o", provider="openai", cost_source=CostSource.COMPUTED,
            )  # fmt: skip
            values += [
                batch(task, started(2, document(name="root"), seq=1), producer=NATIVE),
                batch(task, beat(2, seq=2, at_us=NOW_US), producer=NATIVE),
                batch(task, logged(2, "first", "second", seq=4, at_us=NOW_US), producer=NATIVE),
                batch(task, *(recorded(100 + n, doc) for n in range(10)), recorded(110, document(type=StepType.LLM, parent_step_id=2))),
                batch(task, ended(2, document(name="root"), seq=3), producer=NATIVE),
            ]
            texts.append(batch(task, *(payload(100 + n, f"the words of {task} and {n}") for n in range(10))))
            if task % 9 == 4:
                values.append(batch(task, TaskDeleted(event_id=f"{task:032x}", seq=0, at_us=NOW_US, by="ann")))
        chance.shuffle(values)
        await self.publish(*texts, payloads=True)
        await self.publish(*values)
        self.published += len(values) + len(texts)

    async def delete_log(self) -> None:
        """All that was published so far, as retention does."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            for topic in (self.steps, self.payloads):
                places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
                await admin.delete_records({place: RecordsToDelete(before_offset=-1) for place in places})
        finally:
            await admin.close()

    async def current(self) -> str:
        return await self.owner.fetchval("SELECT name FROM public.generations WHERE current")

    async def generations(self) -> list[str]:
        return [row[0] for row in await self.owner.fetch("SELECT name FROM public.generations ORDER BY name")]

    async def caught_up(self) -> None:
        """The live projections have come to the end of the log."""

        async def at_the_end() -> bool:
            name = await self.current()
            rows = await self.owner.fetch(f"SELECT projection, topic, sum(next_offset) FROM {name}.positions GROUP BY projection, topic")
            return len(rows) == 4 and sum(row[2] for row in rows) == 2 * self.published

        await until(at_the_end)

    async def rows(self, schema: str) -> dict[str, list[dict[str, Any]]]:
        found = {
            table: sorted((dict(row) for row in await self.owner.fetch(f"SELECT * FROM {schema}.{table}")), key=repr) for table in TABLES
        }
        found["positions"] = sorted(
            (
                dict(row)
                for row in await self.owner.fetch(
                    f'SELECT projection, topic, "partition", next_offset, last_timestamp_ms FROM {schema}.positions'
                )
            ),
            key=repr,
        )
        return found


def payload(step: int, text: str) -> PayloadStored:
    return PayloadStored(event_id=f"{step:032x}", seq=0, at_us=NOW_US, step_id=step_id(step), slot=Slot.INPUT, text=text, bytes=len(text))


@pytest_asyncio.fixture
async def database(postgres_admin_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test, as its owner."""
    name = f"replay_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(postgres_admin_url)
    await admin.execute(f"CREATE DATABASE {name}")
    url = f"{postgres_admin_url.rsplit('/', 1)[0]}/{name}"
    await upgrade(url)
    yield url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest_asyncio.fixture
async def platform(database: str, kafka_bootstrap: str) -> AsyncIterator[Platform]:
    run = secrets.token_hex(4)
    topics = (Topic(name=f"replay-{run}-steps", version=1, partitions=3), Topic(name=f"replay-{run}-payloads", version=1, partitions=3))
    await create_topics(kafka_bootstrap, topics=topics)
    log = await Log.open(kafka_bootstrap, "replay-test")
    owner = await asyncpg.connect(database)
    platform = Platform(kafka_bootstrap, log, topics, owner, target_of(database, kafka_bootstrap, topics))
    await platform.start_projector()
    yield platform
    await platform.stop_projector()
    await log.close()
    await owner.close()
