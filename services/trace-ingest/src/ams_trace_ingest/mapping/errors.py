"""Status and failure of a step."""

import re
from typing import Any

from ams_contracts.documents import Failure, Status
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import json_word, load, word
from ams_trace_ingest.mapping.enum_members import OK
from ams_trace_ingest.mapping.previews import preview_of
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
_TRACEBACK = "Traceback (most recent call last):"
_STATES_FAILURE = re.compile(r'"is_?[eE]rror"\s*:\s*true')
_NO_TYPE = "_OTHER"  # OpenTelemetry's value for "no type"

LADDERS = (
    Ladder(Field.ERROR_TYPE, (("error.type", word),)),
    Ladder(Field.LEVEL, (("langfuse.observation.level", json_word),)),
    Ladder(Field.STATUS_MESSAGE, (("langfuse.observation.status_message", json_word),)),
    Ladder(Field.TOOL_STATUS, (("gen_ai.tool.status", word),)),
)


def outcome_of(found: Found, span: Span) -> tuple[Status, Failure | None, str | None]:
    """Status, failure and stack of an ended span. UNSET is ok: most spans never set a status."""
    values = found.values
    error_type = values[Field.ERROR_TYPE]
    if span.status_code != _ERROR and error_type is None and values[Field.LEVEL] != "ERROR" and values[Field.TOOL_STATUS] != "error":
        return OK, None, None
    exception = _exception(span.events)
    thrown = {} if exception is None else exception.attributes
    thrown_type = word(thrown.get("exception.type"))
    if error_type is None or (error_type == _NO_TYPE and thrown_type is not None):
        error_type = thrown_type
    stack = _text(thrown.get("exception.stacktrace"))
    message, in_message = split_traceback(
        _text(thrown.get("exception.message")) or span.status_message or values[Field.STATUS_MESSAGE] or ""
    )
    cancelled = error_type is not None and error_type.rpartition(".")[2] in _CANCELLED
    failure = Failure(type=error_type, message=message[:MESSAGE_CHARS_MAX] if message else None)
    return Status.CANCELLED if cancelled else Status.ERROR, failure, stack or in_message or None


def _exception(events: list[SpanEvent]) -> SpanEvent | None:
    # the last exception ended the span; earlier ones were handled
    return next((event for event in reversed(events) if is_exception(event.name)), None)


def is_exception(name: str) -> bool:
    """Whether an event or a log record is an exception: ``exception``, or one of OpenTelemetry's newer names that end so."""
    return name == "exception" or name.endswith(".exception")


def split_traceback(message: str) -> tuple[str, str | None]:
    """A message without the traceback that some libraries write into it, and the traceback."""
    if _TRACEBACK in message:
        last = message.rstrip().rpartition("\n")[2].strip()
        before = message.partition(_TRACEBACK)[0].strip()
        return before or last, message
    head, frame, _ = message.partition("\n    at ")
    return (head, message) if frame else (message, None)


def stated_failure(result: str) -> Failure | None:
    """The failure that only a tool's result states: MCP's ``isError``, or a tool message that is marked as an error."""
    if "rror" not in result or not _STATES_FAILURE.search(result):
        return None
    value = load(result)
    if isinstance(value, list):  # messages
        parts = [part for message in value if isinstance(message, dict) for part in message.get("content", []) if isinstance(part, dict)]
        value = next((part for part in parts if part.get("type") == "tool_result" and part.get("is_error") is True), None)
    if not isinstance(value, dict) or not (value.get("isError") is True or value.get("is_error") is True):
        return None
    return Failure(
        type="tool_error", message=preview_of(value.get("content") or value.get("result") or value.get("error"))[:MESSAGE_CHARS_MAX] or None
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
