"""Retention: what is older than the cut is deleted, nothing younger is touched, and late events bring nothing back."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from tests.builders import BASE_US, batch, beat, document, llm, logged, record, recorded, step_id, task_id

from ams_contracts.documents import Slot
from ams_contracts.events import AgentRegistered, Batch, PayloadStored
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_trace_ingest.projector import retention as module
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.retention import Retention, RetentionTooLongError, check_days, next_cuts
from ams_trace_ingest.projector.text import TextProjection
from ams_trace_ingest.repeated_calls import RESPONSE_STEPS_MAX
from ams_trace_ingest.store.retention import Cuts

OTHER = "01900000-0000-7000-8000-000000000002"
DAY_MS = 86_400_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = 7


class KeptLog:
    """Keeps the port's promise: what it is given is there afterwards, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def publish(self, records, *, timeout_seconds: float = 4) -> list[object]:
        self.records.extend(records)
        return []


class Days:
    """A platform whose clock is moved day by day."""

    def __init__(self, pool: asyncpg.Pool, days: int = KEPT) -> None:
        self.log = KeptLog()
        self.number = 0
        self.pool = pool
        self.steps = StepsProjection(pool)
        self.payloads = PayloadsProjection(pool)
        self.text = TextProjection(pool)
        self.at = {STEPS.name: 0, PAYLOADS.name: 0}
        self.days = days

    @property
    def now(self) -> datetime:
        return FIRST + timedelta(self.number, minutes=5)

    @property
    def today(self) -> date:
        return self.now.date()

    def retention(self) -> Retention:
        async def log_retention_ms() -> int:
            return 30 * DAY_MS

        return Retention(self.pool, self.log, days=self.days, log_retention_ms=log_retention_ms, now=lambda: self.now)

    async def apply(self, *values: Batch | bytes, topic: str = STEPS.name) -> None:
        timestamp_ms = int(self.now.timestamp() * 1_000)
        given = [record(self.at[topic] + n, value, topic=topic, timestamp_ms=timestamp_ms) for n, value in enumerate(values)]
        projection = self.steps if topic == STEPS.name else self.payloads
        for one in (projection, self.text):
            assert await one.apply(topic, 0, given, self.at[topic]) == self.at[topic] + len(given)
        self.at[topic] += len(given)


@pytest.fixture
def days(pool: asyncpg.Pool) -> Days:
    return Days(pool)


def payload(step: int, text: str) -> PayloadStored:
    return PayloadStored(event_id=f"{step:032x}", seq=0, at_us=BASE_US, step_id=step_id(step), slot=Slot.INPUT, text=text, bytes=len(text))


async def make_partitions(store, day: date) -> None:
    await store.connection.execute("SELECT g1.ensure_partitions($1, $1)", day)


async def a_day(days: Days, task: int, project: str, **changes) -> None:
    """Something of everything that a day leaves in the tables."""
    at_us = int(days.now.timestamp()) * 1_000_000
    call = llm(10, parent_step_id=task * 10 + 1, agent=f"agent {task}", response_id=f"r{task}", **changes)
    registered = AgentRegistered(event_id=f"{task:032x}", seq=0, at_us=at_us, name=f"agent {task}")
    unreadable = b'{"v":1,"project_id":"%b","task_id":"%b","producer":{"sdk":"x","instance_id":"x"},"events":[{}]}'
    await days.apply(
        batch(task, recorded(task * 10 + 1, document(name="root"), at_us=at_us, event_id=f"a{task:031x}"), project=project),
        batch(task, recorded(task * 10 + 2, call, at_us=at_us, event_id=f"b{task:031x}"), project=project),
        batch(task, logged(task * 10 + 1, "a line of a day", seq=0, at_us=at_us), project=project),
        batch(None, registered, project=project),
        unreadable % (project.encode(), task_id(task).encode()),
    )
    await days.apply(batch(task, payload(task * 10 + 2, "words of a day"), project=project), topic=PAYLOADS.name)


async def test_tables_stay_bounded_over_forty_days_and_nothing_younger_is_touched(days: Days, store) -> None:
    sizes: list[dict[str, int]] = []
    tables = (
        "task_days",
        "tasks",
        "steps",
        "step_payloads",
        "step_text",
        "response_claims",
        "agents",
        "dead_letters",
        "task_producers",
        "step_logs",
        "step_log_counts",
    )
    for number in range(40):
        days.number = number
        if number % 2:  # the rows of the other days lie in the default partitions
            await make_partitions(store, days.today)
        await a_day(days, number + 1, OTHER if number % 3 else "01900000-0000-7000-8000-000000000001", started_at_us=BASE_US + number)

        assert await days.retention().run_once()

        sizes.append({table: await store.connection.fetchval(f"SELECT count(*) FROM g1.{table}") for table in tables})
        kept = [row[0] for row in await store.connection.fetch("SELECT day FROM g1.tasks ORDER BY day")]
        assert kept == [(FIRST + timedelta(n)).date() for n in range(max(0, number - KEPT), number + 1)]
    assert sizes[-1] | {"task_days": 0} == sizes[KEPT] | {"task_days": 0}
    assert sizes[-1]["task_days"] == 40  # 7 + 30 days, and two of grace, are remembered
    assert sizes[-1]["steps"] == 2 * (KEPT + 1)
    assert sizes[-1]["dead_letters"] == KEPT + 1
    left = await store.connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'g1'::regnamespace AND relname ~ '^step.*_2026(0[12])[0-9]{2}$'"
    )
    assert {row[0][-8:] for row in left} == {f"{FIRST + timedelta(n):%Y%m%d}" for n in range(33, 40, 2)}
    tombstones = [one.key for one in days.log.records if one.value is None]
    assert len(tombstones) == 40 - KEPT - 1
    for day in {row[0][-8:] for row in left}:
        for table in ("steps", "step_payloads", "step_text"):
            await store.connection.execute(f"DROP TABLE g1.{table}_{day}")


async def test_task_days_are_forgotten_when_no_record_can_be_left(days: Days, store) -> None:
    await a_day(days, 1, OTHER)
    days.number = 38
    await days.retention().run_once()
    assert [row["pruned"] for row in await store.rows("task_days")] == [True]
    await days.apply(batch(1, recorded(99, document()), project=OTHER))  # late

    days.number = 40
    await days.retention().run_once()
    assert [row["late_day"] for row in await store.rows("task_days")] == [(FIRST + timedelta(38)).date()]

    days.number = 38 + 33
    await days.retention().run_once()
    assert await store.rows("task_days") == []


async def test_late_events_of_a_pruned_task_are_ignored_and_counted(days: Days, store) -> None:
    await a_day(days, 1, OTHER)
    days.number = KEPT + 1
    await days.retention().run_once()

    await days.apply(
        batch(1, recorded(99, document()), recorded(98, document()), project=OTHER), batch(2, recorded(97, document()), project=OTHER)
    )
    await days.apply(batch(1, payload(99, "late"), project=OTHER), topic=PAYLOADS.name)

    assert [row["task_id"] for row in await store.rows("tasks")] == [task_id(2)]
    assert [row["step_id"] for row in await store.rows("steps")] == [step_id(97)]
    assert await store.rows("step_payloads") == []
    assert (await store.account())["ignored expired"] == 2
    assert (await store.account("payloads"))["ignored expired"] == 1
    assert sum((await store.account()).values()) == 5 + 3


async def test_an_open_task_that_the_projector_remembers_is_pruned_too(days: Days, store) -> None:
    await days.apply(batch(1, beat(1, seq=1, at_us=BASE_US), project=OTHER))
    days.number = KEPT + 1
    await days.retention().run_once()

    await days.apply(batch(1, beat(1, seq=2, at_us=BASE_US + 5), project=OTHER))

    assert (await store.rows("tasks"), await store.rows("steps")) == ([], [])
    assert (await store.account())["ignored expired"] == 1


async def test_a_project_that_keeps_less_loses_its_own_tasks_alone(days: Days, store) -> None:
    await make_partitions(store, days.today)
    await a_day(days, 1, OTHER)
    await a_day(days, 2, "01900000-0000-7000-8000-000000000001")
    await store.connection.execute("INSERT INTO app.project_settings VALUES ($1, 1, 1)", OTHER)
    days.number = 2

    await days.retention().run_once()

    for table in ("tasks", "steps", "step_payloads", "step_text", "response_claims", "agents", "dead_letters"):
        assert {row["project_id"] for row in await store.rows(table)} == {"01900000-0000-7000-8000-000000000001"}, table
    assert len(await store.rows("steps")) == 2
    await store.connection.execute("DROP TABLE g1.steps_20260101, g1.step_payloads_20260101, g1.step_text_20260101")


async def test_a_view_of_a_call_counts_when_the_first_one_is_pruned(days: Days, store) -> None:
    first = llm(100, response_id="r", model="m", started_at_us=BASE_US, ended_at_us=BASE_US + 50)
    second = llm(100, response_id="r", model="m", started_at_us=BASE_US + 10, ended_at_us=BASE_US + 40)
    await days.apply(batch(1, recorded(2, first)))
    days.number = 1
    await days.apply(batch(3, recorded(4, second)))
    assert (await store.task(task_id(3)))["input_tokens"] == 0
    days.number = KEPT + 1

    await days.retention().run_once()

    assert (await store.task(task_id(3)))["input_tokens"] == 100
    assert (await store.step(step_id(4)))["usage_shadowed"] is False


async def test_claims_beyond_the_limit_of_r3_are_pruned_with_their_tasks(days: Days, store) -> None:
    doc = llm(10, response_id="r", model="m")
    await days.apply(batch(1, *(recorded(100 + n, doc) for n in range(RESPONSE_STEPS_MAX))))
    days.number = 1
    await days.apply(batch(2, *(recorded(20 + n, doc) for n in range(2))))
    assert (await store.task(task_id(2)))["input_tokens"] == 20
    days.number = KEPT + 1

    await days.retention().run_once()

    assert [(row["task_id"], row["input_tokens"]) for row in await store.rows("tasks")] == [(task_id(2), 10)]  # R3 applies again
    days.number = KEPT + 2
    await days.retention().run_once()
    assert await store.rows("response_claims_overflow") == []
    assert await store.rows("response_claims") == []


async def test_a_run_that_was_interrupted_goes_on_and_one_that_is_done_is_not_repeated(days: Days, store, monkeypatch) -> None:
    for task in range(1, 8):
        await days.apply(batch(task, recorded(task, document()), project=OTHER))
    days.number = KEPT + 1
    monkeypatch.setattr(module, "TASKS_MAX", 2)
    publish, calls = days.log.publish, []

    async def fail_once(records, **options) -> list[object]:
        calls.append(len(records))
        if len(calls) == 2:
            raise ConnectionError
        return await publish(records, **options)

    days.log.publish = fail_once
    with pytest.raises(ConnectionError):
        await days.retention().run_once()
    run = await store.connection.fetchrow("SELECT finished_at, counts FROM public.retention_runs")
    assert run["finished_at"] is None

    assert await days.retention().run_once()
    assert await days.retention().run_once() is False

    assert await store.rows("tasks") == []
    assert len(days.log.records) == 7
    assert await store.connection.fetchval("SELECT tasks_pruned FROM public.retention WHERE project_id = ''") == 7
    assert await store.connection.fetchval("SELECT tasks_pruned FROM public.retention WHERE project_id = $1", OTHER) == 7


async def test_of_two_processes_one_prunes(days: Days, traces_url: str) -> None:
    other = await asyncpg.connect(f"{traces_url}?role=ams_writer")
    try:
        await other.execute("SELECT pg_advisory_lock($1)", module.ADVISORY_LOCK)
        assert await days.retention().run_once() is False
    finally:
        await other.close()
    assert await days.retention().run_once() is True


async def test_the_writer_drops_no_partition_that_is_kept(days: Days, store, traces_url: str) -> None:
    await make_partitions(store, days.today)
    writer = await asyncpg.connect(f"{traces_url}?role=ams_writer")
    try:
        assert await writer.fetchval("SELECT g1.drop_partitions('2030-01-01', 100)") == 0  # before the first run everything is kept
        await days.retention().run_once()
        assert await writer.fetchval("SELECT g1.drop_partitions('2030-01-01', 100)") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute("DROP TABLE g1.steps_20260101")
    finally:
        await writer.close()
    await store.connection.execute("DROP TABLE g1.steps_20260101, g1.step_payloads_20260101, g1.step_text_20260101")


def test_a_cut_never_goes_back_and_no_project_keeps_more_than_the_platform() -> None:
    today = date(2026, 5, 10)
    known = Cuts(date(2026, 4, 1), {OTHER: date(2026, 5, 1)})

    cuts = next_cuts(today, 30, {"p": 7, "q": 90}, known)

    assert cuts == {
        "": (30, date(2026, 4, 10)),
        "p": (7, date(2026, 5, 3)),
        "q": (30, date(2026, 4, 10)),
        OTHER: (30, date(2026, 4, 10)),
    }
    assert Cuts(date(2026, 4, 10), {"p": date(2026, 4, 1)}).of("p") == date(2026, 4, 10)


def test_tables_that_keep_more_than_the_log_are_refused() -> None:
    assert check_days(30, 30 * DAY_MS) == 30
    assert check_days(400, None) == module.LOG_DAYS_MAX
    with pytest.raises(RetentionTooLongError, match="AMS_RETENTION_DAYS is 31, but the log keeps records for 30 days"):
        check_days(31, 30 * DAY_MS)
