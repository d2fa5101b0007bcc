"""Bytes in content become media of their own; what held them refers to the hash."""

import base64
import json
from hashlib import sha256
from typing import Any

import pytest
from tests.reference import NOW_US, PRICES, PROJECT, map_one, mapped, to_protobuf

from ams_contracts.documents import Slot
from ams_contracts.events import MEDIA_BYTES_MAX
from ams_trace_ingest.intake.otlp import Encoding, decode_traces
from ams_trace_ingest.intake.otlp_values import VALUE_BYTES_MAX
from ams_trace_ingest.mapping.media import (
    MEDIA_PER_STEP_MAX,
    Bytes,
    MediaBudget,
    MediaCollector,
    bytes_of,
    data_uri,
    is_link,
    left_out,
    referenced,
)

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
TEXT = base64.b64encode(PICTURE).decode()
HASH = sha256(PICTURE).hexdigest()
URI = f"data:image/png;base64,{TEXT}"
REFERENCE = {"type": "media", "mime": "image/png", "bytes": 48, "sha256": HASH}
CHAT = {"gen_ai.operation.name": "chat"}

PARTS: dict[str, Any] = {
    "opentelemetry blob": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": TEXT},
    "opentelemetry data uri": {"type": "uri", "modality": "image", "mime_type": "image/png", "uri": URI},
    "openai chat": {"type": "image_url", "image_url": {"url": URI}},
    "openai responses": {"type": "input_image", "image_url": URI},
    "openai file": {"type": "file", "file": {"file_data": URI}},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
    "gemini": {"inline_data": {"mime_type": "image/png", "data": TEXT}},
    "gemini camel": {"inlineData": {"mimeType": "image/png", "data": TEXT}},
    "bedrock": {"image": {"format": "png", "source": {"bytes": TEXT}}},
    "vercel": {"type": "image", "image": TEXT, "mediaType": "image/png"},
    "vercel file": {"type": "file", "data": TEXT, "mediaType": "image/png"},
    "vercel bytes": {"type": "file", "data": {str(index): byte for index, byte in enumerate(PICTURE)}, "mediaType": "image/png"},
    "node buffer": {"type": "file", "data": {"type": "Buffer", "data": list(PICTURE)}, "mediaType": "image/png"},
    "pydantic": {"type": "binary", "media_type": "image/png", "content": TEXT},
    "langchain": {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": TEXT},
    "langchain 1": {"type": "image", "base64": TEXT, "mime_type": "image/png"},
}


def content_of(parts: list[Any], **options: Any) -> tuple[Any, Any]:
    """The content of the message with these parts, and the media of the step."""
    item = map_one({**CHAT, "gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}])}, **options)
    (message,) = json.loads(next(payload.text for payload in item.payloads if payload.slot is Slot.INPUT))
    return message["content"], item.media


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_dialect_gives_the_same_reference(part: dict[str, Any]) -> None:
    (got,), media = content_of([part])

    assert REFERENCE.items() <= got.items()
    assert TEXT not in json.dumps(got)
    (event,) = media
    assert (event.sha256, event.mime, event.bytes, event.data) == (HASH, "image/png", 48, PICTURE)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_both_encodings_give_the_same_media(part: dict[str, Any]) -> None:
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "n",
        "startTimeUnixNano": str(NOW_US * 1000),
        "endTimeUnixNano": str(NOW_US * 1000 + 1),
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps([{"role": "user", "parts": [part]}])}},
        ],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()

    (one,) = mapped([body], Encoding.JSON)
    (other,) = mapped([to_protobuf(body)], Encoding.PROTOBUF)

    assert one.media == other.media
    assert len(one.media) == 1


def test_other_fields_of_a_part_are_carried() -> None:
    (part,), _ = content_of([{"type": "image_url", "image_url": {"url": URI, "detail": "low"}, "cache_control": {"type": "ephemeral"}}])

    assert part == {**REFERENCE, "detail": "low", "cache_control": {"type": "ephemeral"}}


def test_links_are_kept_and_never_decoded() -> None:
    content, media = content_of(
        [
            {"type": "image-url", "url": "https://x.example/AbCdEf0123456789AbCdEf0123456789"},
            {"type": "uri", "modality": "video", "uri": "gs://bucket/v"},
            {"type": "file", "file_id": "file-1", "mime_type": "application/pdf"},
            {"type": "image", "image": "uploads/some/quite/long/path/of/a/picture"},
        ]
    )

    assert [part.get("uri", part.get("file_id")) for part in content] == [
        "https://x.example/AbCdEf0123456789AbCdEf0123456789",
        "gs://bucket/v",
        "file-1",
        "uploads/some/quite/long/path/of/a/picture",
    ]
    assert [part["mime"] for part in content] == ["image/*", "video/*", "application/pdf", "image/*"]
    assert media == []


def test_bytes_in_a_tool_result_and_in_any_other_json_are_found() -> None:
    result = {"role": "tool", "content": [{"type": "text", "text": "done"}, PARTS["anthropic"]], "tool_call_id": "c"}
    attributes = {**CHAT, "gen_ai.input.messages": json.dumps([result]), "gen_ai.output.messages": json.dumps({"page": {"shot": URI}})}

    item = map_one(attributes)

    texts = {payload.slot: json.loads(payload.text) for payload in item.payloads if payload.slot in {Slot.INPUT, Slot.OUTPUT}}
    assert texts[Slot.INPUT][0]["content"][0]["result"] == [{"type": "text", "text": "done"}, REFERENCE]
    assert texts[Slot.OUTPUT] == {"page": {"shot": REFERENCE}}
    assert len(item.media) == 1
    assert TEXT not in (item.event.step.preview_output or "")


def test_too_many_bytes_keep_their_type_and_their_number() -> None:
    big = base64.b64encode(bytes(MEDIA_BYTES_MAX + 1)).decode()

    (part,), media = content_of([{"type": "blob", "mime_type": "image/png", "content": big}])

    assert part == {"type": "media", "mime": "image/png", "bytes": MEDIA_BYTES_MAX + 1, "absent": "too_large"}
    assert media == []


def test_the_largest_media_fit_into_a_record() -> None:
    (part,), (event,) = content_of(
        [{"type": "blob", "mime_type": "image/png", "content": base64.b64encode(bytes(MEDIA_BYTES_MAX)).decode()}]
    )

    assert (part["bytes"], event.bytes) == (MEDIA_BYTES_MAX, MEDIA_BYTES_MAX)


def test_a_step_has_a_limit() -> None:
    parts = [{"type": "blob", "content": base64.b64encode(bytes([n, n + 1])).decode()} for n in range(MEDIA_PER_STEP_MAX + 3)]

    content, media = content_of(parts)

    assert len(media) == MEDIA_PER_STEP_MAX
    assert [part.get("absent") for part in content[-4:]] == [None, "too_many", "too_many", "too_many"]


def test_a_request_has_a_limit_and_repeated_bytes_are_stored_once_a_task() -> None:
    budget = MediaBudget(100)

    def hold(task_id: str, size: int) -> str | None:
        collector = MediaCollector(task_id, budget)
        return collector.reference("image/png", Bytes(size, bytes(size))).get("absent") or str(len(collector.found))

    assert [hold("a", 60), hold("a", 60), hold("b", 60), hold("a", 40), hold("a", 1)] == ["1", "0", "too_many", "1", "too_many"]


def test_the_same_bytes_have_the_same_event_in_the_same_task() -> None:
    (_,), (one,) = content_of([PARTS["anthropic"]])
    (_,), (two,) = content_of([PARTS["gemini"]], span_id="9" * 16)
    (_,), (other,) = content_of([PARTS["gemini"]], trace_id="9" * 32)

    assert one.event_id == two.event_id != other.event_id


def test_one_huge_picture_does_not_turn_the_conversation_into_raw_text() -> None:
    huge = base64.b64encode(bytes(2 * VALUE_BYTES_MAX)).decode()
    messages = [
        {
            "role": "user",
            "parts": [
                {"type": "blob", "mime_type": "image/png", "content": huge},
                PARTS["openai chat"],
                {"type": "text", "content": "What is it?"},
            ],
        }
    ]
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(messages)}},
    ]
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "startTimeUnixNano": "1795000000000000000", "endTimeUnixNano": "1795000001000000000"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{**span, "attributes": attributes}]}]}]}).encode()

    (item,) = mapped([body], Encoding.JSON)

    stored = next(payload for payload in item.payloads if payload.slot is Slot.INPUT)
    assert json.loads(stored.text)[0]["content"] == [
        {"type": "media", "mime": "image/png", "bytes": 2 * VALUE_BYTES_MAX, "absent": "too_large"},
        REFERENCE,
        {"type": "text", "text": "What is it?"},
    ]
    assert item.event.step.flags == ["truncated"]
    assert decode_traces(body, Encoding.JSON).groups[0].spans[0].dropped is not None
    assert PRICES is not None
    assert PROJECT


def test_only_as_many_runs_are_left_out_as_needed() -> None:
    long, longer = "A" * 5_000, "B" * 9_000

    assert left_out(f"{long} {longer}", 6_000) == f"{long} [6750 bytes of base64]"
    assert left_out("words", 3) == "words"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("AAAA", b"\0\0\0"),
        ("AAA=", b"\0\0"),
        ("AAA", b"\0\0"),
        ("_-8=", b"\xff\xef"),
        ("AA\r\nAA", b"\0\0\0"),
        ([1, 2], b"\1\2"),
        ({"0": 1, "1": 2}, b"\1\2"),
        ({"type": "Buffer", "data": [1]}, b"\1"),
        ("no base64!", None),
        ("A", None),
        ([1, 256], None),
        ([True], None),
        ({"0": 1, "2": 2}, None),
        ({}, None),
        (5, None),
    ],
)
def test_bytes_of(value: Any, expected: bytes | None) -> None:
    held = bytes_of(value)

    assert (None if held is None else held.data) == expected


@pytest.mark.parametrize("text", ["data:,hi", "data:text/plain,hi", "data:image/png;base64,***", "database", f"x{URI}"])
def test_what_is_no_data_uri_stays(text: str) -> None:
    assert data_uri(text) is None
    assert referenced({"a": [text]}, MediaCollector("t")) == {"a": [text]}


@pytest.mark.parametrize(("text", "expected"), [("https://x/" + "A" * 40, True), ("cat.png", True), (TEXT, False), (URI, False)])
def test_is_link(text: str, expected: bool) -> None:
    assert is_link(text) is expected
