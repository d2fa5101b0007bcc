"""Logfire's pending spans: each announces that another span has started, so that it is visible while it runs."""

from ams_trace_ingest.mapping.attribute_rules import Field, Found
from ams_trace_ingest.mapping.span_model import Span

_ROOT = "0000000000000000"
_DIGITS = frozenset("0123456789abcdef")
_SPAN_ID_DIGITS = 16


def pending_of(found: Found, span: Span) -> tuple[str, str | None] | None:
    """Step id and parent of the span that is pending, or ``None`` when this is no such announcement.

    The pending span's parent *is* the span that it announces; that one's parent is in ``logfire.pending_parent_id``.
    """
    if found.values[Field.SPAN_TYPE] != "pending_span" or span.parent_span_id is None:
        return None
    parent = found.values[Field.PENDING_PARENT]
    parent = parent.lower() if parent is not None else None
    known = parent is not None and parent != _ROOT and len(parent) == _SPAN_ID_DIGITS and _DIGITS.issuperset(parent)
    return span.parent_span_id, parent if known else None
