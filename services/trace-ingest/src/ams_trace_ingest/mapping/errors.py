"""How a step ended, and why it failed."""

from typing import Any

from ams_contracts.documents import Failure, Status
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import json_word, word
from ams_trace_ingest.mapping.enum_members import OK
from ams_trace_ingest.mapping.span_model import Span, SpanEvent

MESSAGE_CHARS_MAX = 4_096
_ERROR = 2
_CANCELLED = frozenset(
    {
        "CancelledError",
        "KeyboardInterrupt",
        "TaskCanceledException",
        "OperationCanceledException",
        "CancellationException",
        "AbortError",
        "cancelled",
        "canceled",
    }
)
_NO_TYPE = "_OTHER"  # OpenTelemetry's word for "has none"

LADDERS = (
    Ladder(Field.ERROR_TYPE, (("error.type", word),)),
    Ladder(Field.LEVEL, (("langfuse.observation.level", json_word),)),
    Ladder(Field.STATUS_MESSAGE, (("langfuse.observation.status_message", json_word),)),
    Ladder(Field.TOOL_STATUS, (("gen_ai.tool.status", word),)),
)


def outcome_of(found: Found, span: Span) -> tuple[Status, Failure | None, str | None]:
    """Status, failure and stack of a span that has ended. UNSET is ok: most spans never set it."""
    values = found.values
    error_type = values[Field.ERROR_TYPE]
    if span.status_code != _ERROR and error_type is None and values[Field.LEVEL] != "ERROR" and values[Field.TOOL_STATUS] != "error":
        return OK, None, None
    exception = _exception(span.events)
    thrown = {} if exception is None else exception.attributes
    thrown_type = word(thrown.get("exception.type"))
    if error_type is None or (error_type == _NO_TYPE and thrown_type is not None):
        error_type = thrown_type
    message = span.status_message or _text(thrown.get("exception.message")) or values[Field.STATUS_MESSAGE]
    cancelled = error_type is not None and error_type.rpartition(".")[2] in _CANCELLED
    failure = Failure(type=error_type, message=message[:MESSAGE_CHARS_MAX] if message else None)
    return Status.CANCELLED if cancelled else Status.ERROR, failure, _text(thrown.get("exception.stacktrace")) or None


def _exception(events: list[SpanEvent]) -> SpanEvent | None:
    # the last one is what ended the span; those before were survived
    return next((event for event in reversed(events) if event.name == "exception"), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
