"""The second net for secrets: what a sender did not mask is masked before it reaches the log. Pure.

The SDK masks before it sends; spans of plain OpenTelemetry and other clients of the batch format may not. The patterns are those of the SDK
(``ams_contracts.masking``). A project can switch it off.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import asdict, replace

from ams_contracts.documents import StepDocument, TaskDocument
from ams_contracts.events import PAYLOAD_CHARS_MAX, AgentRegistered, Event, PayloadStored, ScoreRecorded, StepProgressed, StepScored
from ams_contracts.masking import Masker, is_secret_name, may_hold_secret
from ams_trace_ingest.intake.otlp_span_collector import make_resource
from ams_trace_ingest.mapping.span_model import LogRecord, Resource, ScopedSpans

MASKER: Final = Masker()
CARD_DIGITS_MIN: Final = 10**11  # a smaller number is no card number
NAMES_MAX: Final = 4_096
SHORT_CHARS_MAX: Final = 64
_TEXTS: Final = ("name", "span_name", "parameters", "waiting_for", "preview_input", "preview_output", "preview")
_OTHER_TEXTS: Final = ("comment", "explanation", "label", "description")  # of scores and agents


def mask_spans(groups: Iterable[ScopedSpans]) -> int:
    """Mask spans where they are.

    Returns:
        How many spans and resources held something that was replaced.
    """
    changed = 0
    seen: set[int] = set()
    for group in groups:
        if id(group.resource) not in seen:
            seen.add(id(group.resource))
            changed += _mask_resource(group.resource)
        for span in group.spans:
            name, message = _text(span.name), _text(span.status_message)
            replaced = (name, message) != (span.name, span.status_message)
            span.name, span.status_message = name, message
            replaced |= _mask(span.attributes)
            for part in (*span.events, *span.links):
                replaced |= _mask(part.attributes)
            changed += replaced
    return changed


def mask_log_records(records: Iterable[LogRecord]) -> int:
    """Mask log records where they are. Returns how many held something."""
    changed = 0
    for record in records:
        body = MASKER.value(record.body)
        changed += (body != record.body) | _mask(record.attributes)
        record.body = body
    return changed


def mask_event(event: Event, data: bytes) -> Event:
    """Mask an event of the batch format.

    Args:
        event: As decoded.
        data: As sent: an event without any trace of a secret costs one look at its bytes.

    Returns:
        The same object when nothing was replaced.
    """
    if not may_hold_secret(data.decode("utf-8", "replace")):
        return event
    if isinstance(event, PayloadStored):
        return _mask_payload(event)
    if isinstance(event, StepProgressed):
        logs = [replace(line, text=_text(line.text)) for line in event.logs]
        deltas = [replace(delta, text=_text(delta.text)) for delta in event.deltas]
        return event if (logs, deltas) == (event.logs, event.deltas) else replace(event, logs=logs, deltas=deltas)
    if isinstance(event, AgentRegistered | ScoreRecorded | StepScored):
        return _mask_fields(event)
    for field in ("step", "task"):
        document = getattr(event, field, None)
        if isinstance(document, StepDocument | TaskDocument):
            masked = _mask_document(document)
            return event if masked is document else replace(event, **{field: masked})
    return event


def _text(text: str) -> str:
    """Not longer than it was: what replaces a short secret could exceed the limit of a field."""
    return (_masked_short(text) if len(text) <= SHORT_CHARS_MAX else MASKER.text(text))[: len(text)]


def _mask_payload(event: PayloadStored) -> PayloadStored:
    text = MASKER.json(event.text.encode()).decode() if event.mime.endswith("json") else MASKER.text(event.text)
    consumed = None if event.consumed is None else MASKER.json(event.consumed.encode()).decode()
    if (text, consumed) == (event.text, event.consumed):
        return event
    cut = len(text) > PAYLOAD_CHARS_MAX
    size = event.bytes if event.truncated else len(text.encode())
    if consumed is not None and len(consumed) > PAYLOAD_CHARS_MAX:
        consumed = None
    return replace(event, text=text[:PAYLOAD_CHARS_MAX], truncated=event.truncated or cut, bytes=size, consumed=consumed, sha256=None)


def _mask_fields(event: AgentRegistered | ScoreRecorded | StepScored) -> Event:
    changes: dict[str, Any] = {
        name: masked for name in _OTHER_TEXTS if (text := getattr(event, name, None)) and (masked := _text(text)) != text
    }
    if isinstance(event, AgentRegistered) and (metadata := MASKER.value(event.metadata)) != event.metadata:
        changes["metadata"] = metadata
    return replace(event, **changes) if changes else event


def _mask_document(document: StepDocument | TaskDocument) -> StepDocument | TaskDocument:
    values = asdict(document)
    changes: dict[str, Any] = {
        name: text for name in _TEXTS if isinstance(values.get(name), str) and (text := _text(values[name])) != values[name]
    }
    error = values.get("error")
    if error is not None and error.message and (message := _text(error.message)) != error.message:
        changes["error"] = replace(error, message=message)
    tags = MASKER.value(values.get("tags") or {})
    if tags != (values.get("tags") or {}):
        changes["tags"] = tags
    return replace(document, **changes) if changes else document


def _mask_resource(resource: Resource) -> bool:
    if not _mask(resource.attributes):
        return False
    masked = make_resource(resource.attributes)
    resource.attributes, resource.encoded, resource.encoded_again = masked.attributes, masked.encoded, masked.encoded_again
    return True


def _mask(attributes: dict[str, Any]) -> bool:
    """Mask attributes where they are. Returns whether anything was replaced."""
    changes = {key: masked for key, value in attributes.items() if (masked := _masked(key, value)) is not value}
    attributes.update(changes)
    return bool(changes)


def _masked(key: str, value: Any) -> Any:
    """The value without its secrets; the same object when it has none."""
    kind = value.__class__
    if _hides(key):
        masked = MASKER.value(value, key.rpartition(".")[2])
    elif kind is str:
        masked = _masked_text(value)
    elif kind is list or kind is dict or (kind is int and abs(value) >= CARD_DIGITS_MIN):
        masked = MASKER.value(value)
    else:
        return value
    return value if masked == value else masked


def _masked_text(text: str) -> str:
    if len(text) <= SHORT_CHARS_MAX:
        return _masked_short(text)
    if text[0] not in "{[":
        return MASKER.text(text)
    return MASKER.json(text.encode()).decode() if may_hold_secret(text) else text


@lru_cache(NAMES_MAX)
def _masked_short(text: str) -> str:
    """Names of models, hosts and operations come again and again."""
    return MASKER.json(text.encode()).decode() if text[:1] in {"{", "["} else MASKER.text(text)


@lru_cache(NAMES_MAX)
def _hides(key: str) -> bool:
    """Whether the name of an attribute says that its value is secret, or may be when it is a long word."""
    return is_secret_name(key.rpartition(".")[2], "x" * 32)
