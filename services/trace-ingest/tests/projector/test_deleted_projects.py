"""A deleted project: its rows are removed, later events are ignored and counted, and nothing of another project is touched."""

import msgspec
import pytest
from tests import configured
from tests.builders import BASE_US, NATIVE, PROJECT, batch, beat, llm, record, recorded, records, step_id, task_id

from ams_contracts.claims import Role
from ams_contracts.codec import decode_batch, encode
from ams_contracts.documents import Slot
from ams_contracts.events import AgentRegistered, Batch, PayloadStored, ProjectTombstone
from ams_contracts.identity_events import AccessChanged, ProjectCreated, ProjectUpdated
from ams_contracts.identity_events import ProjectDeleted as ProjectDeletedByOwner
from ams_contracts.topics import IDENTITY, PAYLOADS, STEPS
from ams_kit.bus import LogRecord, Record, partition_of
from ams_trace_ingest.projector.deleted_projects import ProjectDeletions
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.projects import ProjectsProjection, tombstones
from ams_trace_ingest.projector.text import TextProjection

OTHER = "01900000-0000-7000-8000-000000000002"
TABLES = (
    "task_days",
    "tasks",
    "steps",
    "step_payloads",
    "step_text",
    "task_producers",
    "agents",
    "response_claims",
    "deleted_tasks",
    "dead_letters",
    *configured.TABLES,
)
DELETED = ProjectTombstone(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")
TOMBSTONE = batch(None, DELETED, project=OTHER)


class KeptLog:
    """Keeps the port's promise: what it is given is there afterwards, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def publish(self, records, *, timeout_seconds: float = 4) -> list[object]:
        self.records.extend(records)
        return []


def history(project: str, first: int) -> list[Batch | bytes]:
    return [
        batch(None, AgentRegistered(event_id=f"{first:032x}", seq=0, at_us=BASE_US, name="planner"), project=project),
        batch(first, recorded(first, llm(10, agent="planner", response_id=f"r{first % 2}")), project=project),
        batch(first + 1, recorded(first + 1, llm(10, response_id=f"r{first % 2}")), project=project),
        batch(first + 2, beat(first + 2, seq=1, at_us=BASE_US), producer=NATIVE, project=project),
        b'{"v":1,"project_id":"%b","task_id":"%b","producer":{"sdk":"x","instance_id":"x"},"events":[{}]}' % (project.encode(), task_id(first).encode()),
    ]  # fmt: skip


def payloads(project: str, first: int) -> Batch:
    return batch(
        first,
        PayloadStored(event_id=f"{first:032x}", seq=0, at_us=BASE_US, step_id=step_id(first), slot=Slot.INPUT, text="some words", bytes=10),
        project=project,
    )


async def feed(projector, pool, steps: list[Batch | bytes], texts: list[Batch]) -> None:
    await projector.apply(records(*steps))
    text, stored = TextProjection(pool), PayloadsProjection(pool)
    given = [record(n, one, topic=PAYLOADS.name) for n, one in enumerate(texts)]
    await stored.apply(PAYLOADS.name, 0, given, 0)
    await text.apply(PAYLOADS.name, 0, given, 0)
    await text.apply(STEPS.name, 0, records(*steps), 0)


async def test_nothing_of_a_deleted_project_is_left_and_nothing_of_another_is_touched(projector, pool, store) -> None:
    await feed(projector, pool, history(PROJECT, 10), [payloads(PROJECT, 10)])
    await configured.configure(store.connection, PROJECT)
    kept = {table: await store.rows(table, without=["ctid"]) for table in TABLES}
    await configured.configure(store.connection, OTHER)
    at = 5
    await projector.apply(records(*history(OTHER, 20), TOMBSTONE, *history(OTHER, 30), first=at))
    log = KeptLog()

    assert await ProjectDeletions(pool, log).run_once() == 1
    assert await ProjectDeletions(pool, log).run_once() == 0

    for table in TABLES:
        assert await store.rows(table) == kept[table], table
    assert sum((await store.account()).values()) == 5 + 5 + 1 + 5

    await projector.apply(records(*history(OTHER, 40), first=at + 11))

    assert (await store.account())["ignored project_deleted"] >= 3
    for table in TABLES:
        assert await store.rows(table) == kept[table], table


async def test_each_projection_ignores_what_comes_later_and_asks_for_another_pruning(projector, pool, store) -> None:
    await projector.apply(records(*history(OTHER, 20)))
    stored, text = PayloadsProjection(pool), TextProjection(pool)
    given = [record(0, payloads(OTHER, 20), topic=PAYLOADS.name), record(1, TOMBSTONE, topic=PAYLOADS.name)]
    await stored.apply(PAYLOADS.name, 0, given, 0)
    await text.apply(PAYLOADS.name, 0, given, 0)
    assert [row["tombstones"] for row in await store.rows("app.deleted_projects")] == [2]

    await stored.apply(PAYLOADS.name, 0, [record(2, payloads(OTHER, 21), topic=PAYLOADS.name)], 2)
    await text.apply(PAYLOADS.name, 0, [record(2, payloads(OTHER, 21), topic=PAYLOADS.name)], 2)
    await ProjectDeletions(pool, KeptLog()).run_once()

    for table in TABLES:
        assert await store.rows(table) == [], table
    assert (await store.account("payloads"))["ignored project_deleted"] == 2
    assert (await store.account("text"))["ignored project_deleted"] == 2


def identity_record(offset: int, event: object) -> LogRecord:
    value = event if isinstance(event, bytes) else encode(event)
    return LogRecord(topic=IDENTITY.name, partition=0, offset=offset, key=b"k", value=value, headers=(), timestamp_ms=1)


async def test_the_deletion_by_an_owner_becomes_a_tombstone_in_every_partition_once(pool, store) -> None:
    log = KeptLog()
    projection = ProjectsProjection(pool, log)
    deleted = ProjectDeletedByOwner(event_id="e" * 32, at_us=BASE_US, project_id=OTHER, user_id="ann")
    created = ProjectCreated(event_id="f" * 32, at_us=BASE_US, project_id=OTHER, name="p", user_id="ann")

    assert (
        await projection.apply(
            IDENTITY.name, 0, [identity_record(0, created), identity_record(1, deleted), identity_record(2, b"nonsense")], 0
        )
        == 3
    )
    assert await projection.apply(IDENTITY.name, 0, [identity_record(3, deleted)], 3) == 4

    places = {(one.topic.name, partition_of(one.key, one.topic.partitions)) for one in log.records}
    assert places == {(topic.name, number) for topic in (STEPS, PAYLOADS) for number in range(topic.partitions)}
    assert len(log.records) == len(places)
    assert {decode_batch(one.value).batch.events[0] for one in log.records} == {
        ProjectTombstone(event_id="e" * 32, seq=0, at_us=BASE_US, by="ann")
    }
    assert await store.account("projects") == {"projected": 2, "dead": 1, "ignored not_a_setting": 1}
    assert (await projection.stored(IDENTITY.name, [0]))[0].next_offset == 4


async def test_the_later_setting_of_a_project_counts(pool, store) -> None:
    projection = ProjectsProjection(pool, KeptLog())
    changes = [
        ProjectUpdated(event_id="1" * 32, at_us=BASE_US + at, project_id=OTHER, name="p", retention_days=days)
        for at, days in ((2, 7), (1, 3), (5, None))
    ]
    for offset, change in enumerate(changes[:2]):
        await projection.apply(IDENTITY.name, 0, [identity_record(offset, change)], offset)
    assert [row["retention_days"] for row in await store.rows("app.project_settings")] == [7]

    await projection.apply(IDENTITY.name, 0, [identity_record(2, changes[2])], 2)
    assert [row["retention_days"] for row in await store.rows("app.project_settings")] == [None]


async def test_the_private_views_of_somebody_who_left_are_deleted_and_shared_ones_stay(pool, store) -> None:
    for project in (PROJECT, OTHER):
        await configured.configure(store.connection, project)
    projection = ProjectsProjection(pool, KeptLog())
    changes = [
        AccessChanged(event_id="1" * 32, at_us=4, project_id=OTHER, user_id="ann"),  # before the view of a later membership
        AccessChanged(event_id="2" * 32, at_us=9, project_id=OTHER, user_id="ann", role=Role.VIEWER),
        AccessChanged(event_id="3" * 32, at_us=9, project_id=OTHER, user_id="bob"),
    ]
    for offset, change in enumerate(changes):
        await projection.apply(IDENTITY.name, 0, [identity_record(offset, change)], offset)
    assert len(await store.rows("app.saved_views")) == 4

    left = AccessChanged(event_id="4" * 32, at_us=9, project_id=OTHER, user_id="ann")
    await projection.apply(IDENTITY.name, 0, [identity_record(3, left)], 3)

    assert sorted((row["project_id"], row["visibility"]) for row in await store.rows("app.saved_views")) == [
        (PROJECT, "private"), (PROJECT, "shared"), (OTHER, "shared"),
    ]  # fmt: skip


@pytest.mark.parametrize("topic", [STEPS, PAYLOADS], ids=lambda topic: topic.name)
def test_a_tombstone_names_its_project_in_its_key(topic) -> None:
    for one in tombstones(OTHER, DELETED, [topic]):
        assert one.key.startswith(f"{OTHER}:@".encode())
        assert msgspec.json.decode(one.value)["project_id"] == OTHER
