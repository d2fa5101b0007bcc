"""Shared by both encodings: checks of one span, and collecting spans by resource and scope."""

import re
from typing import Any

import msgspec

from ams_trace_ingest.intake.otlp_values import (
    ATTRIBUTES_MAX,
    LINKS_MAX,
    NAME_CHARS_MAX,
    SPAN_BYTES_MAX,
    SPANS_MAX,
    TIME_NS_END,
    VALUES_MAX,
    Notes,
    TooManySpansError,
    TooManyValuesError,
    bound_keys,
    bound_size,
    clean,
)
from ams_trace_ingest.mapping.span_model import Dropped, Resource, Scope, ScopedSpans, Span

_encode = msgspec.json.Encoder().encode
_is_hex = re.compile(r"[0-9a-f]+").fullmatch
NO_TRACE_ID = "0" * 32
NO_SPAN_ID = "0" * 16
REPEATED_BYTES_MAX = 4_096  # of a resource or scope that each span repeats; a larger one is complete with its first span only
REPEATED_VALUE_BYTES_MAX = 512
REASONS_MAX = 5  # listed in an answer; others are counted


class SpanCollector:
    """Collects the spans of one request, and why others were refused."""

    def __init__(self, body_bytes: int) -> None:
        self.groups: list[ScopedSpans] = []
        self.rejected = 0
        self.reasons: list[str] = []
        self.spans = 0
        self.values = 0
        # no span exceeds its limit when the request does not
        self.sizes_matter = body_bytes > SPAN_BYTES_MAX

    def check_span_count(self, count: int) -> None:
        """Refuse before the spans are read.

        Raises:
            TooManySpansError: Over ``SPANS_MAX``.
        """
        if count > SPANS_MAX:
            raise TooManySpansError(f"{count} spans, at most {SPANS_MAX}")

    def count_values(self, count: int) -> None:
        """Limit the attributes of all spans together.

        Raises:
            TooManyValuesError: Over ``VALUES_MAX``.
        """
        self.values += count
        if self.values > VALUES_MAX:
            raise TooManyValuesError

    def open(self, resource: Resource, scope: Scope) -> "Scoped":
        group = ScopedSpans(resource, scope, [])
        self.groups.append(group)
        return Scoped(self, group)

    def reject(self, reason: str) -> None:
        self.rejected += 1
        if len(self.reasons) < REASONS_MAX and reason not in self.reasons:
            self.reasons.append(reason)


class Scoped:
    """Where the spans of one scope go."""

    __slots__ = ("reader", "spans")

    def __init__(self, reader: SpanCollector, group: ScopedSpans) -> None:
        self.reader = reader
        self.spans = group.spans


def make_resource(attributes: dict[str, Any]) -> Resource:
    """A resource with its JSON."""
    attributes = bound_keys(attributes, Dropped)
    bound_size(attributes, [], Dropped)
    return Resource(attributes, *_encoded({}, attributes))


def make_scope(name: str, version: str, schema_url: str, attributes: dict[str, Any]) -> Scope:
    """A scope with its JSON."""
    attributes = bound_keys(attributes, Dropped)
    bound_size(attributes, [], Dropped)
    notes = Notes()
    names = {"name": clean(name, "", notes), "version": clean(version, "", notes), "schema_url": clean(schema_url, "", notes)}
    fields = {key: value[:NAME_CHARS_MAX] for key, value in names.items() if value}
    return Scope(fields.get("name", ""), fields.get("version", ""), attributes, *_encoded(fields, attributes))


def _encoded(fields: dict[str, Any], attributes: dict[str, Any]) -> tuple[bytes, bytes]:
    """The JSON for the first span, and the one without large values for all others."""
    whole = _encode({**fields, "attributes": attributes})
    if len(whole) <= REPEATED_BYTES_MAX:
        return whole, whole
    small = {key: value for key, value in attributes.items() if len(_encode(value)) <= REPEATED_VALUE_BYTES_MAX}
    again = _encode({**fields, "attributes": small, "left_out": len(attributes) - len(small)})
    return whole, again if len(again) <= REPEATED_BYTES_MAX else _encode({"attributes": {}, "left_out": len(attributes)})


def make_dropped(notes: Notes, client: tuple[int, int, int], lost: tuple[int, int]) -> Dropped:
    """The losses that the decoders noted."""
    attributes, events, links = client
    return Dropped(
        client_attributes=attributes,
        client_events=events,
        client_links=links,
        events=lost[0],
        links=lost[1],
        cut=notes.cut,
        replaced=notes.replaced,
        media=notes.media_left_out,
    )


def id_problem(name: str, value: str, digits: int) -> str | None:
    """Why an id cannot be taken, or ``None``."""
    if _is_hex(value) and len(value) == digits:
        return None if value.strip("0") else f"{name} is all zero"
    return f"{name} must be {digits} hexadecimal digits ({digits // 2} bytes), not all zero"


def checked_span(span: Span, scoped: Scoped) -> None:
    """Add a span to its scope, or count why it is refused."""
    reader = scoped.reader
    problem = id_problem("traceId", span.trace_id, 32) or id_problem("spanId", span.span_id, 16)
    if span.start_ns >= TIME_NS_END:
        problem = problem or "startTimeUnixNano is out of range"
    if span.end_ns >= TIME_NS_END:
        problem = problem or "endTimeUnixNano is out of range"
    if problem is not None:
        reader.reject(problem)
        return
    parent = span.parent_span_id
    if parent is not None and (parent == NO_SPAN_ID or id_problem("parentSpanId", parent, 16) is not None):
        span.bad_parent = parent != NO_SPAN_ID
        span.parent_span_id = None
    attributes = span.attributes
    if len(attributes) > ATTRIBUTES_MAX or not _GOOD_KEYS.issuperset(attributes):
        span.attributes = _checked_keys(attributes, span)
    if reader.sizes_matter:
        lost = _Lost(span)
        span.events = bound_size(span.attributes, span.events, lost)
        if len(span.links) == LINKS_MAX and len(_encode(span.links)) > SPAN_BYTES_MAX:
            lost().links += len(span.links)
            span.links = []
    reader.spans += 1
    scoped.spans.append(span)


_GOOD_KEYS: set[str] = set()
GOOD_KEYS_MAX = 20_000  # keys repeat; a known key is checked by one look-up


def _checked_keys(attributes: dict[str, Any], span: Span) -> dict[str, Any]:
    checked = bound_keys(attributes, _Lost(span))
    if len(_GOOD_KEYS) + len(checked) < GOOD_KEYS_MAX:
        _GOOD_KEYS.update(checked)
    return checked


class _Lost:
    """Creates the span's ``Dropped`` when the first loss is noted."""

    __slots__ = ("span",)

    def __init__(self, span: Span) -> None:
        self.span = span

    def __call__(self) -> Dropped:
        if self.span.dropped is None:
            self.span.dropped = Dropped(cut={})
        return self.span.dropped
