"""Traces and metrics of the services themselves: what arrives at a receiver, what never leaves, and that a receiver that fails costs nothing."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from litestar import Litestar, get
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from redis.asyncio import Redis
from structlog.testing import capture_logs
from tests.conditions import until
from tests.otlp_receiver import OtlpReceiver, attributes_of, otlp_receiver

from ams_kit.background import Background
from ams_kit.db import open_pool
from ams_kit.http.app import make_application
from ams_kit.otel_settings import OWN_HEADER, OtelSettings
from ams_kit.telemetry import tracing
from ams_kit.telemetry.otel import exporter as exporting
from ams_kit.telemetry.otel.exporter import Exporter
from ams_kit.telemetry.otel.own import OwnTelemetry
from ams_kit.telemetry.otel.registry_metrics import metrics_request
from ams_kit.testing.serving import free_port

PROCESS = Path(__file__).parent / "observed_process.py"
SECRET = "a-secret-that-stays"
FOREIGN = "00-11111111111111111111111111111111-2222222222222222-01"
PATIENCE_SECONDS = 90  # a process starts in seconds, on a busy machine in a minute


@pytest.fixture
def taking() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


def settings_for(receiver: OtlpReceiver, **changes) -> OtelSettings:
    values = {"endpoint": receiver.url, "headers": {"authorization": "Bearer of-the-receiver"}, "sample_ratio": 1.0}
    return OtelSettings(**{**values, "public_url": "http://ams.example.com", **changes})


@pytest.fixture
async def own(taking: OtlpReceiver) -> AsyncIterator[OwnTelemetry]:
    telemetry = OwnTelemetry("probe", settings_for(taking))
    tracing.activate(telemetry)
    yield telemetry
    tracing.activate(None)
    telemetry.close()
    await telemetry.exporter.close()


def traced_application(own: OwnTelemetry, *handlers) -> Litestar:
    app = make_application(title="Probe", openapi_path="/openapi", route_handlers=handlers, checks={}, background=Background())
    app.asgi_handler = own.traced(app.asgi_handler)
    return app


def client_of(app: Litestar, **options) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://probe", **options)  # type: ignore[arg-type]


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("ams_telemetry_dropped_total", {"signal": "spans", "reason": reason}) or 0


async def test_a_request_is_followed_to_another_service_and_no_value_of_it_leaves(own, taking) -> None:
    @get("/internal/keys/{key:str}", opt={"public": True})
    async def inside(key: str) -> str:
        raise ValueError(f"about {key}")

    called = client_of(traced_application(own, inside))
    tracing.watch_http(called)

    @get("/things/{name:str}", opt={"public": True})
    async def outside(name: str) -> int:
        return (await called.get(f"/internal/keys/{name}", params={"token": name})).status_code

    async with called, client_of(traced_application(own, outside)) as client:
        answer = await client.get(f"/things/{SECRET}", params={"q": SECRET}, headers={"traceparent": FOREIGN, "baggage": f"x={SECRET}"})
    await own.exporter.send_spans()

    assert answer.text == "500"
    by_name = {span.name: span for span in taking.spans()}
    assert set(by_name) == {"GET /things/{name}", "GET", "GET /internal/keys/{key}"}
    outer, call, inner = by_name["GET /things/{name}"], by_name["GET"], by_name["GET /internal/keys/{key}"]
    assert outer.parent_span_id == b""  # a stranger's trace context does not count
    assert (call.parent_span_id, inner.parent_span_id) == (outer.span_id, call.span_id)
    assert len({span.trace_id for span in by_name.values()}) == 1
    assert attributes_of(inner)["http.response.status_code"] == 500
    assert taking.services() == {"ams-probe"}
    assert SECRET.encode() not in b"".join(body for _, _, body in taking.requests)
    assert {headers["authorization"] for _, headers, _ in taking.requests} == {"Bearer of-the-receiver"}
    assert {headers[OWN_HEADER] for _, headers, _ in taking.requests} == {"http://ams.example.com"}


async def test_statements_and_commands_of_a_request_are_spans_without_their_values(own, taking, postgres_admin_url, redis_url) -> None:
    pool = await open_pool(postgres_admin_url, application="probe", size_max=1)
    redis = Redis.from_url(redis_url)

    @get("/things", opt={"public": True})
    async def things() -> int:
        await redis.set(f"ams-test:{SECRET}", SECRET, ex=1)
        async with pool.acquire() as connection:
            await connection.fetchval("SELECT 1 / $1::int", 1)
            found = await connection.fetchval(f"SELECT count(*) FROM (VALUES ('{SECRET}')) AS one (word) WHERE word = $1", SECRET)
        await asyncio.sleep(0)  # the driver reports a statement at the next turn of the loop
        return found

    async with client_of(traced_application(own, things)) as client:
        assert (await client.get("/things")).text == "1"
    await redis.ping()  # belongs to no request
    await own.exporter.send_spans()
    await redis.aclose()
    await pool.close()

    [request] = [span for span in taking.spans() if span.name == "GET /things"]
    children = [span for span in taking.spans() if span.parent_span_id == request.span_id]
    assert {"SELECT", "SET"} <= {span.name for span in children}
    assert "postgresql" in {attributes_of(span).get("db.system.name") for span in children}
    assert len(children) == len(taking.spans()) - 1
    assert SECRET.encode() not in b"".join(body for _, _, body in taking.requests)


async def test_a_receiver_that_fails_costs_what_it_does_not_take_and_one_line(own, taking) -> None:
    @get("/things", opt={"public": True})
    async def things() -> str:
        return "here"

    before = dropped("receiver")
    taking.status = 503
    with capture_logs() as logs:
        async with client_of(traced_application(own, things)) as client:
            for _ in range(3):
                assert (await client.get("/things")).status_code == 200
                await own.exporter.send_spans()
            lines = len(logs)
            taking.status = 200
            await client.get("/things")
            await own.exporter.send_spans()

    assert dropped("receiver") - before == 3
    assert (lines, [line["log_level"] for line in logs]) == (1, ["warning", "info"])


async def test_a_receiver_that_cannot_be_reached_is_like_one_that_fails(taking) -> None:
    before = dropped("receiver")
    own = OwnTelemetry("probe", settings_for(taking, endpoint=f"http://127.0.0.1:{free_port()}"))
    with own._tracer.start_as_current_span("work"):
        pass
    await own.exporter.send_spans()
    await own.exporter.close()
    own.close()

    assert dropped("receiver") - before == 1


async def test_the_queue_is_bounded(taking, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "QUEUE_SPANS_MAX", 5)
    before = dropped("queue_full")
    own = OwnTelemetry("probe", settings_for(taking))
    for number in range(8):
        with own._tracer.start_as_current_span(f"work {number}"):
            pass
    await own.exporter.send_spans()
    await own.exporter.close()
    own.close()

    assert len(taking.spans()) == 5
    assert dropped("queue_full") - before == 3


async def test_after_the_refusal_of_the_own_intake_nothing_more_is_sent(taking) -> None:
    taking.status = 421
    own = OwnTelemetry("probe", settings_for(taking))
    for _ in range(3):
        with own._tracer.start_as_current_span("work"):
            pass
        await own.exporter.send_spans()
    await own.exporter.send_metrics()
    await own.exporter.close()
    own.close()

    assert len(taking.requests) == 1


async def test_no_span_is_made_without_a_sample(taking) -> None:
    own = OwnTelemetry("probe", settings_for(taking, sample_ratio=0.0))
    with own._tracer.start_as_current_span("work"), own.publishing(1) as headers:
        assert headers == []
    await own.exporter.send_spans()
    await own.exporter.close()
    own.close()

    assert taking.spans() == []


async def test_metrics_arrive_as_they_are_shown(taking) -> None:
    exporter = Exporter(settings_for(taking), {"service.name": "ams-probe"})
    await exporter.send_metrics()
    await exporter.close()

    assert taking.metrics()["ams_http_request_seconds"].histogram.aggregation_temporality == 2
    assert taking.metrics()["ams_log_published_total"].sum.is_monotonic
    assert taking.metrics()["ams_live_sockets"].gauge.data_points


def test_buckets_of_a_histogram_are_counts_between_bounds() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "Time.", ["route"], buckets=(1, 5), registry=registry)
    for value in (0.5, 2, 3, 10):
        seconds.labels("a").observe(value)
    Counter("things_total", "Things.", registry=registry).inc(7)

    [resource] = metrics_request(registry.collect(), {}, 1, 2).resource_metrics
    found = {metric.name: metric for metric in resource.scope_metrics[0].metrics}

    [point] = found["seconds"].histogram.data_points
    assert (list(point.explicit_bounds), list(point.bucket_counts), point.count, point.sum) == ([1, 5], [1, 2, 1], 4, 15.5)
    assert [(point.as_double, point.start_time_unix_nano) for point in found["things_total"].sum.data_points] == [(7, 1)]


@pytest.mark.parametrize("is_observed", [True, False])
async def test_a_process_reports_only_when_the_setting_is_set(taking, is_observed: bool) -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(PROCESS), str(port), *([taking.url] if is_observed else [])], stderr=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def answers() -> bool:
                try:
                    return (await client.get("/livez")).is_success
                except httpx.HTTPError:
                    return False

            await until(answers, PATIENCE_SECONDS)
            modules = (await client.get("/modules")).json()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_SECONDS)

    assert code == 0
    assert bool(modules) is is_observed
    assert {span.name for span in taking.spans()} == ({"GET /modules"} if is_observed else set())  # the last ones at the stop
    assert bool(taking.metrics()) is is_observed
