"""``POST /v1/batches``: a request of the SDK -> records for the log. A bad event is refused alone."""

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.codec import MalformedError, decode, decode_event, encode
from ams_contracts.documents import BILLABLE_TYPES, CostSource, StepDocument, TaskDocument
from ams_contracts.events import (
    AgentRegistered,
    Event,
    MediaStored,
    PayloadStored,
    PriceSet,
    ProjectTombstone,
    ScoreRecorded,
    StepEnded,
    StepLost,
    StepRecorded,
    TaskDeleted,
)
from ams_contracts.native import REQUEST_BYTES_MAX, REQUEST_EVENTS_MAX, RawNativeBatch, RawNativeRequest, RejectedEvent
from ams_contracts.scores import names_a_person
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_kit.errors import BadRequestError, InvalidError, TooLargeError, UnsupportedError
from ams_kit.telemetry.metrics import MASKED
from ams_trace_ingest import characters
from ams_trace_ingest.characters import lone_surrogates_as_nul, replace_invalid_escapes
from ams_trace_ingest.intake.masking import mask_event
from ams_trace_ingest.intake.records import STEPS_RECORD_BYTES_MAX, pack, pack_agent
from ams_trace_ingest.pricing.price import Prices

ENVELOPE_BYTES_MAX = 4_096  # of a record, beside its events
FLAGS_MAX = 32  # of a document
_request = msgspec.json.Decoder(RawNativeRequest)
_version = msgspec.json.Decoder(dict[str, msgspec.Raw])


class NativeRecords(Struct, frozen=True):
    """The result of a request: its records (payloads before steps), the number of accepted events, and the refused ones."""

    payloads: list[Record]
    steps: list[Record]
    accepted: int
    rejected: list[RejectedEvent]


class TakenEvents(Struct, frozen=True):
    """Encoded events of a batch by topic, registered agents with their names, and refused events with the decoder's reason."""

    steps: list[bytes]
    payloads: list[bytes]
    agents: list[tuple[str, bytes]]
    rejected: list[tuple[RejectedEvent, str]]


def read_native(data: bytes, *, project_id: str, key_id: str, prices: Prices, masking: bool = False) -> NativeRecords:
    """Decode, check and pack a request.

    Args:
        data: The body.
        project_id: From the credential.
        key_id: The API key's.
        prices: To compute what is not reported.
        masking: Whether secrets that the sender did not mask are masked here.

    Raises:
        BadRequestError: Not JSON.
        InvalidError: Valid JSON, but not a request.
        UnsupportedError: An unknown version of the format.
        TooLargeError: Too many events.
    """
    request = _decode_request(data)
    if sum(len(batch.events) for batch in request.batches) > REQUEST_EVENTS_MAX:
        raise TooLargeError(f"at most {REQUEST_EVENTS_MAX} events a request", code="too_many_events")
    result = NativeRecords([], [], 0, [])
    accepted = sum(_read_batch(batch, result, project_id, key_id, prices, masking=masking) for batch in request.batches)
    return replace(result, accepted=accepted)


def _decode_request(data: bytes) -> RawNativeRequest:
    try:
        return decode(_request, data, bytes_max=REQUEST_BYTES_MAX)
    except MalformedError as error:
        if error.code == "too_large":
            raise TooLargeError(error.detail) from error
        if error.code == "not_json" and (readable := lone_surrogates_as_nul(data)) != data:
            return _decode_request(readable)
        if error.code in {"empty", "not_json", "not_utf8", "too_deep"}:
            raise BadRequestError(error.detail or "an empty body", code="malformed_json") from error
        if error.detail.endswith("`$.v`"):
            raise UnsupportedError("this server reads version 1 of the batch format", code="unsupported_version") from error
        raise InvalidError(error.detail) from error


def _read_batch(batch: RawNativeBatch, result: NativeRecords, project_id: str, key_id: str, prices: Prices, *, masking: bool) -> int:
    taken = take_events(batch, prices, masking=masking)
    result.rejected.extend(event for event, _ in taken.rejected)
    for name, data in taken.agents:
        result.steps.append(pack_agent(project_id, name, batch.producer, data, key_id=key_id))
    if batch.task_id is not None:
        result.payloads.extend(pack(PAYLOADS, project_id, batch.task_id, batch.producer, taken.payloads, key_id=key_id))
        result.steps.extend(pack(STEPS, project_id, batch.task_id, batch.producer, taken.steps, key_id=key_id))
    return len(taken.agents) + len(taken.payloads) + len(taken.steps)


def take_events(
    batch: RawNativeBatch, prices: Prices, *, change: Callable[[Event], Event] | None = None, masking: bool = False
) -> TakenEvents:
    """Decode and check the events of a batch.

    Args:
        batch: With its events not yet decoded.
        prices: To compute what is not reported.
        change: Makes another event of one that is accepted.
        masking: Whether secrets are masked.
    """
    taken = TakenEvents([], [], [], [])
    for raw in batch.events:
        sent = bytes(raw)
        data = replace_invalid_escapes(sent)
        characters_replaced = data is not sent
        try:
            event = decode_event(data)
            if masking and (masked := mask_event(event, data)) is not event:
                MASKED.labels("native").inc()
                event = masked
                data = encode(event)
            refusal = _refusal(event, batch, len(data))
        except MalformedError as error:
            taken.rejected.append((RejectedEvent(event_id=_event_id(data), code=error.code), error.detail))
            continue
        if refusal:
            taken.rejected.append((RejectedEvent(event_id=event.event_id, code=refusal), ""))
            continue
        if characters_replaced:
            event = _flagged(event)
            data = encode(event)
        if change is not None:
            event = change(event)
            data = encode(event)
        finished = _priced(event, data, prices)
        if isinstance(event, AgentRegistered):
            taken.agents.append((event.name, finished))
        elif isinstance(event, PayloadStored | MediaStored):
            taken.payloads.append(finished)
        else:
            taken.steps.append(finished)
    return taken


def _refusal(event: Event, batch: RawNativeBatch, size: int) -> str | None:
    """Why an event that decodes is refused; ``None`` when it is accepted."""
    if isinstance(event, TaskDeleted | ProjectTombstone | PriceSet | StepLost):
        return "not_allowed"  # only people and the platform may send these
    if isinstance(event, ScoreRecorded) and names_a_person(event):
        return "not_allowed"  # the author of a person's score comes from their credential
    if batch.task_id is None and not isinstance(event, AgentRegistered):
        return "task_id_missing"
    if isinstance(event, MediaStored) and (event.bytes, event.sha256) != (len(event.data), hashlib.sha256(event.data).hexdigest()):
        return "wrong_hash"
    record_bytes_max = PAYLOADS.record_bytes_max if isinstance(event, PayloadStored | MediaStored) else STEPS_RECORD_BYTES_MAX
    return "too_large" if size > record_bytes_max - ENVELOPE_BYTES_MAX else None


def _priced(event: Event, data: bytes, prices: Prices) -> bytes:
    """The event's bytes, with a cost when it ends a call of known price and reports none."""
    if isinstance(event, StepEnded | StepRecorded):
        step = event.step
        if step.cost_nusd is None and step.usage is not None and step.type in BILLABLE_TYPES:
            at_us = step.started_at_us or event.at_us
            nusd = prices.price(provider=step.provider, model=step.model, requested=step.model_requested, at_us=at_us, usage=step.usage)
            if nusd is not None:
                return encode(replace(event, step=replace(step, cost_nusd=nusd, cost_source=CostSource.COMPUTED)))
    return data


def _flagged(event: Event) -> Event:
    """The event, with the flag on the document whose characters were replaced. Payloads have no flags."""
    for field in ("step", "task"):
        document = getattr(event, field, None)
        if isinstance(document, StepDocument | TaskDocument) and characters.FLAG not in document.flags:
            return replace(event, **{field: replace(document, flags=[*document.flags[: FLAGS_MAX - 1], characters.FLAG])})
    return event


def _event_id(data: bytes) -> str | None:
    """The id of an event that does not decode, when it has one."""
    try:
        found = msgspec.json.decode(decode(_version, data).get("event_id", b"null"))
    except (MalformedError, msgspec.DecodeError):
        return None
    return found if isinstance(found, str) and len(found) <= 64 else None  # noqa: PLR2004  an id of ours has 32
