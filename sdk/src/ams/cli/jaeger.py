"""Traces in Jaeger's JSON, as its pages and its API write and read it, to and from lines of OTLP/JSON. Pure.

The names are those of Jaeger's own translation of OpenTelemetry: ``span.kind``, ``otel.status_code``, ``otel.scope.name``, ``w3c.tracestate``.
Jaeger has microseconds, and tags with one value: lists and objects become their JSON text. The attributes of links and scopes have no place.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

SPANS_A_LINE = 500
SERVICE_UNKNOWN = "unknown_service"
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_KIND_NUMBERS = {name: number for number, name in _KINDS.items()}
_OK, _ERROR = 1, 2
_CODES = {"OK": _OK, "ERROR": _ERROR}
_CHILD_OF, _FOLLOWS_FROM = "CHILD_OF", "FOLLOWS_FROM"
_SAFE_INTEGER_MAX = 2**53 - 1  # Jaeger writes larger ones as text, for its pages


class _Tag(Struct):
    key: str
    value: Any = None
    type: str = "string"


class _Log(Struct):
    timestamp: int
    fields: list[_Tag] = []


class _Reference(Struct, rename={"ref_type": "refType", "trace_id": "traceID", "span_id": "spanID"}):
    ref_type: str
    trace_id: str
    span_id: str


class _Process(Struct, rename={"service_name": "serviceName"}):
    service_name: str = SERVICE_UNKNOWN
    tags: list[_Tag] | None = None


_NAMES = {
    "trace_id": "traceID", "span_id": "spanID", "operation_name": "operationName", "start_time": "startTime", "process_id": "processID",
}  # fmt: skip


class _Span(Struct, rename=_NAMES):
    trace_id: str
    span_id: str
    operation_name: str
    start_time: int
    duration: int
    references: list[_Reference] | None = None
    tags: list[_Tag] | None = None
    logs: list[_Log] | None = None
    process_id: str = ""
    process: _Process | None = None


class _Trace(Struct, rename={"trace_id": "traceID"}):
    spans: list[_Span]
    trace_id: str = ""
    processes: dict[str, _Process] = {}


class _Document(Struct):
    data: list[_Trace]


class _Any(Struct):
    """What distinguishes Jaeger's JSON from other files."""

    data: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    spans: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _OtlpValue(Struct):
    key: str
    value: dict[str, Any] = {}


class _OtlpEvent(Struct, rename="camel"):
    name: str = ""
    time_unix_nano: str = "0"
    attributes: list[_OtlpValue] = []


class _OtlpLink(Struct, rename="camel"):
    trace_id: str
    span_id: str


class _OtlpStatus(Struct):
    code: int = 0
    message: str = ""


class _OtlpSpan(Struct, rename="camel"):
    trace_id: str
    span_id: str
    name: str = ""
    kind: int = 0
    parent_span_id: str = ""
    trace_state: str = ""
    start_time_unix_nano: str = "0"
    end_time_unix_nano: str = "0"
    attributes: list[_OtlpValue] = []
    events: list[_OtlpEvent] = []
    links: list[_OtlpLink] = []
    status: _OtlpStatus = field(default_factory=_OtlpStatus)


class _OtlpScope(Struct):
    name: str = ""
    version: str = ""


class _OtlpScopeSpans(Struct):
    scope: _OtlpScope = field(default_factory=_OtlpScope)
    spans: list[_OtlpSpan] = []


class _OtlpResource(Struct):
    attributes: list[_OtlpValue] = []


class _OtlpResourceSpans(Struct, rename="camel"):
    resource: _OtlpResource = field(default_factory=_OtlpResource)
    scope_spans: list[_OtlpScopeSpans] = []


class _OtlpLine(Struct, rename="camel"):
    resource_spans: list[_OtlpResourceSpans]


_encode = msgspec.json.encode
_line = msgspec.json.Decoder(_OtlpLine)
_document = msgspec.json.Decoder(_Document)
_trace = msgspec.json.Decoder(_Trace)
_any = msgspec.json.Decoder(_Any)


def is_jaeger(document: bytes) -> bool:
    """Whether a complete JSON document is in Jaeger's format: its pages write ``{"data": [...]}``, some tools a trace alone."""
    try:
        found = _any.decode(document)
    except msgspec.MsgspecError:
        return False
    return found.data is not msgspec.UNSET or found.spans is not msgspec.UNSET


def to_jaeger(lines: Iterable[bytes]) -> bytes:
    """One document of all traces.

    Args:
        lines: Of OTLP/JSON.
    """
    traces: dict[str, _Trace] = {}
    for line in lines:
        if not line.strip():
            continue
        for group in _line.decode(line).resource_spans:
            process = _process_of(group.resource)
            for scoped in group.scope_spans:
                for span in scoped.spans:
                    trace = traces.setdefault(span.trace_id, _Trace(spans=[], trace_id=span.trace_id))
                    trace.spans.append(_to_span(span, scoped.scope, _id_of(process, trace.processes)))
    return _encode(_Document(list(traces.values())))


def from_jaeger(document: bytes) -> Iterator[bytes]:
    """Lines of OTLP/JSON, each a body of ``POST /v1/traces``.

    Args:
        document: For which ``is_jaeger`` holds.

    Raises:
        msgspec.MsgspecError: A trace is not what Jaeger writes.
    """
    traces = _document.decode(document).data if _any.decode(document).data is not msgspec.UNSET else [_trace.decode(document)]
    for trace in traces:
        for start in range(0, len(trace.spans), SPANS_A_LINE):
            groups: dict[bytes, dict[str, Any]] = {}  # by resource
            for span in trace.spans[start : start + SPANS_A_LINE]:
                process = span.process or trace.processes.get(span.process_id) or _Process()
                attributes = [_from_tag(tag) for tag in (_Tag("service.name", process.service_name), *(process.tags or []))]
                group = groups.setdefault(_encode(attributes), {"resource": {"attributes": attributes}, "scopeSpans": []})
                group["scopeSpans"].append(_from_span(span))
            yield _encode({"resourceSpans": list(groups.values())}) + b"\n"


def _process_of(resource: _OtlpResource) -> _Process:
    tags = [_to_tag(one) for one in resource.attributes]
    name = next((str(tag.value) for tag in tags if tag.key == "service.name"), SERVICE_UNKNOWN)
    return _Process(name, [tag for tag in tags if tag.key != "service.name"])


def _id_of(process: _Process, processes: dict[str, _Process]) -> str:
    known = next((name for name, other in processes.items() if other == process), None)
    if known is None:
        known = f"p{len(processes) + 1}"
        processes[known] = process
    return known


def _to_span(span: _OtlpSpan, scope: _OtlpScope, process_id: str) -> _Span:
    start_us, end_us = int(span.start_time_unix_nano) // 1_000, int(span.end_time_unix_nano) // 1_000
    references = [_Reference(_CHILD_OF, span.trace_id, span.parent_span_id)] if span.parent_span_id else []
    references += [_Reference(_FOLLOWS_FROM, link.trace_id, link.span_id) for link in span.links]
    tagged = {
        "span.kind": _KINDS.get(span.kind),
        "otel.scope.name": scope.name or None,
        "otel.scope.version": scope.version or None,
        "w3c.tracestate": span.trace_state or None,
        "otel.status_code": {_OK: "OK", _ERROR: "ERROR"}.get(span.status.code),
        "otel.status_description": span.status.message or None,
    }
    tags = [_to_tag(one) for one in span.attributes] + [_Tag(key, value) for key, value in tagged.items() if value is not None]
    if span.status.code == _ERROR:
        tags.append(_Tag("error", value=True, type="bool"))
    return _Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        operation_name=span.name,
        start_time=start_us,
        duration=max(end_us - start_us, 0),
        references=references,
        tags=tags,
        logs=[
            _Log(int(event.time_unix_nano) // 1_000, [_Tag("event", event.name), *(_to_tag(one) for one in event.attributes)])
            for event in span.events
        ],
        process_id=process_id,
    )


def _to_tag(attribute: _OtlpValue) -> _Tag:
    kind, value = next(iter(attribute.value.items()), ("stringValue", ""))
    if kind == "intValue":
        number = int(value)
        return _Tag(attribute.key, number if abs(number) <= _SAFE_INTEGER_MAX else str(number), "int64")
    if kind in {"stringValue", "boolValue", "doubleValue", "bytesValue"}:
        return _Tag(attribute.key, value, {"boolValue": "bool", "doubleValue": "float64", "bytesValue": "binary"}.get(kind, "string"))
    return _Tag(attribute.key, json.dumps(_plain(attribute.value), ensure_ascii=False))


def _plain(value: dict[str, Any]) -> Any:
    """The value of an ``AnyValue``."""
    inner: Any
    kind, inner = next(iter(value.items()), ("", None))
    if kind == "arrayValue":
        return [_plain(one) for one in inner.get("values", [])]
    if kind == "kvlistValue":
        return {one["key"]: _plain(one.get("value", {})) for one in inner.get("values", [])}
    return int(inner) if kind == "intValue" else inner


def _from_span(span: _Span) -> dict[str, Any]:
    tags = {tag.key: tag for tag in span.tags or []}
    reserved = {key: str(tags.pop(key).value) for key in _RESERVED if key in tags}
    failed = "error" in tags and tags["error"].value in (True, "true")
    if failed:
        del tags["error"]
    parent = _parent_of(span)
    made: dict[str, Any] = {
        "traceId": span.trace_id.zfill(32),
        "spanId": span.span_id.zfill(16),
        "name": span.operation_name,
        "kind": _KIND_NUMBERS.get(reserved.get("span.kind", ""), 0),
        "startTimeUnixNano": str(span.start_time * 1_000),
        "endTimeUnixNano": str((span.start_time + span.duration) * 1_000),
        "attributes": [_from_tag(tag) for tag in tags.values()],
        "events": [_from_log(log) for log in span.logs or []],
        "links": [
            {"traceId": one.trace_id.zfill(32), "spanId": one.span_id.zfill(16)} for one in span.references or [] if one is not parent
        ],
    }
    if parent is not None:
        made["parentSpanId"] = parent.span_id.zfill(16)
    if "w3c.tracestate" in reserved:
        made["traceState"] = reserved["w3c.tracestate"]
    code = _CODES.get(reserved.get("otel.status_code", "").upper(), _ERROR if failed else 0)
    if code:
        made["status"] = {"code": code, "message": reserved.get("otel.status_description", "")}
    scope = {"name": reserved.get("otel.scope.name", ""), "version": reserved.get("otel.scope.version", "")}
    return {"scope": scope, "spans": [made]}


_RESERVED = ("span.kind", "otel.scope.name", "otel.scope.version", "w3c.tracestate", "otel.status_code", "otel.status_description")


def _parent_of(span: _Span) -> _Reference | None:
    """The step around it, as Jaeger shows it: what it is a child of, else what it follows, within its own trace."""
    own = [one for one in span.references or [] if one.trace_id.zfill(32) == span.trace_id.zfill(32)]
    return next((one for one in own if one.ref_type == _CHILD_OF), own[0] if own else None)


def _from_log(log: _Log) -> dict[str, Any]:
    name = next((str(one.value) for one in log.fields if one.key == "event"), "log")
    return {
        "name": name,
        "timeUnixNano": str(log.timestamp * 1_000),
        "attributes": [_from_tag(one) for one in log.fields if one.key != "event"],
    }


def _from_tag(tag: _Tag) -> dict[str, Any]:
    if tag.type == "bool":
        return {"key": tag.key, "value": {"boolValue": str(tag.value).lower() == "true"}}
    if tag.type == "float64":
        return {"key": tag.key, "value": {"doubleValue": float(tag.value)}}
    return {"key": tag.key, "value": {{"int64": "intValue", "binary": "bytesValue"}.get(tag.type, "stringValue"): str(tag.value)}}
