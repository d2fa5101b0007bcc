"""The mapping: a span in, events out. Pure: no clock, no settings, no I/O; the same span gives the same events, whatever encoding it came in."""

import hashlib
import msgspec

from ams_contracts.documents import BILLABLE_TYPES, CostSource, Slot, Status, StepDocument, StepType, Usage
from ams_contracts.events import PayloadStored, StepRecorded, StepStarted
from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.mapping import content, cost, errors, flags, identity, models, times, types, usage
from ams_trace_ingest.mapping.convert import NAME_CHARS_MAX
from ams_trace_ingest.mapping.mapped import MappedSpan
from ams_trace_ingest.mapping.original import original_of
from ams_trace_ingest.mapping.payloads import payload
from ams_trace_ingest.mapping.rules import Field, Found, Rules
from ams_trace_ingest.mapping.spans import Resource, Scope, Span
from ams_trace_ingest.mapping.vendors import logfire
from ams_trace_ingest.pricing.price import Prices

_CONCERNS = (types, usage, cost, models, errors, times, identity, content)
RULES = Rules(
    (ladder for concern in _CONCERNS for ladder in concern.LADDERS),
    (prefix for concern in (types, models, identity, content) for prefix in concern.PREFIXES),
)
_REMOTE_BITS = 0x300  # bit 8: known whether the parent is remote; bit 9: it is
_NO_CONSUMED = frozenset({Field.BAD_USAGE, Field.TTFT_SERVER, Field.USAGE_MAP, Field.COST_MAP, Field.COST_LATER_MAP, Field.TAG_MAP, Field.INVOCATION})
_PLAIN_FIELDS = tuple(
    field
    for field in Field
    if field
    not in _NO_CONSUMED
    | {
        Field.INPUT,
        Field.INPUT_VALUE,
        Field.INPUT_MIME,
        Field.SYSTEM,
        Field.OUTPUT,
        Field.OUTPUT_VALUE,
        Field.OUTPUT_MIME,
        Field.RESPONSE_TEXT,
        Field.RESPONSE_TOOL_CALLS,
        Field.RESPONSE_REASONING,
        Field.PARAMETERS,
        Field.LATER_PARAMETERS,
    }
)
_encode = msgspec.json.Encoder().encode


def map_span(project_id: str, resource: Resource, scope: Scope, span: Span, *, received_at_us: int, prices: Prices) -> MappedSpan:
    """Map one span.

    Args:
        project_id: From the credential; part of the event ids.
        resource: Who emitted it.
        scope: The instrumentation.
        span: Checked by intake: good ids, bounded values.
        received_at_us: Stands in for times that are missing.
        prices: To compute what is not reported.
    """
    found = RULES.find(span.attributes)
    canonical = _encode(span)
    event_id = _event_id(project_id, span, canonical)
    pending = logfire.pending_of(found, span)
    marks = _marks(span)
    moment = times.times_of(span, received_at_us, marks)
    running = pending is not None or moment.ended_at_us is None
    step_type, type_raw = types.type_of(found, span, scope.name)
    asked, answered = content.content_of(found, span, step_type)
    status, failure, stack = (Status.RUNNING, None, None) if running else errors.outcome_of(found, span)
    step_id, parent = (span.span_id, span.parent_span_id) if pending is None else pending
    if parent == step_id:
        marks.append(flags.SELF_PARENT)
    used = _used(found, marks)
    requested = models.requested_model(found)
    model = found.values[Field.MODEL]
    nusd, source = _cost(found, used, step_type, moment.started_at_us, (requested, model), prices, marks)
    parameters, parameter_keys = models.parameters(found)
    captured: list[Slot] = [Slot.ORIGINAL]
    if asked is not None:
        captured.append(Slot.INPUT)
    if answered is not None:
        captured.append(Slot.OUTPUT)
    if stack is not None:
        captured.append(Slot.ERROR_STACK)
    values = found.values
    document = StepDocument(
        parent_step_id=parent,
        type=step_type,
        type_raw=type_raw or None,
        name=identity.name_of(found, span, step_type)[:NAME_CHARS_MAX],
        span_name=span.name[:NAME_CHARS_MAX],
        agent=identity.agent_of(found, span, step_type),
        status=status,
        started_at_us=moment.started_at_us,
        ended_at_us=None if running else moment.ended_at_us,
        duration_us=None if running else moment.duration_us,
        ttft_us=times.ttft_of(found, span, scope.name, moment.started_at_us),
        provider=values[Field.PROVIDER],
        model_requested=requested,
        model=model or requested,
        response_id=models.response_id(found, span) if step_type in BILLABLE_TYPES else None,
        finish_reasons=models.finish_reasons(found) if values[Field.FINISH] is not None else [],
        parameters=parameters,
        usage=used,
        cost_nusd=nusd,
        cost_source=source,
        tool_name=values[Field.TOOL_NAME],
        tool_call_id=values[Field.TOOL_CALL_ID],
        error=failure,
        preview_input=None if asked is None else asked.preview or None,
        preview_output=None if answered is None else answered.preview or None,
        captured=captured,
        flags=marks,
        conversation_id=values[Field.CONVERSATION],
        user_id=values[Field.USER],
        environment=identity.environment_of(found, resource),
        tags=identity.tags_of(found) if found.groups is not None or values[Field.TAG_LIST] is not None or values[Field.TAG_MAP] is not None else {},
    )
    at_us = min(moment.started_at_us if running else moment.ended_at_us or moment.started_at_us, TIME_MAX_US)
    event = (StepStarted if running else StepRecorded)(event_id=event_id, seq=0, at_us=at_us, step_id=step_id, step=document)
    consumed = _consumed(found, asked, answered, parameter_keys)
    stored = [payload(event, Slot.ORIGINAL, content.JSON, original_of(canonical, consumed, resource, scope))]
    if asked is not None:
        stored.append(payload(event, Slot.INPUT, asked.mime, asked.text, cut_from=asked.cut_from))
    if answered is not None:
        stored.append(payload(event, Slot.OUTPUT, answered.mime, answered.text, cut_from=answered.cut_from))
    if stack is not None:
        stored.append(payload(event, Slot.ERROR_STACK, content.TEXT, stack))
    return MappedSpan(span.trace_id, event, stored)


def _event_id(project_id: str, span: Span, canonical: bytes) -> str:
    digest = hashlib.blake2b(canonical, digest_size=16, key=project_id.encode())
    # trace and span ids are in the canonical form
    return digest.hexdigest()


def _marks(span: Span) -> list[str]:
    marks: list[str] = []
    dropped = span.dropped
    if dropped is not None:
        if dropped.client_attributes or dropped.client_events or dropped.client_links:
            marks.append(flags.TRUNCATED_BY_CLIENT)
        if dropped.attributes or dropped.events or dropped.links or dropped.keys or dropped.cut:
            marks.append(flags.TRUNCATED)
        if dropped.replaced:
            marks.append(flags.REPLACED_CHARACTERS)
    if span.bad_parent:
        marks.append(flags.BAD_PARENT)
    if span.flags & _REMOTE_BITS == _REMOTE_BITS and span.parent_span_id is not None:
        marks.append(flags.REMOTE_PARENT)
    return marks


def _used(found: Found, marks: list[str]) -> Usage | None:
    if found.values[Field.BAD_USAGE] is not None:
        marks.append(flags.BAD_USAGE)
    return usage.usage_of(found)


def _cost(
    found: Found,
    used: Usage | None,
    step_type: StepType,
    at_us: int,
    asked_and_answered: tuple[str | None, str | None],
    prices: Prices,
    marks: list[str],
) -> tuple[int | None, CostSource]:
    try:
        reported = cost.reported_cost(found, used)
    except cost.InvalidCostError:
        marks.append(flags.BAD_COST)
        reported = None
    if reported is not None:
        return reported, CostSource.REPORTED
    if used is None or step_type not in BILLABLE_TYPES:
        return None, CostSource.UNKNOWN
    requested, model = asked_and_answered
    computed = prices.price(provider=found.values[Field.PROVIDER], model=model, requested=requested, at_us=at_us, usage=used)
    return computed, CostSource.UNKNOWN if computed is None else CostSource.COMPUTED


def _consumed(found: Found, asked: content.Content | None, answered: content.Content | None, more: list[str]) -> list[str]:
    """The attributes that the step and its payloads hold whole: the table need not keep them again."""
    keys = found.keys
    consumed: dict[str, None] = {key: None for field in _PLAIN_FIELDS if (key := keys[field]) is not None}
    for side in (asked, answered):
        if side is not None:
            consumed.update(dict.fromkeys(side.keys))
    consumed.update(dict.fromkeys(more))
    return list(consumed)

