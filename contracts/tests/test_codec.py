"""What cannot be read becomes one error type; neighbours of a bad event live. Ids are those of the table of bad records."""

from typing import Any

import msgspec
import pytest

from ams_contracts import codec
from ams_contracts.events import EVENTS_PER_BATCH_MAX, StepStarted

PROJECT = "0198f3aa-1111-7222-8333-444455556666"
TASK = "4bf92f3577b34da6a3ce929d0e0e4736"


def an_event(**changes: Any) -> dict[str, Any]:
    event = {
        "kind": "step.started",
        "event_id": "1" * 32,
        "seq": 1,
        "at_us": 1,
        "step_id": "b" * 16,
        "step": {"type": "llm", "name": "draft", "status": "running"},
    }
    return {key: value for key, value in {**event, **changes}.items() if value is not ...}


def a_step(**changes: Any) -> dict[str, Any]:
    return an_event(step={"type": "llm", "name": "draft", "status": "ok", **changes})


def a_batch(*events: dict[str, Any], **changes: Any) -> bytes:
    batch = {
        "v": 1,
        "project_id": PROJECT,
        "task_id": TASK,
        "producer": {"sdk": "test", "instance_id": "i"},
        "events": list(events),
        **changes,
    }
    return msgspec.json.encode({key: value for key, value in batch.items() if value is not ...})


def with_raw(value: bytes) -> bytes:
    """A batch of one event with an unknown field of this value."""
    return a_batch(an_event(unknown="@")).replace(b'"@"', value)


WHOLE_RECORDS = {
    "K01-tombstone": (None, "tombstone_unsupported"),
    "K01-empty": (b"", "empty"),
    "K06-not-json": (b"hello", "not_json"),
    "K06-cut": (a_batch(an_event())[:-3], "not_json"),
    "K06-trailing": (a_batch(an_event()) + b"x", "not_json"),
    "K06-array": (b"[]", "invalid"),
    "K06-null": (b"null", "invalid"),
    "K08-deep": (b'{"v":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    "K10-deep-unknown-field": (with_raw(b"[" * 100_000 + b"]" * 100_000), "too_deep"),
    "K10-deep-unknown-objects": (with_raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "too_deep"),
    "K13-nan": (with_raw(b"NaN"), "not_json"),
    "K13-infinity": (with_raw(b"-Infinity"), "not_json"),
    "K18-bom": (b"\xef\xbb\xbf" + a_batch(an_event()), "not_json"),
    "K18-utf-16": (a_batch(an_event()).decode().encode("utf-16"), "not_utf8"),
    "K18-surrogate-bytes": (a_batch(an_event(step_id="@")).replace(b"@", b"\xed\xa0\x80"), "not_utf8"),
    "K18-not-utf8-in-a-skipped-field": (with_raw(b'"\xff"'), "not_utf8"),
    "K18-lone-surrogate-escape": (a_batch(a_step(name="@")).replace(b"@", b"\\ud800"), "not_json"),
    "K20-no-version": (a_batch(an_event(), v=...), "invalid"),
    "K20-no-project": (a_batch(an_event(), project_id=...), "invalid"),
    "K20-no-producer": (a_batch(an_event(), producer=...), "invalid"),
    "K23-newer-major": (a_batch(an_event(), v=2), "unsupported_major"),
    "K23-version-text": (a_batch(an_event(), v="1"), "invalid"),
    "K23-version-true": (a_batch(an_event(), v=True), "invalid"),
    "K26-task-upper-case": (a_batch(an_event(), task_id=TASK.upper()), "invalid"),
    "K26-task-short": (a_batch(an_event(), task_id=TASK[:-1]), "invalid"),
    "K26-task-newline": (a_batch(an_event(), task_id=TASK + "\n"), "invalid"),
    "K26-task-10-kB": (a_batch(an_event(), task_id="a" * 10_240), "invalid"),
    "K26-task-empty": (a_batch(an_event(), task_id=""), "invalid"),
    "K26-task-zeros": (a_batch(an_event(), task_id="0" * 32), "invalid"),
    "K28-nil-project": (a_batch(an_event(), project_id="00000000-0000-0000-0000-000000000000"), "invalid"),
    "too-many-events": (a_batch(*[an_event()] * (EVENTS_PER_BATCH_MAX + 1)), "too_many_events"),
    "too-large": (b" " * (codec.RECORD_BYTES_MAX + 1), "too_large"),
}


@pytest.mark.parametrize("name", WHOLE_RECORDS)
def test_a_record_that_cannot_be_read_is_one_error_with_a_code(name: str) -> None:
    data, code = WHOLE_RECORDS[name]

    with pytest.raises(codec.MalformedError) as caught:
        codec.decode_batch(data)

    assert caught.value.code == code


BAD_EVENTS = {
    "K15-seq-2^63": (an_event(seq=2**63), "invalid"),
    "K15-seq-not-exact-in-javascript": (an_event(seq=2**53), "invalid"),
    "K15-seq-negative": (an_event(seq=-1), "invalid"),
    "K15-seq-fraction": (an_event(seq=1.5), "invalid"),
    "K15-seq-text": (an_event(seq="1"), "invalid"),
    "K15-seq-true": (an_event(seq=True), "invalid"),
    "K16-tokens-10^30": (a_step(usage={"input": 10**30}), "invalid"),
    "K16-tokens-negative": (a_step(usage={"output": -1}), "invalid"),
    "K20-no-step-id": (an_event(step_id=...), "invalid"),
    "K20-no-kind": (an_event(kind=...), "invalid"),
    "K20-no-type": (an_event(step={"name": "draft", "status": "ok"}), "invalid"),
    "K21-unknown-kind": (an_event(kind="step.teleported"), "unknown_kind"),
    "K21-unknown-step-type": (a_step(type="teleport"), "invalid"),
    "K26-step-zeros": (an_event(step_id="0" * 16), "invalid"),
    "K26-step-newline": (an_event(step_id="b" * 15 + "\n"), "invalid"),
    "K26-step-capitals": (an_event(step_id="B" * 16), "invalid"),
    "K26-step-spaces": (an_event(step_id="bb  " * 4), "invalid"),
    "K26-step-too-long": (an_event(step_id="b" * 18), "invalid"),
    "K26-step-other-digits": (an_event(step_id="\u0661" * 16), "invalid"),
    "K26-event-id-no-hex": (an_event(event_id="g" * 32), "invalid"),
    "K26-parent-no-hex": (a_step(parent_step_id="x" * 16), "invalid"),
    "K26-parent-zeros": (a_step(parent_step_id="0" * 16), "invalid"),
    "K26-beat-of-no-hex": (an_event(kind="step.progressed", steps=[{"step_id": "-" * 16}]), "invalid"),
    "K26-delta-of-no-hex": (an_event(kind="step.progressed", deltas=[{"step_id": "-" * 16, "index": 0, "text": ""}]), "invalid"),
    "K26-log-of-no-hex": (an_event(kind="step.progressed", logs=[{"step_id": "-" * 16, "text": ""}]), "invalid"),
    "K26-lost-no-hex": (an_event(kind="step.lost", step_id="-" * 16, last_beat_us=1), "invalid"),
    "K26-score-no-hex": (an_event(kind="step.scored", step_id="-" * 16, name="n", source="code"), "invalid"),
    "K26-payload-no-hex": (an_event(kind="payload.stored", step_id="-" * 16, slot="input", text="", bytes=0), "invalid"),
    "sha256-no-hex": (an_event(kind="payload.stored", slot="input", text="", bytes=0, sha256="-" * 64), "invalid"),
    "K46-year-294277": (an_event(at_us=9_223_372_036_854_775_807), "invalid"),
    "K46-before-1970": (an_event(at_us=-1), "invalid"),
    "K48-a-date": (an_event(at_us="2026-02-30T00:00:00Z"), "invalid"),
    "K55-tags-10000": (a_step(tags={str(n): "x" for n in range(10_000)}), "invalid"),
    "null": (None, "invalid"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_a_bad_event_is_rejected_alone_and_its_neighbours_live(name: str) -> None:
    bad, code = BAD_EVENTS[name]
    first, last = an_event(event_id="a" * 32), an_event(event_id="c" * 32)

    decoded = codec.decode_batch(a_batch(first, bad, last))

    assert [event.event_id for event in decoded.batch.events] == ["a" * 32, "c" * 32]
    assert decoded.indexes == [0, 2]
    assert [(reject.index, reject.code) for reject in decoded.rejects] == [(1, code)]
    assert msgspec.json.decode(decoded.rejects[0].raw) == bad


@pytest.mark.parametrize(
    "accepted",
    [a_step(name="a\0b"), a_step(duration_us=-5), a_step(cost_nusd=10**21), an_event(later_field={"x": 1}), an_event(step_id="b" * 16)],
)
def test_what_is_cleaned_later_or_unknown_is_let_through(accepted: dict[str, Any]) -> None:
    decoded = codec.decode_batch(a_batch(accepted))

    assert decoded.rejects == []


def test_what_is_encoded_decodes_to_the_same_value() -> None:
    event = codec.decode_event(msgspec.json.encode(an_event()))

    assert isinstance(event, StepStarted)
    assert codec.decode_event(codec.encode(event)) == event


def test_an_error_names_the_place_and_not_the_whole_input() -> None:
    with pytest.raises(codec.MalformedError, match=r"\$\.seq") as caught:
        codec.decode_event(msgspec.json.encode(an_event(seq="s" * 10_000)))

    assert len(str(caught.value)) < 400
