"""The current step, kept in OpenTelemetry's context so that native steps and OpenTelemetry spans nest in each other.

A second context variable would have to be reconciled with OpenTelemetry's on every step (which of the two is the inner one?).
A single one needs no reconciliation and costs 0.5 us.
"""

from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, create_key, get_current
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
    return Context({**outer, SPAN_KEY: StepSpan(record), STEP_KEY: record})


def current_record() -> "StepRecord | None":
    """The innermost native step around the caller."""
    return get_current().get(STEP_KEY)  # type: ignore[return-value]  # only `within` writes that key
