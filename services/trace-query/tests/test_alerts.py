"""Alerts: when rules raise and end them, that each window has one, and what the list shows."""

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import delete, select
from tests.conditions import until

from ams_contracts.alerts import AlertEvent
from ams_contracts.platform_tables import alert_due
from ams_contracts.topics import ALERTS
from ams_kit.bus import Consumer, LogRecord, create_topics
from ams_trace_query.alerts.decisions import decide
from ams_trace_query.alerts.evaluator import Evaluator, next_at_us
from ams_trace_query.alerts.preview import would_raise
from ams_trace_query.alerts.projection import AlertProjection
from ams_trace_query.alerts.publisher import Publisher
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.database import Database

SECOND = 1_000_000
NOW = int(datetime(2026, 6, 21, 12, tzinfo=UTC).timestamp()) * SECOND
RULE = {"name": "Failures", "q": "", "measure": "count", "threshold": 2, "window_seconds": 300}
PATIENCE_SECONDS = 200  # a process starts in seconds, on a busy machine in minutes
CHILD = Path(__file__).parent / "alerting_child.py"


class SavedLog:
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    async def publish(self, records) -> list:
        for record in records:
            place = {"topic": record.topic.name, "partition": 0, "offset": len(self.records), "timestamp_ms": 1}
            self.records.append(LogRecord(key=record.key, value=record.value, headers=(), **place))
        return []


class Alerting:
    """The parts of alerting with a clock that the test moves, without a broker."""

    def __init__(self, database: Database) -> None:
        self.now_us = NOW
        self.log = SavedLog()
        self.evaluator = Evaluator(database, Sealer("a key of tests"), now_us=lambda: self.now_us, search_seconds_max=5)
        self.publisher = Publisher(database, self.log, now_us=lambda: self.now_us)  # type: ignore[arg-type]  # publish alone is called
        self.projection = AlertProjection(database)
        self._topic = os.urandom(8).hex()

    async def step(self, seconds: int = 0) -> None:
        """Move the clock, and do what is due."""
        self.now_us += seconds * SECOND
        await self.evaluator.run_once()
        while await self.publisher.run_once():
            pass
        stored = await self.projection.stored(self._topic, [0])
        expected = stored[0].next_offset if stored else 0
        if self.log.records[expected:]:
            await self.projection.apply(self._topic, 0, self.log.records[expected:], expected)

    def events(self, project_id: str) -> list:
        events = [msgspec.json.decode(record.value, type=AlertEvent) for record in self.log.records]
        return [event for event in events if event.project_id == project_id]


@pytest.fixture
async def database(traces_url: str):
    opened = await Database.open(f"{traces_url}?role=ams_reader", connections_max=4, statement_timeout_ms=10_000)
    async with opened.everywhere() as reader:
        others = {row["project_id"] for row in await reader.rows(select(alert_due.c.project_id).limit(1_000))}
    for project_id in others:  # what other tests left is not evaluated here
        async with opened.write(project_id) as writer:
            await writer.change(delete(alert_due).where(alert_due.c.project_id == project_id))
    yield opened
    await opened.close()


@pytest.fixture
def alerting(database) -> Alerting:
    return Alerting(database)


@pytest.fixture
def person(http, store, project_of):
    return lambda user: project_of(http, store.project_id, user)


async def a_rule(person, **changes) -> str:
    response = await person.send("POST", "alert-rules", {**RULE, **changes})
    assert response.status_code == 201, response.text
    return response.json()["rule"]["rule_id"]


async def ended(store, at_s: int, **values) -> str:
    """A task that ended so many seconds before ``NOW``, ten seconds after its start."""
    end = NOW - at_s * SECOND
    return await store.task(**{"started_at_us": end - 10 * SECOND, "ended_at_us": end, "duration_us": 10 * SECOND, **values})


def test_a_window_has_at_most_one_alert() -> None:
    for value, is_open, start, last, expected in (
        (5.0, False, 0, None, "raise"),
        (4.9, False, 0, None, None),
        (None, False, 0, None, None),
        (5.0, True, 0, None, None),
        (4.0, True, 0, None, "resolve"),
        (None, True, 0, None, "resolve"),
        (9.0, False, 99, 100, None),
        (9.0, False, 100, 100, "raise"),
    ):
        assert decide(value, 5.0, is_open=is_open, window_start_us=start, last_window_end_us=last) == expected


def test_rules_are_due_once_a_minute_at_different_seconds() -> None:
    phases = {next_at_us(f"rule {number}", NOW) % (60 * SECOND) for number in range(50)}

    assert len(phases) > 20
    assert all(NOW < next_at_us(f"rule {number}", NOW) <= NOW + 60 * SECOND for number in range(50))


async def test_an_alert_is_raised_with_its_tasks_shown_acknowledged_and_ends(alerting, person, store) -> None:
    mia = person("mia")
    rule_id = await a_rule(mia, name="Two failures", q="status:error")
    failed = {await ended(store, 30, status="error") for _ in range(2)}
    await ended(store, 30)

    await alerting.step()

    alert = (await mia.get("alerts"))["items"][0]
    assert (alert["rule_id"], alert["name"], alert["measure"], alert["value"], set(alert["task_ids"])) == (
        *(rule_id, "Two failures", "count", 2.0, failed),
    )
    assert (alert["window_end_us"], alert["window_start_us"]) == (NOW, NOW - 300 * SECOND)
    assert (await mia.get(f"alert-rules/{rule_id}"))["alert_id"] == alert["alert_id"]
    acknowledged = (await mia.send("POST", f"alerts/{alert['alert_id']}/acknowledge")).json()
    again = (await person("max").send("POST", f"alerts/{alert['alert_id']}/acknowledge")).json()
    assert (acknowledged["acknowledged_by"], again["acknowledged_by"]) == ("mia", "max")  # the second event changes nothing, see below
    for _ in range(6):
        await alerting.step(60)
    (closed,) = (await mia.get("alerts", state="resolved"))["items"]
    assert (closed["resolved_reason"], closed["acknowledged_by"]) == ("recovered", "mia")
    assert [type(event).__name__ for event in alerting.events(store.project_id)] == [
        *("AlertRaised", "AlertAcknowledged", "AlertAcknowledged", "AlertResolved"),
    ]
    assert (await mia.get("alerts", state="open"))["items"] == []


@pytest.mark.parametrize(
    "case",
    [
        ("count", 4, 4.0),
        ("error_rate", 0.25, 0.25),
        ("p95_duration", 9, 10.0),
        ("cost", 0.5, 0.6),
        ("waiting", 60, 240.0),
        ("lost", 60, 120.0),
    ],
)
async def test_every_measure_is_measured_over_the_window(alerting, person, store, case) -> None:
    (measure, threshold, value), mia = case, person("mia")
    rule_id = await a_rule(mia, measure=measure, threshold=threshold, window_seconds=600, q="agent:planner")
    await ended(store, 60, agent="planner", status="error", cost_nusd=200_000_000, priced_steps=1)
    await ended(store, 590, agent="planner", started_at_us=NOW - 3_600 * SECOND, cost_nusd=400_000_000, priced_steps=1)  # a long task
    for at_s in (120, 180):
        await ended(store, at_s, agent="planner")
    await ended(store, 601, agent="planner", status="error", cost_nusd=9_000_000_000, priced_steps=1)  # before the window
    await ended(store, 60, agent="other", status="error", cost_nusd=9_000_000_000)
    if measure in {"waiting", "lost"}:
        for silent_s in (60, value):
            last = NOW - int(silent_s) * SECOND
            await store.task(agent="planner", status=measure, started_at_us=NOW - 500 * SECOND, last_event_at_us=last)

    await alerting.step()

    assert (await mia.get(f"alert-rules/{rule_id}"))["value"] == pytest.approx(value)
    (alert,) = (await mia.get("alerts", rule_id=rule_id))["items"]
    assert alert["value"] == pytest.approx(value)
    assert alert["task_ids"]


async def test_a_rule_that_was_changed_paused_or_deleted_ends_its_alert(alerting, person, store) -> None:
    mia = person("mia")
    for _ in range(2):
        await ended(store, 30)
    rule_ids = [await a_rule(mia, name=f"r{number}") for number in range(3)]
    await alerting.step()

    await mia.send("PUT", f"alert-rules/{rule_ids[0]}", {**RULE, "name": "r0", "threshold": 9})
    await mia.send("PUT", f"alert-rules/{rule_ids[1]}", {**RULE, "name": "r1", "enabled": False})
    await mia.send("DELETE", f"alert-rules/{rule_ids[2]}")
    await alerting.step(1)

    reasons = {alert["rule_id"]: alert["resolved_reason"] for alert in (await mia.get("alerts"))["items"]}
    assert [reasons[rule_id] for rule_id in rule_ids] == ["rule_changed", "rule_paused", "rule_deleted"]
    await alerting.step(400)
    assert len(alerting.events(store.project_id)) == 6


async def test_a_query_that_cannot_be_evaluated_says_so_and_decides_nothing(alerting, person, store) -> None:
    mia = person("mia")
    rule_id = await a_rule(mia)
    for _ in range(2):
        await ended(store, 30)
    await alerting.step()
    await store.execute("UPDATE app.alert_rules SET q = 'nosuchfield:x' WHERE project_id = $1", store.project_id)

    await alerting.step(60)

    rule = await mia.get(f"alert-rules/{rule_id}")
    assert rule["alert_id"] is not None
    assert rule["problem"]


async def test_a_rule_that_cannot_be_measured_stops_no_other_one(alerting, person, store) -> None:
    mia = person("mia")
    rule_ids = [await a_rule(mia, name=status, q=f"status:{status}") for status in ("error", "ok")]
    for _ in range(2):
        await ended(store, 30, status="error", cost_nusd=2**62)  # their sum is out of range
        await ended(store, 30, status="ok")

    await alerting.step()

    failed, measured = [await mia.get(f"alert-rules/{rule_id}") for rule_id in rule_ids]
    assert (bool(failed["problem"]), failed["alert_id"]) == (True, None)
    assert (measured["problem"], measured["value"], measured["alert_id"] is not None) == (None, 2, True)


async def test_alerts_are_listed_in_pages_open_ones_first(alerting, person, store) -> None:
    mia = person("mia")
    for _ in range(2):
        await ended(store, 30)
    rule_ids = [await a_rule(mia, name=f"r{number}") for number in range(4)]
    await alerting.step()
    await mia.send("DELETE", f"alert-rules/{rule_ids[0]}")
    await alerting.step(1)

    shown, cursor = [], None
    while True:
        page = await mia.get("alerts", limit=1, **({"cursor": cursor} if cursor else {}))
        shown += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert [alert["resolved_at_us"] is None for alert in shown] == [True] * 3 + [False]
    assert {alert["rule_id"] for alert in shown} == set(rule_ids)
    for parameters, code in (({"state": "x"}, "bad_state"), ({"rule_id": "x"}, "alert_rule_not_found")):
        assert (await mia.problem("alerts", **parameters))["code"] == code
    assert (await mia.send("POST", f"alerts/{'b' * 32}/acknowledge")).json()["code"] == "alert_not_found"


async def test_reading_the_topic_again_gives_the_same_rows(alerting, person, store, database) -> None:
    mia = person("mia")
    await a_rule(mia)
    for _ in range(2):
        await ended(store, 30)
    for seconds in (0, 400, 10):
        await alerting.step(seconds)
    before = (await mia.get("alerts"))["items"]
    await store.execute("DELETE FROM app.alerts WHERE project_id = $1", store.project_id)

    again = AlertProjection(database)
    for number in range(2):  # the second time nothing changes
        await again.apply(f"{store.project_id}{number}", 0, alerting.log.records, 0)

    assert (await mia.get("alerts"))["items"] == before != []


async def test_what_arrives_after_the_end_of_a_project_is_ignored(alerting, person, store, traces_url) -> None:
    await a_rule(person("mia"))
    for _ in range(2):
        await ended(store, 30)
    await store.execute("INSERT INTO app.deleted_projects (project_id, deleted_by, at_us) VALUES ($1, 'olga', 1)", store.project_id)

    await alerting.step()

    connection = await asyncpg.connect(traces_url)
    assert await connection.fetchval("SELECT count(*) FROM app.alerts WHERE project_id = $1", store.project_id) == 0
    await connection.close()


async def test_the_preview_counts_what_would_have_been_raised(person, store) -> None:
    for hours in (1, 5, 20):
        for _ in range(2):
            await ended(store, hours * 3_600, status="error")
    await ended(store, 2 * 3_600, status="error")
    condition = {name: RULE[name] for name in ("measure", "threshold", "window_seconds")}

    preview = (await person("mia").send("POST", "alert-rules/preview", {**condition, "q": "status:error"})).json()
    none = (await person("mia").send("POST", "alert-rules/preview", {**condition, "q": "status:ok"})).json()
    waiting = (await person("mia").send("POST", "alert-rules/preview", {**condition, "measure": "waiting", "threshold": 60})).json()

    assert (preview["alerts"], preview["is_met"], preview["counted_back_to_us"]) == (3, False, None)
    assert preview["raised_at_us"] == sorted(preview["raised_at_us"], reverse=True)
    assert [NOW - at_us for at_us in preview["raised_at_us"]] == [pytest.approx(h * 3_600 * SECOND, abs=300 * SECOND) for h in (1, 5, 20)]
    assert (none["alerts"], waiting["alerts"]) == (0, None)
    assert (await person("mia").send("POST", "alert-rules/preview", {**condition, "threshold": 0})).json()["code"] == "invalid_threshold"


@pytest.mark.parametrize(("measure", "threshold"), [("count", 1), ("error_rate", 1), ("p95_duration", 1), ("cost", 1)])
def test_the_preview_knows_every_measure_of_ended_tasks(measure, threshold) -> None:
    task = {"at_us": NOW - 3_600 * SECOND, "ended_at_us": 1, "status": "error", "duration_us": 2 * SECOND, "cost_nusd": 2 * 10**9}

    assert len(would_raise([task], measure, threshold, 300 * SECOND, NOW)) == 1
    assert would_raise([], measure, threshold, 300 * SECOND, NOW) == []


@pytest.mark.timeout(900)
async def test_two_processes_that_are_killed_raise_one_alert_for_each_rule_and_window(
    make_query_app, store, project_of, traces_url, kafka_bootstrap
) -> None:
    rules = 24
    await create_topics(kafka_bootstrap, topics=[ALERTS])
    for _ in range(2):
        await ended(store, 30)
    async with AsyncTestClient(make_query_app()) as client:
        mia = project_of(client, store.project_id, "mia")
        webhook = {"format": "json", "url": "https://example.com/"}
        rule_ids = {await a_rule(mia, name=f"r{number}", webhook=webhook) for number in range(rules)}
    connection = await asyncpg.connect(traces_url)
    counted = "SELECT count(*) FROM app.alert_states WHERE project_id = $1 AND alert IS NOT NULL"

    async def raised() -> int:
        return await connection.fetchval(counted, store.project_id)

    async def child() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, str(CHILD), f"{traces_url}?role=ams_reader", kafka_bootstrap, str(NOW))

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        running = [await child(), await child()]

        @stack.callback
        def end() -> None:
            for process in running:
                if process.returncode is None:
                    process.kill()

        await until(lambda: _above(raised, 3), seconds=PATIENCE_SECONDS)
        running[0].kill()
        await until(lambda: _above(raised, 10), seconds=PATIENCE_SECONDS)
        running[1].kill()
        running += [await child(), await child()]
        await until(lambda: _above(raised, rules - 1), seconds=PATIENCE_SECONDS)
        waiting = "SELECT count(*) = 0 FROM app.alert_outbox WHERE project_id = $1"
        await until(lambda: connection.fetchval(waiting, store.project_id), seconds=PATIENCE_SECONDS)
        database = await Database.open(f"{traces_url}?role=ams_reader", connections_max=2, statement_timeout_ms=10_000)
        stack.push_async_callback(database.close)
        consumer = Consumer(kafka_bootstrap, f"alerts-{store.project_id}", ALERTS, AlertProjection(database), on_stalled=lambda: None)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        found = "SELECT rule_id FROM app.alerts WHERE project_id = $1"
        await until(lambda: _at_least(connection, found, store.project_id, rules), seconds=PATIENCE_SECONDS)

        assert sorted(row["rule_id"] for row in await connection.fetch(found, store.project_id)) == sorted(rule_ids)
        sent = await connection.fetch("SELECT rule_id FROM app.alert_deliveries WHERE project_id = $1", store.project_id)
        assert sorted(row["rule_id"] for row in sent) == sorted(rule_ids)


async def _above(count, number: int) -> bool:
    return await count() > number


async def _at_least(connection, statement: str, project_id: str, number: int) -> bool:
    return len(await connection.fetch(statement, project_id)) >= number
