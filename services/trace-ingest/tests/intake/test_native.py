import base64
import hashlib
import json

import pytest

from ams_contracts.codec import decode_batch
from ams_contracts.events import MEDIA_BYTES_MAX, MediaStored, StepStarted
from ams_kit.errors import BadRequestError, InvalidError, TooLargeError, UnsupportedError
from ams_trace_ingest.intake.native import NativeRecords, read_native
from ams_trace_ingest.pricing.price import Prices


class NoCatalog:
    def find(self, provider: str | None, model: str, at_us: int, service_tier: str | None = None) -> None:
        return None

    def knows(self, provider: str) -> bool:
        return False


NO_PRICES = Prices(NoCatalog())
PROJECT = "01890000-0000-7000-8000-000000000000"
TASK = "a" * 32


def an_event(**more: object) -> dict[str, object]:
    step = {"type": "llm", "name": "call", "status": "running"}
    return {"kind": "step.started", "event_id": "b" * 32, "seq": 1, "at_us": 5, "step_id": "c" * 16, "step": step} | more


def a_payload(**more: object) -> dict[str, object]:
    return {
        "kind": "payload.stored",
        "event_id": "d" * 32,
        "seq": 2,
        "at_us": 6,
        "step_id": "c" * 16,
        "slot": "input",
        "text": "hi",
        "bytes": 2,
    } | more


def a_request(*events: object, task_id: str | None = TASK) -> bytes:
    batch = {"task_id": task_id, "producer": {"sdk": "ams", "instance_id": "p1"}, "events": list(events)}
    return json.dumps({"v": 1, "batches": [batch]}).encode()


def read(data: bytes) -> NativeRecords:
    return read_native(data, project_id=PROJECT, key_id="k1", prices=NO_PRICES)


def test_steps_and_payloads_travel_apart_under_the_task_key() -> None:
    result = read(a_request(an_event(), a_payload()))

    assert result.accepted == 2
    assert [record.topic.name for record in result.payloads + result.steps] == ["ams.payloads.v1", "ams.steps.v1"]
    assert {record.key for record in result.payloads + result.steps} == {f"{PROJECT}:{TASK}".encode()}
    batch = decode_batch(result.steps[0].value).batch
    assert (batch.project_id, batch.task_id) == (PROJECT, TASK)
    assert isinstance(batch.events[0], StepStarted)


def test_a_bad_event_is_refused_by_its_id_and_its_neighbours_are_taken() -> None:
    result = read(
        a_request(an_event(), an_event(event_id="e" * 32, seq=-1), an_event(kind="step.teleported", event_id="f" * 32), a_payload())
    )

    assert result.accepted == 2
    assert [(item.event_id, item.code) for item in result.rejected] == [("e" * 32, "invalid"), ("f" * 32, "unknown_kind")]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"kind": "task.deleted", "event_id": "b" * 32, "seq": 1, "at_us": 5, "by": "me"}, "not_allowed"),
        ({"kind": "step.lost", "event_id": "b" * 32, "seq": 1, "at_us": 5, "step_id": "c" * 16, "last_beat_us": 4}, "not_allowed"),
        ({"kind": "price.set", "event_id": "b" * 32, "seq": 1, "at_us": 5, "model": "m", "from_us": 1, "by": "me"}, "not_allowed"),
    ],
)
def test_an_agent_cannot_say_what_only_people_and_the_platform_say(event: dict[str, object], code: str) -> None:
    assert [item.code for item in read(a_request(event)).rejected] == [code]


def test_a_nul_is_replaced_and_flagged() -> None:
    step = {"type": "llm", "name": "a\0b", "status": "running"}

    result = read(a_request(an_event(step=step)))

    event = decode_batch(result.steps[0].value).batch.events[0]
    assert isinstance(event, StepStarted)
    assert (event.step.name, event.step.flags) == ("a\N{REPLACEMENT CHARACTER}b", ["replaced_characters"])


def test_lone_surrogates_are_replaced_and_pairs_and_backslashes_stay() -> None:
    data = a_request(an_event()).replace(b'"name": "call"', b'"name": "\\ud800 \\ud83d\\ude00 \\\\ud800 \\udc00"', 1)

    result = read(data)

    event = decode_batch(result.steps[0].value).batch.events[0]
    assert isinstance(event, StepStarted)
    assert event.step.name == "\ufffd \U0001f600 \\ud800 \ufffd"


def test_many_events_are_split_into_records_that_the_gateway_can_forward() -> None:
    events = [an_event(event_id=f"{n:032x}", seq=n, step={"type": "tool", "name": "n" * 900, "status": "running"}) for n in range(1, 601)]

    result = read(a_request(*events))

    assert len(result.steps) > 1
    assert all(len(record.value or b"") <= 256 * 1024 for record in result.steps)
    assert [event.seq for record in result.steps for event in decode_batch(record.value).batch.events] == list(range(1, 601))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", BadRequestError),
        (b"{", BadRequestError),
        (b"\xff\xfe", BadRequestError),
        (b"[" * 200_000, InvalidError),
        (b'{"v":1,"batches":' + b"[" * 200_000, InvalidError),
        (b"[]", InvalidError),
        (b'{"v":1}', InvalidError),
        (b'{"v":2,"batches":[]}', UnsupportedError),
        (a_request(*[an_event(seq=n) for n in range(1_001)]), TooLargeError),
    ],
)
def test_what_is_no_request_is_refused_whole(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(data)


def media(raw: bytes, **more: object) -> dict[str, object]:
    return {
        "kind": "media.stored",
        "event_id": "e" * 32,
        "seq": 3,
        "at_us": 7,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "mime": "image/png",
        "bytes": len(raw),
        "data": base64.b64encode(raw).decode(),
    } | more


def test_media_are_taken_and_travel_with_the_payloads() -> None:
    result = read(a_request(an_event(), media(bytes(MEDIA_BYTES_MAX))))

    assert (result.accepted, result.rejected) == (2, [])
    (event,) = decode_batch(result.payloads[0].value).batch.events
    assert isinstance(event, MediaStored)
    assert event.data == bytes(MEDIA_BYTES_MAX)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (media(b"x", sha256="0" * 64), "wrong_hash"),
        (media(b"x", bytes=2), "wrong_hash"),
        (media(b"x", sha256="xyz"), "invalid"),
        (media(b"x", data="***"), "invalid"),
        (media(bytes(MEDIA_BYTES_MAX + 1)), "invalid"),
    ],
)
def test_media_that_are_not_what_they_say_are_refused(event: dict[str, object], code: str) -> None:
    assert [item.code for item in read(a_request(event)).rejected] == [code]
