"""OTLP in protobuf: one pass over the messages of upb, one span at a time, makes the flat structures."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as WireRecord
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from ams_trace_ingest.intake.otlp_span_collector import (
    Scoped,
    SpanCollector,
    checked_span,
    make_dropped,
    make_resource,
    make_scope,
)
from ams_trace_ingest.intake.otlp_values import (
    DEPTH_MAX,
    EVENTS_MAX,
    LINKS_MAX,
    LOG_RECORDS_MAX,
    SAFE_CHARS,
    MalformedOtlpError,
    Notes,
    as_text,
    binary,
    clean,
    number,
)
from ams_trace_ingest.intake.otlp_wire import LOG_RECORD, RESOURCE_GROUP, SCOPE_GROUP, SPAN, Room, take_apart
from ams_trace_ingest.mapping.span_model import LogRecord, Resource, Scope, Span, SpanEvent, SpanLink

_encode = msgspec.json.Encoder().encode
_NOTHING: Any = ()
WHOLE_BYTES_MAX = 1 << 20  # 500,000 empty spans, 70 MB; a larger request is parsed span by span


def read_traces(body: bytes, reader: SpanCollector) -> None:
    """Read an ``ExportTraceServiceRequest`` into ``reader``.

    Raises:
        MalformedOtlpError: Not one, or bytes that are not UTF-8 where a string should be.
        TooManySpansError: Of spans, or of other parts.
    """
    if len(body) > WHOLE_BYTES_MAX:
        _read_apart(body, reader)
        return
    request = _parse(ExportTraceServiceRequest, body)
    if body and not request.resource_spans:
        raise MalformedOtlpError("the body is not empty and has no resource_spans: is it an ExportTraceServiceRequest?")
    reader.check_span_count(sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans))
    for resource_spans in request.resource_spans:
        resource = _resource(resource_spans)
        for scope_spans in resource_spans.scope_spans:
            scoped = reader.open(resource, _scope(scope_spans))
            for span in scope_spans.spans:
                _span(span, scoped)


def _read_apart(body: bytes, reader: SpanCollector) -> None:
    """Parse a large request span by span: 2 us a span slower, with bounded memory."""
    room = Room()
    for group in take_apart(body):
        resource = _resource(_parse(ResourceSpans, room.count(group.head, RESOURCE_GROUP)))
        for inner in group.scopes:
            scoped = reader.open(resource, _scope(_parse(ScopeSpans, room.count(inner.head, SCOPE_GROUP))))
            for item in inner.items:
                span = _parse(WireSpan, room.count(item, SPAN))
                reader.count_values(len(span.attributes))
                _span(span, scoped)


def _resource(group: Any) -> Resource:
    return make_resource(_attributes(group.resource.attributes, Notes()))


def _scope(group: Any) -> Scope:
    scope = group.scope
    return make_scope(scope.name, scope.version, group.schema_url, _attributes(scope.attributes, Notes()))


def read_logs(body: bytes) -> list[LogRecord]:
    """Read an ``ExportLogsServiceRequest``.

    Raises:
        MalformedOtlpError: Not one.
        TooManySpansError: Of records, or of other parts.
    """
    room = Room()
    return [
        _record(_parse(WireRecord, room.count(item, LOG_RECORD)))
        for group in take_apart(body, LOG_RECORDS_MAX)
        for inner in group.scopes
        for item in inner.items
    ]


def _record(record: Any) -> LogRecord:
    return LogRecord(
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        time_ns=record.time_unix_nano or record.observed_time_unix_nano,
        event_name=_string(record.event_name, "event_name", Notes()),
        body=_value(record.body, "body", Notes(), 1),
        attributes=_attributes(record.attributes, Notes()),
    )


def _parse(message: Any, body: bytes) -> Any:
    try:
        return message.FromString(body)
    except (DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise MalformedOtlpError("the body is not a protobuf message of this kind") from error


def _span(span: Any, scoped: Scoped) -> None:
    notes = Notes()
    attributes = _attributes(span.attributes, notes)
    raw_events = span.events
    raw_links = span.links
    events = [_event(event, notes) for event in raw_events[:EVENTS_MAX]] if raw_events else []
    links = [_link(link, notes) for link in raw_links[:LINKS_MAX]] if raw_links else []
    status = span.status
    trace_id = span.trace_id
    span_id = span.span_id
    parent = span.parent_span_id
    result = Span(
        trace_id.hex(),
        span_id.hex(),
        parent.hex() or None,
        _string(span.name, "name", notes),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        _string(status.message, "status.message", notes),
        _string(span.trace_state, "trace_state", notes),
        span.flags,
        attributes,
        events,
        links,
    )
    dropped = (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count)
    lost = (len(raw_events) - len(events), len(raw_links) - len(links))
    if notes.cut or notes.replaced or notes.media_left_out or dropped != (0, 0, 0) or lost != (0, 0):
        result.dropped = make_dropped(notes, dropped, lost)
    checked_span(result, scoped)


def _event(event: Any, notes: Notes) -> SpanEvent:
    return SpanEvent(
        _string(event.name, "event.name", notes), event.time_unix_nano, _attributes(event.attributes, notes), event.dropped_attributes_count
    )


def _link(link: Any, notes: Notes) -> SpanLink:
    return SpanLink(
        link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes, notes), _string(link.trace_state, "trace_state", notes)
    )


def _string(text: str, key: str, notes: Notes) -> str:
    return clean(text, key, notes) if len(text) > SAFE_CHARS or "\0" in text else text


def _attributes(pairs: Iterable[Any], notes: Notes) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for pair in pairs:
        key = pair.key
        value = pair.value
        text = value.string_value
        if text:  # most values are strings; WhichOneof would double the cost
            attributes[key] = clean(text, key, notes) if len(text) > SAFE_CHARS or "\0" in text else text
        else:
            which = value.WhichOneof("value")
            attributes[key] = value.int_value if which == "int_value" else _read(value, which, key, notes, 1)
    return attributes


def _value(value: Any, key: str, notes: Notes, depth: int) -> Any:
    return _read(value, value.WhichOneof("value"), key, notes, depth)


def _read(value: Any, which: str | None, key: str, notes: Notes, depth: int) -> Any:
    return None if which is None else _READERS[which](getattr(value, which), key, notes, depth)


def _read_string(value: str, key: str, notes: Notes, _: int) -> Any:
    return _string(value, key, notes)


def _read_plain(value: Any, _: str, __: Notes, ___: int) -> Any:
    return value


def _read_double(value: float, _: str, __: Notes, ___: int) -> Any:
    return number(value)


def _read_bytes(value: bytes, key: str, notes: Notes, _: int) -> Any:
    return binary(value, key, notes)


def _read_array(value: Any, key: str, notes: Notes, depth: int) -> Any:
    items = [_value(item, key, notes, depth + 1) for item in value.values]
    return as_text(items, key, notes) if depth == DEPTH_MAX else items


def _read_map(value: Any, key: str, notes: Notes, depth: int) -> Any:
    items = {_string(pair.key, key, notes): _value(pair.value, key, notes, depth + 1) for pair in value.values}
    return as_text(items, key, notes) if depth == DEPTH_MAX else items


_READERS: dict[str, Callable[[Any, str, Notes, int], Any]] = {
    "string_value": _read_string,
    "bool_value": _read_plain,
    "int_value": _read_plain,
    "double_value": _read_double,
    "bytes_value": _read_bytes,
    "array_value": _read_array,
    "kvlist_value": _read_map,
}
