"""A log record and its span meet at two replicas of intake (ADR 0037)."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from redis.exceptions import RedisError
from tests.reference import NOW_US, PROJECT, map_one

from ams_contracts.documents import Slot
from ams_contracts.events import PayloadStored, StepRecorded
from ams_kit.auth import open_redis
from ams_kit.testing.serving import serving
from ams_kit.testing.valkey import ValkeyServer
from ams_trace_ingest.intake import log_joiner
from ams_trace_ingest.intake.log_exchange import STREAM, LogExchange
from ams_trace_ingest.intake.log_joiner import Additions, LogJoiner, LogNews
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.span_model import LogRecord
from ams_trace_ingest.settings import IntakeSettings

TASK, STEP = "1" * 32, "2" * 16
DETAILS = "gen_ai.client.inference.operation.details"
ASKED = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Why?"}]}]}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.response.id": "r1"}
EVALUATION = LogRecord(
    "", "", NOW_US * 1000, "gen_ai.evaluation.result", None, {"gen_ai.evaluation.name": "Relevance", "gen_ai.response.id": "r1"}
)
WAIT_SECONDS = 30


@pytest.fixture
def settings(settings: IntakeSettings, redis_url: str) -> IntakeSettings:
    return msgspec.structs.replace(settings, redis_url=redis_url)


def asked(text: str = "Why?") -> LogRecord:
    said = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": text}]}]}
    return LogRecord(TASK, STEP, NOW_US * 1000, DETAILS, None, said)


def send_logs(joiner: LogJoiner, *records: LogRecord) -> Additions:
    return joiner.add_logs(PROJECT, records, received_at_us=NOW_US).additions


def send_spans(joiner: LogJoiner, *items: MappedSpan) -> Additions:
    return joiner.add_spans(PROJECT, items, received_at_us=NOW_US)


def deliver(news: Iterable[LogNews], *to: LogJoiner) -> list[Additions]:
    return [joiner.receive(one, received_at_us=NOW_US) for one in news for joiner in to]


def documents(additions: Iterable[Additions]) -> list[str | None]:
    return [event.step.preview_input for one in additions for _, event in one.steps if isinstance(event, StepRecorded)]


@pytest.mark.parametrize("span_first", [True, False])
def test_the_replica_with_the_span_completes_the_step_once(span_first: bool) -> None:
    one, other = LogJoiner(), LogJoiner()
    found: list[Additions] = []
    if span_first:
        found.append(send_spans(one, map_one(CHAT)))
    found.append(send_logs(other, asked()))
    found += deliver(other.take_news(10), one)
    if not span_first:
        found.append(send_spans(one, map_one(CHAT)))

    assert documents(found) == ["Why?"]
    deliver(one.take_news(10), other)
    assert (len(one._waiting), len(other._waiting)) == (0, 0)
    assert other.take_news(10) == []


def test_two_replicas_that_have_the_span_agree_on_the_document() -> None:
    one, other = LogJoiner(), LogJoiner()
    send_spans(one, map_one(CHAT))
    send_spans(other, map_one(CHAT))

    here = send_logs(one, asked())
    (there,) = deliver(one.take_news(10), other)

    assert here.steps == there.steps
    assert other.take_news(10) == []


def test_an_evaluation_finds_its_response_at_another_replica() -> None:
    one, other = LogJoiner(), LogJoiner()
    send_spans(one, map_one(CHAT))
    send_logs(other, EVALUATION)

    (additions,) = deliver(other.take_news(10), one)

    ((task_id, payload),) = additions.payloads
    assert isinstance(payload, PayloadStored)
    assert (task_id, payload.step_id, payload.slot) == (TASK, STEP, Slot.LOGS)
    deliver(one.take_news(10), other)
    assert len(other._waiting_for_response) == 0


def test_a_project_that_sends_a_lot_pushes_out_its_own_records_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_joiner, "WAITING_MAX", 100)
    joiner, few = LogJoiner(), "01900000-0000-7000-8000-000000000002"
    joiner.add_logs(few, [asked()], received_at_us=NOW_US)
    for number in range(200):
        send_logs(joiner, msgspec.structs.replace(asked(), span_id=f"{number + 1:016x}"))

    assert len(joiner._waiting) == 100
    assert documents([joiner.add_spans(few, [map_one(CHAT)], received_at_us=NOW_US)]) == ["Why?"]


def test_what_cannot_be_sent_is_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_joiner, "NEWS_MAX", 3)
    joiner = LogJoiner()
    send_logs(joiner, asked(), asked())
    news = joiner.take_news(10)
    for number in range(5):
        send_logs(joiner, msgspec.structs.replace(asked(), span_id=f"{number + 1:016x}"))

    joiner.return_news(news)

    assert next(one.step_id for one in joiner.take_news(10)) == STEP
    assert joiner.take_news(10) == []


async def test_a_replica_that_starts_later_knows_what_waits_and_redis_may_be_down_for_a_while() -> None:
    valkey = ValkeyServer()
    valkey.start()
    redis = open_redis(valkey.url)
    published: list[Additions] = []
    unavailable = True

    async def publish(project_id: str, additions: Additions) -> None:
        if unavailable:
            raise TimeoutError
        published.append(additions)

    try:
        first, later = LogJoiner(), LogJoiner()
        send_logs(first, asked())
        await LogExchange(redis, first, publish).send()
        await redis.xadd(STREAM, {"from": "a later version", "news": "{}"})
        exchange = LogExchange(redis, later, publish)
        await exchange.receive()
        assert documents([send_spans(later, map_one(CHAT))]) == ["Why?"]

        send_spans(first, map_one({**CHAT, "gen_ai.response.id": "r2"}, span_id="3" * 16))
        send_logs(later, msgspec.structs.replace(asked("And now?"), span_id="3" * 16))
        valkey.freeze()
        with pytest.raises(RedisError):
            await exchange.send()
        valkey.resume()
        await exchange.send()
        to_first = LogExchange(redis, first, publish)
        with pytest.raises(TimeoutError):  # the log is unavailable: what is completed is published by the next attempt
            await to_first.receive()
        unavailable = False
        await to_first.receive()
    finally:
        await redis.aclose()
        valkey.remove()

    assert documents(published) == ["And now?"]


@pytest.mark.parametrize("span_first", [True, False])
async def test_a_record_and_its_span_at_two_processes_are_one_step(
    span_first: bool, client: httpx.AsyncClient, another_app: Litestar, steps_of_project: Callable[[], Any]
) -> None:
    began_us = time.time_ns()
    span = {
        "traceId": TASK, "spanId": STEP, "name": "chat gpt-4o", "startTimeUnixNano": str(began_us), "endTimeUnixNano": str(began_us + 10**9),
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}],
    }  # fmt: skip
    said = {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(ASKED["gen_ai.input.messages"])}}
    record = {"traceId": TASK, "spanId": STEP, "eventName": DETAILS, "timeUnixNano": str(began_us), "attributes": [said]}
    with serving(another_app) as url:
        async with httpx.AsyncClient(base_url=url, headers=client.headers, timeout=30) as other:
            posts = [
                (client, "/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}),
                (other, "/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}),
            ]
            for replica, path, body in posts if span_first else reversed(posts):
                assert (await replica.post(path, json=body)).status_code == 200
            deadline = time.monotonic() + WAIT_SECONDS
            steps: list[StepRecorded] = []
            while "Why?" not in [event.step.preview_input for event in steps] and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                steps = await steps_of_project()

    assert [event.step.preview_input for event in sorted(steps, key=lambda event: event.at_us)] == [None, "Why?"]
