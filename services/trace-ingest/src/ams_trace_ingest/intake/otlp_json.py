"""OTLP in JSON: msgspec decodes the body into structs of the wire format, and one pass over them makes the flat structures."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ams_trace_ingest.characters import lone_surrogates_as_nul
from ams_trace_ingest.intake.otlp_json_values import base64_bytes, double, enum_number, int64, uint32, uint64
from ams_trace_ingest.intake.otlp_span_collector import Scoped, SpanCollector, checked_span, make_dropped, make_resource, make_scope
from ams_trace_ingest.intake.otlp_values import (
    DEPTH_MAX,
    EVENTS_MAX,
    LINKS_MAX,
    LOG_RECORDS_MAX,
    SAFE_CHARS,
    VALUES_MAX,
    MalformedOtlpError,
    Notes,
    TooManySpansError,
    TooManyValuesError,
    as_text,
    binary,
    clean,
)
from ams_trace_ingest.mapping.span_model import LogRecord, Span, SpanEvent, SpanLink

_KINDS = {
    f"SPAN_KIND_{name}": number for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}

# in protobuf's JSON, `null` is the default of any field


class _Array(Struct, gc=False):
    values: "list[_Value | None] | None" = None


class _Map(Struct, gc=False):
    values: "list[_KeyValue] | None" = None


class _Value(Struct, gc=False, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _Map | None = None
    bytes_value: str | None = None


class _KeyValue(Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Event(Struct, gc=False, rename="camel"):
    time_unix_nano: int | str | None = None
    name: str | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | str | None = None


class _Link(Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: list[_KeyValue] | None = None


class _Status(Struct, gc=False):
    code: int | str | None = None
    message: str | None = None


class _Span(Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None
    trace_state: str | None = None
    flags: int | str | None = None
    dropped_attributes_count: int | str | None = None
    dropped_events_count: int | str | None = None
    dropped_links_count: int | str | None = None


class _Scope(Struct, gc=False):
    name: str | None = None
    version: str | None = None
    attributes: list[_KeyValue] | None = None


class _ScopeSpans(Struct, gc=False, rename="camel"):
    scope: _Scope | None = None
    spans: list[_Span] | UnsetType | None = UNSET
    schema_url: str | None = None


class _Resource(Struct, gc=False):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(Struct, gc=False, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | UnsetType | None = UNSET


class _TracesRequest(Struct, gc=False, rename="camel"):
    resource_spans: list[_ResourceSpans] | UnsetType | None = UNSET
    resource_logs: Raw | UnsetType = UNSET
    resource_metrics: Raw | UnsetType = UNSET


class _LogRecord(Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    event_name: str | None = None
    body: _Value | None = None
    attributes: list[_KeyValue] | None = None


class _ScopeLogs(Struct, gc=False, rename="camel"):
    log_records: list[_LogRecord] | None = None


class _ResourceLogs(Struct, gc=False, rename="camel"):
    scope_logs: list[_ScopeLogs] | None = None


class _LogsRequest(Struct, gc=False, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


class _KnownScopeSpans(Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    scope: Raw = Raw()
    spans: Raw = Raw()
    schema_url: Raw = Raw()


class _KnownResourceSpans(Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    resource: Raw = Raw()
    scope_spans: list[_KnownScopeSpans] | None = None
    schema_url: Raw = Raw()


class _KnownTracesRequest(Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    resource_spans: list[_KnownResourceSpans] | None = None


_traces = msgspec.json.Decoder(_TracesRequest)
_known_names = msgspec.json.Decoder(_KnownTracesRequest)
_logs = msgspec.json.Decoder(_LogsRequest)


def read_traces(body: bytes, reader: SpanCollector) -> None:
    """Read an ``ExportTraceServiceRequest`` in JSON into ``reader``.

    Raises:
        MalformedOtlpError: Not JSON, not one, or a number out of its type's range.
        TooManySpansError: Of spans, or of other parts.
    """
    _check_value_count(body)
    request: _TracesRequest = _decode(_traces, body)
    resources: list[_ResourceSpans] = request.resource_spans or []
    count = sum(len(scope.spans or ()) for resource in resources for scope in resource.scope_spans or ())
    reader.check_span_count(count)
    if count == 0:
        _refuse_silent_loss(request, body)
        return
    try:
        for resource_spans in resources:
            if not any(scope.spans for scope in resource_spans.scope_spans or ()):
                continue
            resource = make_resource(_attributes(resource_spans.resource and resource_spans.resource.attributes, Notes()))
            for scope_spans in resource_spans.scope_spans or ():
                if not scope_spans.spans:
                    continue
                scope = scope_spans.scope or _Scope()
                attributes = _attributes(scope.attributes, Notes())
                scoped = reader.open(resource, make_scope(scope.name or "", scope.version or "", scope_spans.schema_url or "", attributes))
                for span in scope_spans.spans:
                    _span(span, scoped)
    except RecursionError as error:
        raise MalformedOtlpError("a value nests too deep") from error


def read_logs(body: bytes) -> list[LogRecord]:
    """Read an ``ExportLogsServiceRequest`` in JSON.

    Raises:
        MalformedOtlpError: Not JSON, not one, or a number out of its type's range.
        TooManySpansError: Of records, or of other parts.
    """
    _check_value_count(body)
    request: _LogsRequest = _decode(_logs, body)
    count = sum(len(scope.log_records or ()) for resource in request.resource_logs or () for scope in resource.scope_logs or ())
    if count > LOG_RECORDS_MAX:
        raise TooManySpansError(f"{count} log records, at most {LOG_RECORDS_MAX}")
    try:
        return [
            LogRecord(
                trace_id=(record.trace_id or "").lower(),
                span_id=(record.span_id or "").lower(),
                time_ns=uint64(record.time_unix_nano) or uint64(record.observed_time_unix_nano),
                event_name=_string(record.event_name or "", "event_name", Notes()),
                body=_value(record.body, "body", Notes(), 1),
                attributes=_attributes(record.attributes, Notes()),
            )
            for resource_logs in request.resource_logs or ()
            for scope_logs in resource_logs.scope_logs or ()
            for record in scope_logs.log_records or ()
        ]
    except RecursionError as error:
        raise MalformedOtlpError("a value nests too deep") from error


def _decode(decoder: Any, body: bytes) -> Any:
    """The request. Lone surrogates arrive as U+0000, which is replaced and flagged span by span."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedOtlpError(f"not OTLP in JSON: {str(error)[:200]}") from error
    except RecursionError as error:
        raise MalformedOtlpError("a value nests too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        readable = lone_surrogates_as_nul(body)
        if readable == body:
            raise MalformedOtlpError(f"not JSON: {str(error)[:200]}") from error
        return _decode(decoder, readable)


def _check_value_count(body: bytes) -> None:
    """Refuse a body before decoding that would fill the memory: ``{}`` has three bytes with its comma, and up to 150 as a struct.

    Raises:
        TooManyValuesError: Over ``VALUES_MAX`` objects. Braces in strings count too, but for those of JSON in strings.
    """
    if body.count(b"{") > VALUES_MAX and body.count(b"{") - body.count(b'{\\"') > VALUES_MAX:
        raise TooManyValuesError


def _refuse_silent_loss(request: _TracesRequest, body: bytes) -> None:
    """An empty request is valid. A request with misspelled field names would lose its spans silently.

    Raises:
        MalformedOtlpError: It holds names that OTLP does not have, and no span.
    """
    if request.resource_logs is not UNSET or request.resource_metrics is not UNSET:
        raise MalformedOtlpError("this is for traces: logs go to /v1/logs, metrics to /v1/metrics")
    resources = request.resource_spans
    scopes = [scope for resource in resources or () for scope in resource.scope_spans or ()]
    if resources is UNSET:
        missing = "resourceSpans"
    elif any(resource.scope_spans is UNSET for resource in resources or ()):
        missing = "scopeSpans"
    elif any(scope.spans is UNSET for scope in scopes):
        missing = "spans"
    else:
        return
    try:
        _known_names.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedOtlpError(f"no span in a body that is not empty: OTLP in JSON calls the field {missing}") from error


def _span(span: _Span, scoped: Scoped) -> None:
    notes = Notes()
    raw_events = span.events or []
    raw_links = span.links or []
    events = [_event(event, notes) for event in raw_events[:EVENTS_MAX]]
    links = [_link(link, notes) for link in raw_links[:LINKS_MAX]]
    status = span.status
    result = Span(
        (span.trace_id or "").lower(),
        (span.span_id or "").lower(),
        (span.parent_span_id or "").lower() or None,
        _string(span.name or "", "name", notes),
        enum_number(span.kind, _KINDS),
        uint64(span.start_time_unix_nano),
        uint64(span.end_time_unix_nano),
        0 if status is None else enum_number(status.code, _CODES),
        "" if status is None else _string(status.message or "", "status.message", notes),
        _string(span.trace_state, "trace_state", notes) if span.trace_state else "",
        uint32(span.flags),
        _attributes(span.attributes, notes),
        events,
        links,
    )
    dropped = (uint32(span.dropped_attributes_count), uint32(span.dropped_events_count), uint32(span.dropped_links_count))
    lost = (len(raw_events) - len(events), len(raw_links) - len(links))
    if notes.cut or notes.replaced or notes.media_left_out or dropped != (0, 0, 0) or lost != (0, 0):
        result.dropped = make_dropped(notes, dropped, lost)
    checked_span(result, scoped)


def _event(event: _Event, notes: Notes) -> SpanEvent:
    name = _string(event.name or "", "event.name", notes)
    return SpanEvent(name, uint64(event.time_unix_nano), _attributes(event.attributes, notes), uint32(event.dropped_attributes_count))


def _link(link: _Link, notes: Notes) -> SpanLink:
    return SpanLink(
        (link.trace_id or "").lower(),
        (link.span_id or "").lower(),
        _attributes(link.attributes, notes),
        _string(link.trace_state or "", "trace_state", notes),
    )


def _string(text: str, key: str, notes: Notes) -> str:
    return clean(text, key, notes) if len(text) > SAFE_CHARS or "\0" in text else text


def _attributes(pairs: list[_KeyValue] | None, notes: Notes) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for pair in pairs or ():
        key = pair.key
        value = pair.value
        text = None if value is None else value.string_value
        if text is None:
            attributes[key] = _value(value, key, notes, 1)
        else:  # most values; `_string` written out, a call for each would be a tenth of the decoding
            attributes[key] = clean(text, key, notes) if len(text) > SAFE_CHARS or "\0" in text else text
    return attributes


def _value(value: _Value | None, key: str, notes: Notes, depth: int) -> Any:  # noqa: PLR0911  one return a field of the oneof
    if value is None:
        return None
    if value.string_value is not None:
        return _string(value.string_value, key, notes)
    if value.int_value is not None:
        return int64(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return double(value.double_value)
    if value.array_value is not None:
        items = [_value(item, key, notes, depth + 1) for item in value.array_value.values or ()]
        return as_text(items, key, notes) if depth == DEPTH_MAX else items
    if value.kvlist_value is not None:
        pairs = value.kvlist_value.values or ()
        entries = {_string(pair.key, key, notes): _value(pair.value, key, notes, depth + 1) for pair in pairs}
        return as_text(entries, key, notes) if depth == DEPTH_MAX else entries
    if value.bytes_value is not None:
        return binary(base64_bytes(value.bytes_value), key, notes)
    return None
