"""The projection of ``ams.identity.v1``: what owners set for their projects, who left them, and which projects were deleted."""

import time
from collections.abc import Callable, Sequence

import asyncpg
import msgspec
import structlog

from ams_contracts.codec import MalformedError, decode, encode
from ams_contracts.events import Batch, Producer, ProjectTombstone
from ams_contracts.identity_events import AccessChanged, IdentityEvent, ProjectUpdated
from ams_contracts.identity_events import ProjectDeleted as ProjectDeletedByOwner
from ams_contracts.topics import PAYLOADS, STEPS, Topic
from ams_kit.bus import Log, LogRecord, PartitionBatch, Record, StoredPosition, partition_of
from ams_trace_ingest.store import dead_letters, deleted_projects, positions, project_settings, saved_views
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.dead_letters import WHOLE_RECORD, DeadLetter
from ams_trace_ingest.store.positions import Account

ACQUIRE_TIMEOUT_SECONDS = 5
PRODUCER = Producer(sdk="ams-projector", instance_id="projects")

logger = structlog.get_logger(__name__)

_event = msgspec.json.Decoder(IdentityEvent)


def tombstones(project_id: str, event: ProjectTombstone, topics: Sequence[Topic] = (STEPS, PAYLOADS)) -> list[Record]:
    """A record with the event for every partition of the topics."""
    value = encode(Batch(v=1, project_id=project_id, producer=PRODUCER, events=[event]))
    return [
        Record(topic=topic, key=_key(project_id, partition, topic.partitions), value=value, headers=[("v", b"1")])
        for topic in topics
        for partition in range(topic.partitions)
    ]


def _key(project_id: str, partition: int, partitions: int) -> bytes:
    """A key of the project that the partitioner puts there: every client agrees on the partition of a key."""
    number = 0
    while partition_of(key := f"{project_id}:@deleted:{number}".encode(), partitions) != partition:
        number += 1
    return key


class ProjectsProjection:
    """Applies identity's events of projects. An ``ams_kit.bus.Projection``; effect and position are one transaction.

    The tombstones of a deleted project are published before that transaction: after a crash they are published again, which changes nothing.
    """

    projection = "projects"

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: Log,
        *,
        topics: Sequence[Topic] = (STEPS, PAYLOADS),
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._pool = pool
        self._log = log
        self._topics = topics
        self._now_us = now_us

    async def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            return await positions.load(connection, self.projection, topic, partitions)

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        events = [(record, _decode(record)) for record in records if record.offset >= expected]
        for _, event in events:
            if isinstance(event, ProjectDeletedByOwner):
                await self._announce(event)
        position = records[-1].offset + 1
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            before = (await positions.lock(connection, self.projection, topic, {partition: expected}))[partition]
            account = Account(0, 0, 0, {})
            for record, event in events:
                account = account.plus(await self._apply(connection, record, event))
            stored = {partition: StoredPosition(position, records[-1].timestamp_ms)}
            await positions.move(connection, self.projection, topic, stored, {partition: before.plus(account)})
        return position

    async def apply_together(self, topic: str, batches: Sequence[PartitionBatch]) -> dict[int, int]:  # noqa: ARG002  the port's signature
        return {}  # the topic has one partition

    async def _announce(self, event: ProjectDeletedByOwner) -> None:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            if await deleted_projects.is_announced(connection, event.project_id):
                return
        await self._log.publish(tombstones(event.project_id, _tombstone(event), self._topics))
        logger.info("a project was deleted", project_id=event.project_id)

    async def _apply(self, connection: Connection, record: LogRecord, event: IdentityEvent | MalformedError) -> Account:
        if isinstance(event, MalformedError):
            await dead_letters.insert(connection, [self._letter(record, event)])
            return Account(0, 0, 1, {})
        if isinstance(event, ProjectUpdated):
            await project_settings.store(connection, event.project_id, event.retention_days, event.at_us)
        elif isinstance(event, ProjectDeletedByOwner):
            await deleted_projects.mark_announced(connection, event.project_id, _tombstone(event))
        elif isinstance(event, AccessChanged) and event.role is None:
            await saved_views.delete_private(connection, event.project_id, event.user_id, event.at_us)
        else:
            return Account(0, 0, 0, {"not_a_setting": 1})
        return Account(1, 0, 0, {})

    def _letter(self, record: LogRecord, error: MalformedError) -> DeadLetter:
        return DeadLetter(
            topic=record.topic, partition=record.partition, offset=record.offset, index=WHOLE_RECORD, projection=self.projection, project_id=None,
            task_id=None, reason=error.code, detail=error.detail, bytes=record.value or b"", key=record.key, at_us=self._now_us(),
        )  # fmt: skip


def _decode(record: LogRecord) -> IdentityEvent | MalformedError:
    if record.value is None:
        return MalformedError("tombstone_unsupported")
    try:
        return decode(_event, record.value)
    except MalformedError as error:
        return error


def _tombstone(event: ProjectDeletedByOwner) -> ProjectTombstone:
    return ProjectTombstone(event_id=event.event_id, seq=0, at_us=event.at_us, by=event.user_id or "")
