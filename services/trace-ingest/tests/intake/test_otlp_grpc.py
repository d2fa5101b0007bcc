"""OTLP over gRPC: OpenTelemetry's own exporter, and calls that are refused with what to change."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import msgspec
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from litestar import Litestar
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from ams_kit.background import Background, BackgroundFailedError
from ams_kit.testing.serving import free_port
from ams_trace_ingest.intake import otlp_grpc
from ams_trace_ingest.intake.otlp_requests import INFLATED_BYTES_MAX, SENT_BYTES_MAX
from ams_trace_ingest.settings import IntakeSettings

WRITER = (("authorization", "Bearer ams_writer_key"),)
COLLECTOR = "/opentelemetry.proto.collector"
TRACES = f"{COLLECTOR}.trace.v1.TraceService/Export"


@pytest.fixture
def settings(settings: IntakeSettings) -> IntakeSettings:
    return msgspec.structs.replace(settings, grpc_port=free_port())


@pytest.fixture
async def channel(settings: IntakeSettings, client: httpx.AsyncClient) -> AsyncIterator[grpc.Channel]:
    while (await client.get("/readyz")).status_code != 200:
        await asyncio.sleep(0.02)
    with grpc.insecure_channel(f"127.0.0.1:{settings.grpc_port}") as channel:
        yield channel


async def call(channel: grpc.Channel, body: bytes, method: str = TRACES, **options: Any) -> bytes:
    send = channel.unary_unary(method)
    return await asyncio.to_thread(lambda: send(body, timeout=30, **{"metadata": WRITER, **options}))


async def refusal(channel: grpc.Channel, body: bytes, method: str = TRACES, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as refused:
        await call(channel, body, method, **options)
    return refused.value


def a_request(*span_ids: bytes) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for span_id in span_ids:
        span = scope.spans.add(trace_id=bytes(range(1, 17)), span_id=span_id, name="chat")
        span.start_time_unix_nano, span.end_time_unix_nano = 1_795_291_685_698_595_063, 1_795_291_686_013_890_630
    return request.SerializeToString()


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
async def test_spans_of_opentelemetrys_exporter_are_stored(
    channel: grpc.Channel, settings: IntakeSettings, steps_of_project: Callable[[], Any], compression: grpc.Compression | None
) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{settings.grpc_port}", insecure=True, headers=WRITER, compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def work() -> None:
        with provider.get_tracer("t").start_as_current_span("chat") as span:
            span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"})
        provider.shutdown()

    await asyncio.to_thread(work)

    [event] = await steps_of_project()
    assert (event.step.type, event.step.model) == ("llm", "gpt-4o")


async def test_a_bad_span_is_rejected_and_its_neighbour_stored(channel: grpc.Channel, steps_of_project: Callable[[], Any]) -> None:
    answer = ExportTraceServiceResponse.FromString(await call(channel, a_request(b"12345678", b"short")))

    assert answer.partial_success.rejected_spans == 1
    assert "span" in answer.partial_success.error_message
    assert [event.step_id for event in await steps_of_project()] == [b"12345678".hex()]


REFUSED: dict[str, tuple[bytes, dict[str, Any], grpc.StatusCode, str]] = {
    "no key": (a_request(), {"metadata": ()}, grpc.StatusCode.UNAUTHENTICATED, "Authorization: Bearer"),
    "a wrong key": (a_request(), {"metadata": (("authorization", "Bearer ams_other"),)}, grpc.StatusCode.UNAUTHENTICATED, ""),
    "two keys": (a_request(), {"metadata": WRITER * 2}, grpc.StatusCode.INVALID_ARGUMENT, "send one"),
    "a key that may not write": (
        a_request(),
        {"metadata": (("authorization", "Bearer ams_reader_key"),)},
        grpc.StatusCode.PERMISSION_DENIED,
        "may not write",
    ),
    "random bytes": (os.urandom(1024) + b"\xff\xff", {}, grpc.StatusCode.INVALID_ARGUMENT, "protobuf"),
    "JSON": (b'{"resourceSpans": []}', {}, grpc.StatusCode.INVALID_ARGUMENT, "protobuf"),
    "gzip cut short": (gzip.compress(a_request())[:-9], {}, grpc.StatusCode.INVALID_ARGUMENT, "gzip"),
    "deflate": (b"\x0a" * 1_000, {"compression": grpc.Compression.Deflate}, grpc.StatusCode.INVALID_ARGUMENT, "gzip"),
    "a byte over": (b"x" * (SENT_BYTES_MAX + 1), {}, grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    "a bomb": (
        b"\0" * (INFLATED_BYTES_MAX + 1),
        {"compression": grpc.Compression.Gzip},
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "after decompression",
    ),
    "metrics": (
        b"",
        {"method": f"{COLLECTOR}.metrics.v1.MetricsService/Export"},
        grpc.StatusCode.UNIMPLEMENTED,
        "OTEL_METRICS_EXPORTER=none",
    ),
    "another method": (b"", {"method": "/acme.Other/Call"}, grpc.StatusCode.UNIMPLEMENTED, "TraceService/Export"),
}


async def test_a_bad_call_is_refused_with_what_to_change(channel: grpc.Channel, app: Litestar) -> None:
    for name, (body, options, code, text) in REFUSED.items():
        error = await refusal(channel, body, **options)

        assert error.code() == code, name
        assert text in error.details(), name
    assert app.state.intake.budget.bytes_held == 0


async def test_a_call_over_the_budget_says_when_to_repeat_it(channel: grpc.Channel, app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_grpc, "RESERVATION_TIMEOUT_SECONDS", 0.05)
    budget = app.state.intake.budget
    budget.bytes_held = budget.bytes_max

    error = await refusal(channel, a_request(b"12345678"))

    trailing = dict(error.trailing_metadata())
    [detail] = Status.FromString(trailing["grpc-status-details-bin"]).details
    retry = RetryInfo()
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail.Unpack(retry)
    assert retry.retry_delay.seconds == 1
    assert retry == RetryInfo.FromString(trailing["google.rpc.retryinfo-bin"])


async def test_messages_wait_a_moment_for_room(channel: grpc.Channel, app: Litestar, steps_of_project: Callable[[], Any]) -> None:
    budget = app.state.intake.budget
    budget.bytes_max = 3 * otlp_grpc.ARRIVING_BYTES  # one message of a key at a time

    await asyncio.gather(*(call(channel, a_request(number.to_bytes(8))) for number in range(1, 65)))

    assert len(await steps_of_project()) == 64
    assert (budget.bytes_held, budget.arriving_by_key) == (0, {})


async def test_a_listener_without_its_port_makes_the_process_not_ready(
    channel: grpc.Channel, app: Litestar, settings: IntakeSettings
) -> None:
    second = otlp_grpc.GrpcListener(app.state.intake, settings.host, settings.grpc_port)

    async with Background(sleep=lambda _: asyncio.sleep(0)) as background:
        task = background.spawn("otlp-grpc", second.run, may_end=True)
        async with asyncio.timeout(10):
            while task.fault() is None:
                await asyncio.sleep(0)
        with pytest.raises(BackgroundFailedError, match="otlp-grpc"):
            await background.check()
