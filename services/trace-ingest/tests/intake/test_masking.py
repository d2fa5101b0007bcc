"""The second net for secrets at intake: spans, log records and native events, without the sender's help."""

import json
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from ams_contracts.codec import decode_event, encode
from ams_contracts.documents import Failure, Status, StepDocument, StepType
from ams_contracts.events import (
    DELTA_CHARS_MAX,
    AgentRegistered,
    LogLine,
    PayloadStored,
    ScoreRecorded,
    StepProgressed,
    StepRecorded,
    StepScored,
)
from ams_trace_ingest.intake.import_lines import LineImporter
from ams_trace_ingest.intake.log_joiner import LogJoiner
from ams_trace_ingest.intake.masking import mask_event, mask_log_records, mask_spans
from ams_trace_ingest.intake.otlp import Encoding, decode_logs, decode_traces
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices

KEY = "sk-abcdefghijklmnopqrstuvwx"
CARD = "4111 1111 1111 1111"
HEAD: dict[str, Any] = {"event_id": "b" * 32, "seq": 1, "at_us": 2}
EVENT: dict[str, Any] = {**HEAD, "step_id": "c" * 16}
STEP = StepDocument(type=StepType.TOOL, name="search", status=Status.OK)


def attributes(**values: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in values.items()]


def a_span(**more: Any) -> dict[str, Any]:
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    return {**ids, "name": "chat", **more}


def a_request(*spans: dict[str, Any], **resource: str) -> bytes:
    groups = [{"resource": {"attributes": attributes(**resource)}, "scopeSpans": [{"spans": list(spans)}]}]
    return json.dumps({"resourceSpans": groups}).encode()


def test_spans_are_masked_in_every_place_that_holds_text() -> None:
    span = a_span(
        name=f"GET /?key={KEY}",
        status={"code": 2, "message": f"refused {KEY}"},
        attributes=[
            *attributes(input__value=json.dumps({"api_key": "hunter2", "card": CARD}), db__password="hunter2", plain="otters"),
            {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": KEY}]}}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1234"}},
        ],
        events=[{"name": "exception", "attributes": attributes(exception__message=f"no {KEY}")}],
        links=[{"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "attributes": attributes(authorization="Bearer abcdefghijkl")}],
    )
    groups = decode_traces(a_request(span, a_span(spanId="0" * 15 + "2"), process__command=f"run --key {KEY}"), Encoding.JSON).groups

    assert mask_spans(groups) == 2  # the resource, and one of two spans
    text = repr(groups)
    assert all(secret not in text for secret in (KEY, "hunter2", CARD, "abcdefghijkl"))
    assert KEY.encode() not in groups[0].resource.encoded + groups[0].resource.encoded_again
    assert groups[0].spans[0].attributes["gen_ai.usage.input_tokens"] == 1234
    assert groups[0].spans[0].attributes["plain"] == "otters"
    assert mask_spans(groups) == 0


def test_log_records_are_masked() -> None:
    record = {"eventName": "e", "body": {"kvlistValue": {"values": attributes(password="hunter2")}}, "attributes": attributes(a=KEY)}
    records = decode_logs(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode(), Encoding.JSON)

    assert mask_log_records(records) == 1
    assert "hunter2" not in repr(records)
    assert KEY not in repr(records)


@pytest.mark.parametrize(
    "event",
    [
        PayloadStored(**EVENT, slot="input", mime="application/json", text='{"password": "hunter2"}', bytes=23),
        PayloadStored(**EVENT, slot="input", text=f"key {KEY}", bytes=31),
        StepRecorded(**EVENT, step=replace(STEP, name=f"call {KEY}", tags={"password": "hunter2"}, preview_input=f"say {KEY}")),
        StepRecorded(**EVENT, step=replace(STEP, error=Failure(type="E", message=f"no {KEY}"))),
        StepProgressed(**HEAD, logs=[LogLine(step_id="c" * 16, text=f"with {KEY}")]),
        ScoreRecorded(**HEAD, score_id="s", name="good", label=f"of {KEY}", comment=f"it used {KEY}", source="code"),
        StepScored(**EVENT, name="good", value=1.0, explanation=f"it used {KEY}", source="model"),
        AgentRegistered(**HEAD, name="otter", description=f"runs with {KEY}", metadata={"password": "hunter2", "url": f"/?k={KEY}"}),
    ],
)
def test_native_events_are_masked_and_stay_readable(event: Any) -> None:
    masked = mask_event(event, encode(event))

    text = encode(masked).decode()
    assert KEY not in text
    assert "hunter2" not in text
    assert decode_event(encode(masked)) == masked
    assert mask_event(masked, encode(masked)) == masked


def test_a_text_does_not_outgrow_the_limit_of_its_field() -> None:
    event = StepProgressed(
        event_id="b" * 32, seq=1, at_us=2, logs=[LogLine(step_id="c" * 16, text="password=abcd " * (DELTA_CHARS_MAX // 14))]
    )

    assert decode_event(encode(mask_event(event, encode(event)))) is not None


def test_an_event_without_secrets_is_the_same_object() -> None:
    event = StepRecorded(**EVENT, step=STEP)

    assert mask_event(event, encode(event)) is event


@pytest.mark.parametrize("masking", [True, False])
async def test_a_project_decides_whether_intake_masks(client: httpx.AsyncClient, keys: Any, steps_of_project: Any, masking: bool) -> None:
    keys.masking = masking
    native = {"kind": "step.recorded", **EVENT, "step": {"type": "tool", "name": f"native {KEY}", "status": "ok"}}
    batch = {"task_id": "a" * 32, "producer": {"sdk": "ams", "instance_id": "p"}, "events": [native]}

    await client.post("/v1/traces", content=a_request(a_span(name=f"otlp {KEY}")), headers={"Content-Type": "application/json"})
    await client.post("/v1/batches", json={"v": 1, "batches": [batch]})

    names = [event.step.name for event in await steps_of_project()]
    assert sorted(names) == (["native [masked]", "otlp [masked]"] if masking else [f"native {KEY}", f"otlp {KEY}"])


@pytest.mark.parametrize("masking", [True, False])
def test_imported_files_are_masked_like_everything_else(masking: bool) -> None:
    payload = encode(PayloadStored(**EVENT, slot="input", text=f"key {KEY}", bytes=31))
    archive = b'{"kind":"events","task_id":"%s","events":[%s]}' % (b"a" * 32, payload)
    lines = archive + b"\n" + a_request(a_span(attributes=attributes(input__value=f"key {KEY}")))
    importer = LineImporter(project_id="p", key_id="k", prices=Prices(GenaiPrices()), logs=LogJoiner(), received_at_us=1, masking=masking)

    found = importer.read(lines)

    assert (found.lines, found.rejected) == (2, 0)
    values = [record.value or b"" for record in (*found.payloads, *found.steps)]
    assert [KEY.encode() in value for value in values if b"key " in value] == [not masking] * 3  # two payloads and a preview
