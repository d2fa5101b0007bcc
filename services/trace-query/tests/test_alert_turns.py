"""Alert rules and webhooks of projects take turns: slow ones of a project delay no other one (ADR 0099)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import delete, select
from tests.conditions import until

from ams_contracts.alerts import AlertRaised, alert_id_of, event_id_of
from ams_contracts.platform_tables import alert_deliveries, alert_due, alert_rules, alert_states
from ams_kit.http.client_address import parse_networks
from ams_trace_query.alerts import queue
from ams_trace_query.alerts.deliverer import AT_ONCE_OF_PROJECT, Deliverer
from ams_trace_query.alerts.evaluator import Evaluator
from ams_trace_query.alerts.notices import notice_of
from ams_trace_query.alerts.sealing import Sealer, WebhookSecrets, new_signing_secret
from ams_trace_query.alerts.webhooks import WebhookSender
from ams_trace_query.database import Database

SECOND = 1_000_000
NOW = 1_000_000 * SECOND
SEALER = Sealer("a key of tests")


class Receiver:
    """Counts requests, and answers once it is released."""

    def __init__(self, *, is_released: bool) -> None:
        self.taken = 0
        self.released = asyncio.Event()
        self.url = ""
        if is_released:
            self.released.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.taken += 1
            await self.released.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver(*, is_released: bool) -> AsyncIterator[Receiver]:
    taking = Receiver(is_released=is_released)
    server = await asyncio.start_server(taking.serve, "127.0.0.1", 0)
    taking.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield taking
    finally:
        taking.released.set()
        server.close()


@pytest.fixture
async def database(traces_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(f"{traces_url}?role=ams_reader", connections_max=8, statement_timeout_ms=10_000)
    async with opened.everywhere() as reader:
        others = {row["project_id"] for row in await reader.rows(select(alert_due.c.project_id).limit(1_000))}
    for project_id in others:  # what other tests left takes no turn here
        async with opened.write(project_id) as writer:
            await writer.change(delete(alert_due).where(alert_due.c.project_id == project_id))
    yield opened
    await opened.close()


def new_id() -> str:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-8{text[17:20]}-{text[20:]}"


async def a_rule(database: Database, project_id: str, at_us: int, url: str | None = None) -> str:
    rule_id = new_id()
    sealed = None if url is None else SEALER.seal(WebhookSecrets(url=url, signing_secret=new_signing_secret()), project_id, rule_id)
    values = {
        "project_id": project_id, "rule_id": rule_id, "name": rule_id, "author_id": "mia", "updated_by": "mia", "created_at_us": 1, "updated_at_us": 1, "q": "", "measure": "count", "threshold": 10.0, "window_seconds": 60, "enabled": True,
        "webhook_format": None if url is None else "json", "webhook_host": None if url is None else "127.0.0.1", "webhook_sealed": sealed,
    }  # fmt: skip
    async with database.write(project_id) as writer:
        await writer.change(alert_rules.insert().values(**values))
        if url is None:
            await queue.put(writer, "rule", project_id, rule_id, at_us)
    return rule_id


async def some_notices(database: Database, project_id: str, url: str, count: int, at_us: int) -> None:
    rule_id = await a_rule(database, project_id, at_us, url)
    for number in range(count):
        alert_id = alert_id_of(rule_id, number)
        event = AlertRaised(
            event_id=event_id_of(alert_id, "raised"), at_us=at_us + number, project_id=project_id, rule_id=rule_id, alert_id=alert_id, name="r", measure="count",
            threshold=1.0, value=2.0, window_start_us=0, window_end_us=number,
        )  # fmt: skip
        async with database.write(project_id) as writer:
            await queue.send_later(writer, notice_of(event))


async def test_receivers_that_do_not_answer_hold_only_the_webhooks_of_their_project(database) -> None:
    slow, quick = new_id(), new_id()
    sender = WebhookSender("http://ams", parse_networks("127.0.0.0/8"))
    deliverer = Deliverer(database, sender, SEALER, now_us=lambda: NOW)
    async with receiver(is_released=False) as silent, receiver(is_released=True) as answering:
        await some_notices(database, slow, silent.url, 6, NOW - 100 * SECOND)  # these wait longer
        await some_notices(database, quick, answering.url, 5, NOW - SECOND)
        running = asyncio.create_task(deliverer.run_once())
        await until(lambda: answering.taken == 5 and silent.taken > 0)
        held = silent.taken
        silent.released.set()
        made = await running

    async with database.read(slow) as reader:
        states = [
            row["state"]
            for row in await reader.rows(select(alert_deliveries.c.state).where(alert_deliveries.c.project_id == slow).limit(10))
        ]
    await sender.close()
    assert 0 < held <= AT_ONCE_OF_PROJECT
    assert (made, silent.taken, states) == (11, 6, ["delivered"] * 6)


async def test_what_fails_in_one_attempt_ends_the_others_and_is_raised(database) -> None:
    class Unable(WebhookSender):
        async def send(self, *_: object) -> None:  # type: ignore[override]
            raise OSError("no descriptors")

    sender = Unable("http://ams", ())
    await some_notices(database, new_id(), "http://127.0.0.1/", 3, NOW)

    with pytest.raises(OSError, match="no descriptors"):
        await Deliverer(database, sender, SEALER, now_us=lambda: NOW + SECOND).run_once()
    await sender.close()


async def test_rules_of_a_project_delay_those_of_others_by_one(database) -> None:
    many, few = new_id(), new_id()
    clock = iter(range(NOW, NOW + 10_000))
    first = [await a_rule(database, many, NOW - (100 - number) * SECOND) for number in range(4)]
    last = await a_rule(database, few, NOW - SECOND)  # due after all of the others

    evaluated = await Evaluator(database, SEALER, now_us=lambda: next(clock), search_seconds_max=5).run_once()

    at_us: dict[str, int] = {}
    for project_id in (many, few):
        async with database.read(project_id) as reader:
            rows = await reader.rows(select(alert_states).where(alert_states.c.project_id == project_id).limit(10))
        at_us |= {row["rule_id"]: row["evaluated_at_us"] for row in rows}
    assert evaluated == 5
    assert at_us[last] < min(at_us[rule_id] for rule_id in first[1:])
    assert sorted(first, key=at_us.__getitem__) == first


async def test_the_queue_gives_turns_and_leaves_out_projects(database) -> None:
    one, two = sorted((new_id(), new_id()))
    for project_id, ids in ((one, "abc"), (two, "xy")):
        async with database.write(project_id) as writer:
            for number, id_ in enumerate(ids):
                await queue.put(writer, "rule", project_id, id_, NOW - 10 + number + (5 if project_id == two else 0))

    async def ids(**options) -> list[str]:
        return [id_ for _, id_, _ in await queue.due(database, "rule", NOW, **options)]

    assert await ids() == ["a", "x", "b", "y", "c"]
    assert await ids(of_project=1) == ["a", "x"]
    assert await ids(of_project=2, without=[one]) == ["x", "y"]
    assert await ids(limit=3) == ["a", "x", "b"]
