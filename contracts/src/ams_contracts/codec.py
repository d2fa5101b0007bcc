"""Decodes bytes that others sent into contracts, and encodes contracts.

The checks are, in this order: size, UTF-8, strict msgspec. Every error of the decoder (RecursionError and OverflowError included) becomes a
``MalformedError``.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from ams_contracts.events import (
    BATCH_BYTES_MAX,
    BATCH_VERSION,
    EVENTS_PER_BATCH_MAX,
    Batch,
    Event,
    MediaStored,
    PayloadStored,
    Producer,
    ScoreRecorded,
    StepEnded,
    StepLost,
    StepProgressed,
    StepRecorded,
    StepScored,
    StepStarted,
)
from ams_contracts.ids import ProjectId, TaskId

RECORD_BYTES_MAX = 2 * BATCH_BYTES_MAX
_NO_STEP = "0" * 16
_OF_A_STEP = frozenset({StepLost, StepScored, ScoreRecorded})
_DOCUMENTED = frozenset({StepStarted, StepEnded, StepRecorded})

T = TypeVar("T")


class MalformedError(ValueError):
    """The bytes cannot be decoded. ``code`` is stable: too_large, not_utf8, not_json, too_deep, unsupported_major, unknown_kind, invalid, empty."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class Reject(Struct, frozen=True):
    """An event of a batch that could not be decoded: its index in the batch, the reason, and its bytes."""

    index: int
    code: str
    detail: str
    raw: bytes


class DecodedBatch(Struct, frozen=True):
    """A batch: the events that could be decoded with their indexes, and those that could not."""

    batch: Batch
    indexes: list[int]
    rejects: list[Reject]


class _Version(Struct):
    v: Any = None


class _RawBatch(Struct, frozen=True, kw_only=True):
    v: Literal[1]
    project_id: ProjectId
    task_id: TaskId | None = None
    producer: Producer
    events: list[Raw]


_batch = msgspec.json.Decoder(Batch)
_raw_batch = msgspec.json.Decoder(_RawBatch)
_event = msgspec.json.Decoder(Event)
_version = msgspec.json.Decoder(_Version)


encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""A contract as JSON. The encoder's own method, because it runs for every row and event."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes, *, bytes_max: int = RECORD_BYTES_MAX) -> T:
    """Decode bytes that another process sent.

    Raises:
        MalformedError: The bytes are not a valid value; no other error is raised.
    """
    if not data:
        raise MalformedError("empty")
    if len(data) > bytes_max:
        raise MalformedError("too_large", f"{len(data)} bytes, at most {bytes_max}")
    try:
        if not data.isascii():
            str(data, "utf-8")  # the decoder does not check fields that it skips, and these bytes are forwarded to browsers as text
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        code = "unknown_kind" if "Invalid value '" in str(error) and str(error).endswith("$.kind`") else "invalid"
        raise MalformedError(code, str(error)[:300]) from error
    except RecursionError as error:
        raise MalformedError("too_deep") from error
    except UnicodeDecodeError as error:
        raise MalformedError("not_utf8") from error
    except (msgspec.DecodeError, ValueError, OverflowError, TypeError, MemoryError) as error:
        raise MalformedError("not_utf8" if "utf-8" in str(error).lower() else "not_json", str(error)[:300]) from error


def decode_event(data: bytes) -> Event:
    """One event.

    Raises:
        MalformedError: It cannot be decoded.
    """
    event = decode(_event, data)
    if not _ids_are_valid([event]):
        raise MalformedError("invalid", "ids are lower-case hex digits, and those of steps not all zero")
    return event


def decode_batch(data: bytes | None) -> DecodedBatch:
    """Decode a record's value. When the batch does not decode as one, its events are decoded one by one, so that a bad event does not cost the others.

    Raises:
        MalformedError: Not even the envelope can be decoded.
    """
    if data is None:
        raise MalformedError("tombstone_unsupported")
    try:
        batch = decode(_batch, data)
    except MalformedError as error:
        if error.code in {"empty", "too_large", "too_deep", "not_json", "not_utf8"}:
            raise
        return _decode_one_by_one(data)
    if not _ids_are_valid(batch.events):
        return _decode_one_by_one(data)
    return DecodedBatch(batch, list(range(len(batch.events))), [])


def _ids_are_valid(events: Sequence[Any]) -> bool:
    """Whether the ids, whose lengths are checked already, are lower-case hex digits, and no step id is all zeros."""
    words = [event.event_id for event in events]
    if _DOCUMENTED.issuperset(map(type, events)):  # most batches
        steps = [event.step_id for event in events]
        steps += [parent_id for event in events if (parent_id := event.step.parent_step_id) is not None]
    else:
        steps = _step_ids(events, words)
    joined = "".join(chain(words, steps))
    try:
        return bytes.fromhex(joined).hex() == joined and _NO_STEP not in steps
    except ValueError:
        return False


def _step_ids(events: Sequence[Any], words: list[str]) -> list[str]:
    """The ids of steps in any events; other ids are added to ``words``."""
    steps: list[str] = []
    for event in events:
        kind = type(event)
        if kind in _DOCUMENTED:
            steps.append(event.step_id)
            if event.step.parent_step_id is not None:
                steps.append(event.step.parent_step_id)
        elif kind is PayloadStored:
            steps.append(event.step_id)
            if event.sha256 is not None:
                words.append(event.sha256)
        elif kind is MediaStored:
            words.append(event.sha256)
        elif kind is StepProgressed:
            steps.extend(part.step_id for part in chain(event.steps, event.deltas, event.logs))
        elif kind in _OF_A_STEP:
            steps.append(event.step_id or "")
    return steps


def _decode_one_by_one(data: bytes) -> DecodedBatch:
    version = decode(_version, data).v
    if isinstance(version, int) and version > BATCH_VERSION:
        raise MalformedError("unsupported_major", f"version {version}, this reads {BATCH_VERSION}")
    raw = decode(_raw_batch, data)
    if len(raw.events) > EVENTS_PER_BATCH_MAX:
        raise MalformedError("too_many_events", f"{len(raw.events)}, at most {EVENTS_PER_BATCH_MAX}")
    events: list[Event] = []
    indexes: list[int] = []
    rejects: list[Reject] = []
    for index, item in enumerate(raw.events):
        try:
            events.append(decode_event(bytes(item)))
            indexes.append(index)
        except MalformedError as error:
            rejects.append(Reject(index, error.code, error.detail, bytes(item)))
    batch = Batch(v=BATCH_VERSION, project_id=raw.project_id, task_id=raw.task_id, producer=raw.producer, events=events)
    return DecodedBatch(batch, indexes, rejects)
