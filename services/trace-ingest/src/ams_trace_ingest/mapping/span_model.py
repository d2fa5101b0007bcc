"""A decoded span: plain Python values within limits. The input of the mapping, independent of the encoding."""

from typing import Any

from msgspec import Struct


class Resource(Struct, gc=False):
    """The emitter of spans. Shared by all its spans, so its JSON is encoded once.

    Attributes:
        attributes: Plain values.
        encoded: Its JSON, for the span that is mapped next.
        encoded_again: The same for all spans after the first: without what is large, else 1 MiB of resource times 10,000 spans.
    """

    attributes: dict[str, Any]
    encoded: bytes
    encoded_again: bytes


class Scope(Struct, gc=False):
    """The instrumentation library. Shared, ``encoded`` and ``encoded_again`` like a resource's."""

    name: str
    version: str
    attributes: dict[str, Any]
    encoded: bytes
    encoded_again: bytes


class SpanEvent(Struct, gc=False, omit_defaults=True):
    """An event of a span. ``time_ns`` may be 0."""

    name: str
    time_ns: int = 0
    attributes: dict[str, Any] = {}
    dropped_attributes: int = 0


class SpanLink(Struct, gc=False, omit_defaults=True):
    """A link to another span."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any] = {}
    trace_state: str = ""


class Dropped(Struct, gc=False, omit_defaults=True):
    """What a span lost: in the client (as the client reports), and in intake.

    ``cut`` maps an attribute to its true length in UTF-8 bytes.
    """

    client_attributes: int = 0
    client_events: int = 0
    client_links: int = 0
    attributes: int = 0
    events: int = 0
    links: int = 0
    keys: int = 0  # empty or over-long
    cut: dict[str, int] = {}
    replaced: bool = False  # NUL or lone surrogates became U+FFFD
    media: bool = False  # long base64 of a value over the cap is named by its size


class Span(Struct, gc=False, omit_defaults=True):
    """One span. Ids are lower-case hex; times are nanoseconds since the epoch, 0 when missing.

    Its JSON is the canonical form that the event id is made of, so field order and defaults are part of the contract.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    status_code: int = 0
    status_message: str = ""
    trace_state: str = ""
    flags: int = 0
    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    dropped: Dropped | None = None
    bad_parent: bool = False


class ScopedSpans(Struct, gc=False):
    """The spans of one scope of one resource, in the order of the request."""

    resource: Resource
    scope: Scope
    spans: list[Span]


class LogRecord(Struct, gc=False):
    """A log record that belongs to a span. ``body`` is a plain Python value."""

    trace_id: str
    span_id: str
    time_ns: int
    event_name: str
    body: Any
    attributes: dict[str, Any]
