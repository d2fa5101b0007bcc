"""The current step, kept in OpenTelemetry's context so that native steps and OpenTelemetry spans nest in each other.

A second context variable would have to be reconciled with OpenTelemetry's on every step (which of the two is the inner one?).
A single one needs no reconciliation.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

if TYPE_CHECKING:
    from ams.tracing.records import StepRecord

SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key of the current span in OpenTelemetry's context. It is random and private, so it is read from a context that OpenTelemetry wrote."""
STEP_KEY = create_key("ams-step")
STATE_KEY = "ams"
"""The entry of ``tracestate`` that marks a trace whose task a process with this SDK has started."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_STATE = TraceState([(STATE_KEY, "1")])
_put = dict.__setitem__  # a Context refuses items, and creating it from a second dict costs 0.2 us

get_current = otel_context.get_current
attach = otel_context.attach
_variable = getattr(getattr(otel_context, "_RUNTIME_CONTEXT", None), "_current_context", None)
if isinstance(_variable, ContextVar):  # the usual one: its own methods, without the two calls of Python around them
    get_current = _variable.get
    attach = _variable.set

__all__ = ["SPAN_KEY", "STATE_KEY", "STEP_KEY", "Context", "StepSpan", "attach", "current_record", "get_current", "within"]


class StepSpan(NonRecordingSpan):
    """A native step as OpenTelemetry sees it: a parent that records nothing. Its SpanContext (1 us) is created on request."""

    def __init__(self, record: "StepRecord") -> None:  # the base class wants the SpanContext at once
        self.record = record

    def get_span_context(self) -> SpanContext:
        task = self.record.task
        return SpanContext(
            task.id, self.record.id, is_remote=False, trace_flags=_SAMPLED if task.sampled else _NOT_SAMPLED, trace_state=_STATE
        )

    def __repr__(self) -> str:
        return f"StepSpan({self.record.name!r})"


def within(record: "StepRecord", outer: Context) -> Context:
    """``outer`` with ``record`` as the current step and span."""
    inner = Context(outer)
    _put(inner, SPAN_KEY, StepSpan(record))
    _put(inner, STEP_KEY, record)
    return inner


def current_record() -> "StepRecord | None":
    """The innermost native step around the caller."""
    return get_current().get(STEP_KEY)  # type: ignore[return-value]  # only `within` writes that key
