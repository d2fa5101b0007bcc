"""The format ``otlp``: spans in OTLP/JSON, in GenAI's semantic conventions, in lines that each are a body of ``POST /v1/traces``.

This is the file format of OpenTelemetry's file exporter. What a step and its payloads hold is written under the names of the conventions; what
remained of the span that it came from (slot ``original``) is added as it was sent.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.documents import Slot, Status, StepDocument, StepType
from ams_contracts.step_rows import step_state
from ams_contracts.views import usd
from ams_trace_query.database import Database
from ams_trace_query.export.rows import StepContents, StoredTask, read_steps
from ams_trace_query.export.semantic_messages import MESSAGES_MIME, semantic_messages
from ams_trace_query.export.writing import Portion, Selection

_US_NS = 1_000
_INTERNAL = 1  # the kind of a span that no span came from
_STATUS_OK, _STATUS_ERROR = 1, 2
_SERVICE_UNKNOWN = "unknown_service"
_OPERATIONS = {
    StepType.AGENT: "invoke_agent",
    StepType.LLM: "chat",
    StepType.TOOL: "execute_tool",
    StepType.RETRIEVAL: "retrieval",
    StepType.EMBEDDING: "embeddings",
    StepType.WORKFLOW: "invoke_workflow",
}
_USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "audio_input": "gen_ai.usage.audio.input_tokens",
    "audio_output": "gen_ai.usage.audio.output_tokens",
    "image_input": "gen_ai.usage.image.input_tokens",
    "image_output": "gen_ai.usage.image.output_tokens",
    "video_input": "gen_ai.usage.video.input_tokens",
    "audio_cache_read": "gen_ai.usage.audio.cache_read.input_tokens",
    "service_tier": "gen_ai.response.service_tier",
}


class _Event(Struct):
    name: str
    time_ns: int = 0
    attributes: dict[str, Any] = {}
    dropped_attributes: int = 0


class _Link(Struct):
    trace_id: str
    span_id: str
    attributes: dict[str, Any] = {}
    trace_state: str = ""


class _Scope(Struct):
    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = {}


class _Resource(Struct):
    attributes: dict[str, Any] = {}


class _Original(Struct):
    """What the slot ``original`` holds of the span."""

    name: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    status_code: int = 0
    status_message: str = ""
    trace_state: str = ""
    flags: int = 0
    attributes: dict[str, Any] = {}
    events: list[_Event] = []
    links: list[_Link] = []
    scope: _Scope = msgspec.field(default_factory=_Scope)
    resource: _Resource = msgspec.field(default_factory=_Resource)


_read_original = msgspec.json.Decoder(_Original)


class OtlpWriter:
    """Writes steps as spans. A task of its own has no span, and log lines and scores have no place in one: they are left out."""

    def __init__(self, database: Database, selection: Selection) -> None:
        """Write nothing yet.

        Args:
            database: Where the rows are.
            selection: What is exported.
        """
        self._database = database
        self._selection = selection

    def begin(self) -> bytes:
        """Nothing: every line is a request."""
        return b""

    async def task(self, task: StoredTask) -> AsyncIterator[Portion]:
        """The lines of one task."""
        async for found in read_steps(self._database, task, payloads=self._selection.payloads):
            yield Portion(encode({"resourceSpans": list(_grouped(task.task_id, found))}) + b"\n", len(found))

    def end(self) -> bytes:
        """Nothing: a file that was cut ends in the middle of a line."""
        return b""


def _grouped(task_id: str, steps: Iterable[StepContents]) -> Iterator[dict[str, Any]]:
    """Spans by resource and scope."""
    groups: dict[bytes, tuple[dict[str, Any], dict[str, Any], list[Any]]] = {}
    for step in steps:
        original = _original_of(step)
        document = step_state(step.row).document
        if document is None:
            continue  # only progress of it is known
        resource = {"attributes": _attributes(original.resource.attributes or {"service.name": document.service or _SERVICE_UNKNOWN})}
        scope: dict[str, Any] = {"name": original.scope.name or document.scope or "ams", "version": original.scope.version}
        if original.scope.attributes:
            scope["attributes"] = _attributes(original.scope.attributes)
        key = encode([resource, scope])
        groups.setdefault(key, (resource, scope, []))[2].append(span_of(task_id, step, document, original))
    for resource, scope, spans in groups.values():
        yield {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}


def span_of(task_id: str, step: StepContents, document: StepDocument, original: _Original) -> dict[str, Any]:
    """A step as a span of OTLP/JSON. 64-bit integers are strings, as protobuf's JSON demands.

    Args:
        task_id: The trace.
        step: Its row and payloads.
        document: Of the row.
        original: What remained of the span that it came from.
    """
    started_us = document.started_at_us
    ended_us = document.ended_at_us
    if ended_us is None and started_us is not None and document.duration_us is not None:
        ended_us = started_us + document.duration_us
    span: dict[str, Any] = {
        "traceId": task_id,
        "spanId": step.row["step_id"],
        "name": original.name or document.span_name or document.name,
        "kind": original.kind or _INTERNAL,
        # the original has nanoseconds
        "startTimeUnixNano": str(original.start_ns or (started_us or 0) * _US_NS),
        "endTimeUnixNano": str(original.end_ns or (ended_us or 0) * _US_NS),
        "attributes": _attributes({**step_attributes(step, document), **original.attributes}),
        "events": [_event(event) for event in original.events],
    }
    if document.parent_step_id is not None:
        span["parentSpanId"] = document.parent_step_id
    if original.trace_state:
        span["traceState"] = original.trace_state
    if original.flags:
        span["flags"] = original.flags
    if original.links:
        span["links"] = [
            {"traceId": link.trace_id, "spanId": link.span_id, "traceState": link.trace_state, "attributes": _attributes(link.attributes)}
            for link in original.links
        ]
    failed = document.status in {Status.ERROR, Status.CANCELLED}
    error = document.error
    if failed or original.status_code:
        message = original.status_message or ((error.message or "") if error is not None else "")
        span["status"] = {"code": _STATUS_ERROR if failed else original.status_code or _STATUS_OK, "message": message}
    if failed and error is not None and not any(event["name"].endswith("exception") for event in span["events"]):
        stack = step.payloads.get(Slot.ERROR_STACK)
        thrown = {"exception.type": error.type, "exception.message": error.message, "exception.stacktrace": stack and stack["text"]}
        span["events"].append({"name": "exception", "timeUnixNano": span["endTimeUnixNano"], "attributes": _attributes(thrown)})
    return span


def step_attributes(step: StepContents, document: StepDocument) -> dict[str, Any]:
    """What a step and its payloads hold, under the names of GenAI's semantic conventions; nulls are left out later."""
    usage = document.usage
    is_call = document.provider is not None or document.model is not None or document.model_requested is not None
    attributes: dict[str, Any] = {
        "ams.step.type": document.type.value,
        "ams.step.name": document.name,
        "gen_ai.operation.name": _OPERATIONS.get(document.type),
        "gen_ai.provider.name": document.provider,
        "gen_ai.request.model": document.model_requested,
        "gen_ai.response.model": document.model,
        "gen_ai.response.id": document.response_id,
        "gen_ai.response.finish_reasons": document.finish_reasons or None,
        "gen_ai.agent.name": document.agent,
        "gen_ai.tool.name": document.tool_name,
        "gen_ai.tool.call.id": document.tool_call_id,
        "gen_ai.conversation.id": document.conversation_id,
        "gen_ai.usage.cost": None if document.cost_nusd is None or not is_call else float(usd(document.cost_nusd) or 0),
        "gen_ai.response.time_to_first_chunk": None if document.ttft_us is None else document.ttft_us / 1e6,
        "ams.run.id": document.run_id,
        "user.id": document.user_id,
        "deployment.environment.name": document.environment,
        **{f"ams.tag.{name}": value for name, value in document.tags.items()},
        **({} if usage is None else {key: getattr(usage, field) for field, key in _USAGE.items()}),
    }
    if document.status in {Status.ERROR, Status.CANCELLED}:
        attributes["error.type"] = (document.error.type if document.error is not None else None) or "_OTHER"
    for slot, side in ((Slot.INPUT, "input"), (Slot.OUTPUT, "output")):
        payload = step.payloads.get(slot)
        if payload is not None:
            attributes |= _content(side, document.type, payload)
    return attributes


def _content(side: str, kind: StepType, payload: Any) -> dict[str, Any]:
    text, mime = payload["text"], payload["mime"]
    if mime == MESSAGES_MIME:
        converted = semantic_messages(text)
        if converted is not None:
            return {f"gen_ai.{side}.messages": converted}
        mime = "application/json"
    if kind is StepType.TOOL:
        return {"gen_ai.tool.call.arguments" if side == "input" else "gen_ai.tool.call.result": text}
    return {f"{side}.value": text, f"{side}.mime_type": mime}


def _original_of(step: StepContents) -> _Original:
    payload = step.payloads.get(Slot.ORIGINAL)
    if payload is None:
        return _Original()
    try:
        return _read_original.decode(payload["text"])
    except (msgspec.MsgspecError, RecursionError):
        return _Original()  # cut, or in another shape: what the step holds is exported


def _event(event: _Event) -> dict[str, Any]:
    return {"name": event.name, "timeUnixNano": str(event.time_ns), "attributes": _attributes(event.attributes)}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items() if value is not None]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": str(key), "value": _any_value(item)} for key, item in value.items()]}}
    if isinstance(value, bool):  # before int, of which it is one
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {} if value is None else {"stringValue": str(value)}
