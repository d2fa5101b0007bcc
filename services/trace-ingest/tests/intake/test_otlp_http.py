"""What hostile and ordinary posts to ``/v1/traces`` get. Each case has an id of its own."""

import gzip
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from litestar import Litestar
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from ams_kit.otel_settings import OWN_HEADER
from ams_trace_ingest.intake.otlp_requests import INFLATED_BYTES_MAX, SENT_BYTES_MAX

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}
READER = {"Authorization": "Bearer ams_reader_key"}

Client = httpx.AsyncClient


def a_span(**more: object) -> dict[str, Any]:
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "chat gpt-4o",
        "startTimeUnixNano": "1795291685698595063",
    }
    return span | {"endTimeUnixNano": "1795291686013890630", "attributes": [], "status": {}} | more


def a_request(*spans: dict[str, Any]) -> bytes:
    return json.dumps(
        {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "t"}, "spans": list(spans)}]}]}
    ).encode()


def in_protobuf(span_id: bytes = b"\xb7\xad\x6b\x71\x69\x20\x33\x31") -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes(range(1, 17)), span_id, "chat"
    span.start_time_unix_nano, span.end_time_unix_nano = 1_795_291_685_698_595_063, 1_795_291_686_013_890_630
    return request.SerializeToString()


def attribute(key: str, value: dict[str, Any]) -> dict[str, Any]:
    return a_span(attributes=[{"key": key, "value": value}])


REFUSED_WHOLE = {
    "O03 random bytes": (os.urandom(1024) + b"\xff\xff", PROTOBUF, 400),
    "O05 JSON called protobuf": (a_request(a_span()), PROTOBUF, 400),
    "O06 protobuf called JSON": (in_protobuf(), JSON, 400),
    "O08 not gzip": (a_request(a_span()), JSON | GZIP, 400),
    "O11 gzip and garbage": (gzip.compress(a_request(a_span())) + b"garbage", JSON | GZIP, 400),
    "O11 gzip cut short": (gzip.compress(a_request(a_span()))[:-9], JSON | GZIP, 400),
    "O13 gzip in gzip": (gzip.compress(gzip.compress(a_request(a_span()))), JSON | GZIP, 400),
    "O15 br": (b"x", JSON | {"Content-Encoding": "br"}, 415),
    "O15 zstd": (b"x", JSON | {"Content-Encoding": "zstd"}, 415),
    "O15 deflate": (b"x", JSON | {"Content-Encoding": "deflate"}, 415),
    "O15 snappy": (b"x", JSON | {"Content-Encoding": "snappy"}, 415),
    "O16 a byte over": (b" " * (SENT_BYTES_MAX + 1), JSON, 413),
    "O16 a bomb": (gzip.compress(b" " * (INFLATED_BYTES_MAX + 1)), JSON | GZIP, 413),
    "O21 a key that may not write": (a_request(a_span()), JSON | READER, 403),
    "O20 no key": (a_request(a_span()), JSON | {"Authorization": ""}, 401),
    "O20 a wrong key": (a_request(a_span()), JSON | {"Authorization": "Bearer ams_other"}, 401),
    "O43 NaN": (a_request(a_span()).replace(b'"1795291685698595063"', b"NaN"), JSON, 400),
    "O45 beyond int64": (a_request(attribute("n", {"intValue": str(2**63)})), JSON, 400),
    "O48 not UTF-8": (in_protobuf().replace(b"chat", b"\xff\xfe\xfd\xfc"), PROTOBUF, 400),
    "O66 snake case": (b'{"resource_spans": [{"scope_spans": []}]}', JSON, 400),
    "O81 gRPC": (b"\0\0\0\0\0", {"Content-Type": "application/grpc"}, 415),
    "no content type": (a_request(a_span()), {"Content-Type": ""}, 415),
    "deep": (b'{"resourceSpans":' + b"[" * 100_000, JSON, 400),
    "a byte order mark": (b"\xef\xbb\xbf" + a_request(a_span()), JSON, 400),
}


@pytest.mark.parametrize("name", REFUSED_WHOLE)
async def test_a_bad_request_is_refused_with_a_status_of_its_own_encoding(client: Client, name: str) -> None:
    body, headers, status = REFUSED_WHOLE[name]

    answer = await client.post("/v1/traces", content=body, headers=headers)

    assert answer.status_code == status
    if headers.get("Content-Type") == "application/x-protobuf":
        assert Status.FromString(answer.content).code != 0
    else:
        assert answer.json()["code"] != 0


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
async def test_telemetry_of_the_platform_itself_is_refused_and_that_of_another_one_taken(client: Client, path: str) -> None:
    own = await client.post(path, content=b"", headers=PROTOBUF | {OWN_HEADER: "http://localhost:8080"})
    other = await client.post(path, content=b"", headers=PROTOBUF | {OWN_HEADER: "https://other.example.com"})

    assert (own.status_code, other.status_code) == (421, 200)


async def test_an_empty_protobuf_is_a_valid_request(client: Client) -> None:
    answer = await client.post("/v1/traces", content=b"", headers=PROTOBUF)

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "application/x-protobuf")


REJECTED_SPANS = {
    "O25 a nil trace id": a_span(traceId="0" * 32),
    "O26 an empty id": a_span(traceId=""),
    "O26 a short id": a_span(traceId="0" * 29 + "1"),
    "O26 a long id": a_span(spanId="b7ad6b716920333100"),
    "O28 base64": a_span(traceId="CvdlGRbNQ92ESOshHIAxnA=="),
    "O38 the end of time": a_span(startTimeUnixNano=str(2**64 - 1)),
}


@pytest.mark.parametrize("name", REJECTED_SPANS)
async def test_a_bad_span_is_rejected_and_its_neighbour_stored(client: Client, steps_of_project: Callable[[], Any], name: str) -> None:
    answer = await client.post("/v1/traces", content=a_request(a_span(), REJECTED_SPANS[name]), headers=JSON)

    partial = answer.json()["partialSuccess"]
    assert (answer.status_code, partial["rejectedSpans"]) == (200, "1")
    assert "hex" in partial["errorMessage"] or "base64" not in name
    assert [event.step_id for event in await steps_of_project()] == ["b7ad6b7169203331"]


TAKEN = {
    "O30 its own parent": a_span(parentSpanId="b7ad6b7169203331"),
    "O35 ends before it starts": a_span(endTimeUnixNano="1795291685698000000"),
    "O36 starts at 0": a_span(startTimeUnixNano="0"),
    "O40 in 1971": a_span(startTimeUnixNano="40000000000000000", endTimeUnixNano="40000001000000000"),
    "O41 times as numbers": a_span(startTimeUnixNano=1_795_291_685_698_595_063),
    "O46 NUL": attribute("gen_ai.input.messages", {"stringValue": "a\0b"}),
    "O50 an empty key": attribute("", {"stringValue": "x"}),
    "O51 a long key": attribute("k" * 10_240, {"stringValue": "x"}),
    "O56 deep": attribute("deep", json.loads('{"arrayValue":{"values":[' * 50 + '{"stringValue":"x"}' + "]}}" * 50)),
    "O58 bytes": attribute("b", {"bytesValue": "AAEC"}),
    "O60 many events": a_span(events=[{"name": "e", "timeUnixNano": "1795291685698595064"}] * 20_000),
    "O63 odd enums": a_span(kind=99, status={"code": 99}),
    "O65 unknown fields": a_span(whatIsThis={"a": 1}),
    "O68 markup": a_span(name="<img src=x onerror=alert(1)>"),
    "O73 a project of another": attribute("ams.project_id", {"stringValue": "11111111-1111-7111-8111-111111111111"}),
}


@pytest.mark.parametrize("name", TAKEN)
async def test_an_odd_span_is_stored_under_the_keys_project(client: Client, steps_of_project: Callable[[], Any], name: str) -> None:
    answer = await client.post("/v1/traces", content=a_request(TAKEN[name]), headers=JSON)

    assert (answer.status_code, answer.json()) == (200, {})
    assert len(await steps_of_project()) == 1


async def test_two_gzip_members_are_one_body(client: Client, steps_of_project: Callable[[], Any]) -> None:
    body = gzip.compress(in_protobuf()) + gzip.compress(in_protobuf(span_id=b"12345678"))

    answer = await client.post("/v1/traces", content=body, headers=PROTOBUF | GZIP)

    assert (answer.status_code, ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans) == (200, 0)
    assert len(await steps_of_project()) == 2


async def test_a_body_without_an_end_is_refused_at_the_cap(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(SENT_BYTES_MAX // 65_536 + 2):
            yield b" " * 65_536

    answer = await client.post("/v1/traces", content=endless(), headers=JSON)

    assert answer.status_code == 413


async def test_another_method_is_405_and_metrics_are_ignored(client: Client) -> None:
    assert (await client.get("/v1/traces")).status_code == 405
    assert (await client.post("/v1/metrics", content=b"", headers=PROTOBUF)).status_code == 200


async def test_genai_log_records_are_served_and_others_are_ignored(client: Client) -> None:
    spoken = {
        "eventName": "gen_ai.client.inference.operation.details",
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
    }
    messages = {"key": "gen_ai.input.messages", "value": {"stringValue": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'}}
    records = [spoken | {"timeUnixNano": "1795291685698595063", "attributes": [messages]}, {"body": {"stringValue": "a log line"}}]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}

    answer = await client.post("/v1/logs", json=body)

    assert (answer.status_code, answer.json()) == (200, {})
    assert (await client.post("/v1/logs", content=b"{", headers=JSON)).status_code == 400


async def test_an_sdk_batch_is_durable_when_it_is_answered(client: Client, project_id: str, steps_of_project: Callable[[], Any]) -> None:
    step = {"type": "tool", "name": "search", "status": "ok", "started_at_us": 1, "ended_at_us": 2}
    event = {"kind": "step.recorded", "event_id": "b" * 32, "seq": 1, "at_us": 2, "step_id": "c" * 16, "step": step}
    batch = {"task_id": "a" * 32, "producer": {"sdk": "ams", "instance_id": "p"}, "events": [event]}

    answer = await client.post("/v1/batches", json={"v": 1, "batches": [batch]})

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    assert [event.step.name for event in await steps_of_project()] == ["search"]


async def test_a_client_that_should_retry_can_finish_sending_first(client: Client, app: Litestar) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            yield b" " * 65_536
            sent += 65_536

    budget = app.state.intake.budget
    budget.bytes_held = budget.bytes_max
    answer = await client.post("/v1/traces", content=body(), headers=JSON | {"Content-Length": str(64 * 65_536)})

    assert (answer.status_code, answer.headers["Retry-After"], sent) == (503, "1", 64 * 65_536)
    assert budget.bytes_held == budget.bytes_max
