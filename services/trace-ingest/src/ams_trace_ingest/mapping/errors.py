"""Status and failure of a step."""

import re
from typing import Any

from ams_contracts.documents import Failure, Status
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import json_word, load, word
from ams_trace_ingest.mapping.enum_members import OK
from ams_trace_ingest.mapping.previews import preview_of, python_literal
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
_STATES_FAILURE = re.compile(r"""["'](?:is_?[eE]rror["']\s*:\s*["']?[tT]rue|status["']\s*:\s*["']error|type["']\s*:\s*["']error-)""")
_TRUE = (True, "true", "True")
_CALLS = frozenset({"toolUseId", "tool_use_id", "tool_call_id", "toolCallId"})
_NO_TYPE = "_OTHER"  # OpenTelemetry's value for "no type"
_FRAMES = ("\n    at ", "\n\tat ")  # JavaScript, Java


def _success(value: Any) -> str | None:
    return "error" if value is False or value == "false" else None


LADDERS = (
    Ladder(Field.ERROR_TYPE, (("error.type", word),)),
    Ladder(Field.LEVEL, (("langfuse.observation.level", json_word),)),
    Ladder(
        Field.STATUS_MESSAGE,
        tuple((key, json_word) for key in ("langfuse.observation.status_message", "error.message", "exception.message")),
    ),
    Ladder(
        Field.TOOL_STATUS,
        (("gen_ai.tool.status", word), ("gen_ai.tool.success", _success), ("gen_ai.tool.execution.success", _success)),
    ),
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
    for frame in _FRAMES:
        if frame in message:
            return message.partition(frame)[0], message
    return message, None


def stated_failure(result: str) -> Failure | None:
    """The failure that only a tool's result states: MCP's ``isError``, and what Strands, LangChain and the AI SDK say instead."""
    if "rror" not in result or _STATES_FAILURE.search(result) is None:
        return None
    value = load(result)
    if value is None:
        value = python_literal(result)
    if isinstance(value, list):  # messages
        parts = [part for message in value if isinstance(message, dict) for part in message.get("content", []) if isinstance(part, dict)]
        value = next((part for part in parts if part.get("type") == "tool_result" and part.get("is_error") is True), None)
    if not isinstance(value, dict) or not _is_failure(value):
        return None
    words = next((value[key] for key in ("content", "result", "value", "error") if value.get(key)), None)
    return Failure(type="tool_error", message=preview_of(words)[:MESSAGE_CHARS_MAX] or None)


def _is_failure(value: dict[str, Any]) -> bool:
    if any(value.get(key) in _TRUE for key in ("isError", "is_error")):
        return True
    # the frame of a tool's answer, which names the call: a result of the tool itself may have a status of its own
    if value.get("status") == "error" and not _CALLS.isdisjoint(value):
        return True
    return value.get("type") in {"error-text", "error-json"} and "value" in value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
