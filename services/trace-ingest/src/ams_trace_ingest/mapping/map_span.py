"""Maps a span to events. Pure: no clock, no settings, no I/O; the same span gives the same events in either encoding."""

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from ams_contracts.documents import BILLABLE_TYPES, CostSource, Slot, Status, StepDocument, Usage
from ams_contracts.events import ScoreRecorded, StepRecorded, StepStarted
from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.mapping import content, content_rules, cost, enum_members, errors, flags, identity, models, times, types, usage
from ams_trace_ingest.mapping.attribute_rules import AttributeRules, Field, Found
from ams_trace_ingest.mapping.content import Content
from ams_trace_ingest.mapping.convert import NAME_CHARS_MAX, WORD_CHARS_MAX
from ams_trace_ingest.mapping.evaluations import SCORES_MAX, score_of_evaluation
from ams_trace_ingest.mapping.mapped_span import MappedSpan
from ams_trace_ingest.mapping.media import MediaBudget, MediaCollector
from ams_trace_ingest.mapping.original import original_of
from ams_trace_ingest.mapping.payloads import SAFE_CHARS, payload
from ams_trace_ingest.mapping.span_model import Resource, Scope, Span
from ams_trace_ingest.mapping.vendors import autogen, claude_code, logfire
from ams_trace_ingest.pricing.price import Prices

RULES = AttributeRules(
    (ladder for concern in (types, usage, cost, models, errors, times, identity, content_rules) for ladder in concern.LADDERS),
    (prefix for concern in (types, models, identity, content_rules) for prefix in concern.PREFIXES),
)
PROJECTS_CACHED_MAX = 1_024  # key blocks of hashes
_REMOTE_BITS = 0x300  # bit 8: known whether the parent is remote; bit 9: it is
_encode = msgspec.json.Encoder().encode


def map_span(
    project_id: str, resource: Resource, scope: Scope, span: Span, *, received_at_us: int, prices: Prices, media: MediaBudget | None = None
) -> MappedSpan:
    """Map one span.

    Args:
        project_id: From the credential; part of the event ids.
        resource: Who emitted it.
        scope: The instrumentation.
        span: Checked by intake: valid ids, bounded values.
        received_at_us: Replaces missing times.
        prices: To compute what is not reported.
        media: What the spans of the request may store as media together; by default this span alone.
    """
    canonical = _encode(span)  # trace and span ids are in it
    digest = _keyed(project_id).copy()
    digest.update(canonical)
    event_id = digest.hexdigest()
    found = _renamed(span) if scope.name.startswith(claude_code.SCOPE) else RULES.find(span.attributes)
    values = found.values
    marks = _marks(span) if span.dropped is not None or span.flags or span.bad_parent else []
    moment = times.times_of(span, received_at_us, marks)
    pending = logfire.pending_of(found, span) if values[Field.SPAN_TYPE] is not None else None
    step_id, parent = (span.span_id, span.parent_span_id) if pending is None else pending
    if parent == step_id:
        marks.append(flags.SELF_PARENT)
    running = pending is not None or moment.ended_at_us is None
    status, failure, stack = (enum_members.RUNNING, None, None) if running else errors.outcome_of(found, span)
    step_type, type_raw = types.type_of(found, span, scope.name)
    billable = step_type in BILLABLE_TYPES
    asked, answered = content.content_of(found, span, step_type)
    collector = None
    if content.holds_media(asked) or content.holds_media(answered):
        collector = MediaCollector(span.trace_id, media)
        asked, answered = content.with_references(asked, collector), content.with_references(answered, collector)
    if status is enum_members.OK and step_type is enum_members.TOOL and answered is not None and answered.text[:1] in {"{", "["}:
        stated = errors.stated_failure(answered.text)
        if stated is not None:
            status, failure = Status.ERROR, stated
    used = usage.usage_of(found, scope, marks)
    requested = models.requested_model(found)
    model = values[Field.MODEL] or requested
    nusd, source = cost.reported_cost(found, used, marks), enum_members.REPORTED
    if nusd is None:
        nusd, source = _computed(prices, found, requested, moment.started_at_us, used) if billable and used is not None else _UNKNOWN
    parameters, parameter_keys = models.parameters(found)
    run = values[Field.RUN] or (identity.run_of(span, scope) if span.links or scope.name.startswith(autogen.SCOPE) else None)
    called = step_type is enum_members.LLM and scope.name and used is not None and used.output and used.input is not None and not running
    call_key = _call_key(resource, used, moment) if called else None
    tool = identity.tool_of(found, span, step_type, scope.name)
    conversation, user = identity.conversation_and_user_of(found, resource)
    document = StepDocument(
        parent_step_id=parent,
        type=step_type,
        type_raw=type_raw or None,
        name=identity.name_of(found, span, step_type, tool)[:NAME_CHARS_MAX],
        span_name=span.name[:NAME_CHARS_MAX],
        agent=identity.agent_of(found, span, step_type, scope.name),
        status=status,
        started_at_us=moment.started_at_us,
        ended_at_us=None if running else moment.ended_at_us,
        duration_us=None if running else moment.duration_us,
        ttft_us=times.ttft_of(found, span, scope.name, moment.started_at_us),
        provider=values[Field.PROVIDER],
        model_requested=requested,
        model=model,
        response_id=models.response_id(found, span) if billable else values[Field.RESPONSE_ID],
        scope=scope.name[:WORD_CHARS_MAX] if call_key is not None else None,
        call_key=call_key,
        finish_reasons=_finish_reasons(found, answered),
        parameters=parameters,
        usage=used,
        cost_nusd=nusd,
        cost_source=source,
        tool_name=tool,
        tool_call_id=values[Field.TOOL_CALL_ID],
        error=failure,
        preview_input=None if asked is None else asked.preview or None,
        preview_output=None if answered is None else answered.preview or None,
        captured=_CAPTURED[asked is not None, answered is not None, stack is not None],
        flags=marks,
        run_id=run,
        conversation_id=conversation,
        user_id=user,
        environment=identity.environment_of(found, resource),
        tags=identity.tags_of(found),
    )
    at_us = min(moment.started_at_us if running else moment.ended_at_us or moment.started_at_us, TIME_MAX_US)
    event = (StepStarted if running else StepRecorded)(event_id=event_id, seq=0, at_us=at_us, step_id=step_id, step=document)
    original, rest = original_of(
        canonical,
        span,
        consumed=_consumed(found, asked, answered, parameter_keys),
        held=_held(span.attributes, asked, answered),
        resource=resource,
        scope=scope,
    )
    stored = [payload(event, enum_members.ORIGINAL, content.JSON, original, consumed=rest)]
    if asked is not None:
        stored.append(payload(event, enum_members.INPUT, asked.mime, asked.text, cut_from=asked.cut_from))
    if answered is not None:
        stored.append(payload(event, enum_members.OUTPUT, answered.mime, answered.text, cut_from=answered.cut_from))
    if stack is not None:
        stored.append(payload(event, enum_members.ERROR_STACK, content.TEXT, stack))
    scores = _scores(project_id, span, step_id, at_us) if span.events else ()
    return MappedSpan(span.trace_id, event, stored, () if collector is None else collector.events(project_id, at_us), scores)


def _call_key(resource: Resource, used: Usage | None, moment: times.Times) -> str | None:
    if used is None or used.input is None or used.output is None:
        return None
    return models.call_key(identity.service_of(resource), used.input, used.output, moment.ended_at_us or 0)


def _scores(project_id: str, span: Span, step_id: str, at_us: int) -> list[ScoreRecorded]:
    found: list[ScoreRecorded] = []
    for event in span.events:
        score = score_of_evaluation(project_id, span.trace_id, step_id, event.name, event.attributes, at_us=event.time_ns // 1_000 or at_us)
        if score is not None and len(found) < SCORES_MAX:
            found.append(score)
    return found


def _finish_reasons(found: Found, answered: Content | None) -> list[str]:
    if found.values[Field.FINISH] is not None:
        return models.finish_reasons(found)
    return models.finish_reasons_of(answered.text) if answered is not None and answered.mime == content.MESSAGES else []


@lru_cache(maxsize=PROJECTS_CACHED_MAX)
def _keyed(project_id: str) -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16, key=project_id.encode())


def _renamed(span: Span) -> Found:
    renamed, sent = claude_code.standard_names(span.attributes)
    found = RULES.find(renamed)
    found.keys = [key if key is None else sent.get(key, key) for key in found.keys]
    return found


# the captured slots, by whether there is an input, an output and a stack; shared, because documents are immutable
_CAPTURED = {
    (asked, answered, failed): [
        enum_members.ORIGINAL,
        *[enum_members.INPUT] * asked,
        *[enum_members.OUTPUT] * answered,
        *[enum_members.ERROR_STACK] * failed,
    ]
    for asked in (False, True)
    for answered in (False, True)
    for failed in (False, True)
}
_UNKNOWN: tuple[int | None, CostSource] = (None, enum_members.UNKNOWN)


def _computed(prices: Prices, found: Found, requested: str | None, at_us: int, used: Usage) -> tuple[int | None, CostSource]:
    values = found.values
    nusd = prices.price(provider=values[Field.PROVIDER], model=values[Field.MODEL], requested=requested, at_us=at_us, usage=used)
    return _UNKNOWN if nusd is None else (nusd, enum_members.COMPUTED)


def _marks(span: Span) -> list[str]:
    marks: list[str] = []
    dropped = span.dropped
    if dropped is not None:
        if dropped.client_attributes or dropped.client_events or dropped.client_links:
            marks.append(flags.TRUNCATED_BY_CLIENT)
        if dropped.attributes or dropped.events or dropped.links or dropped.keys or dropped.cut or dropped.media:
            marks.append(flags.TRUNCATED)
        if dropped.replaced:
            marks.append(flags.REPLACED_CHARACTERS)
    if span.bad_parent:
        marks.append(flags.BAD_PARENT)
    if span.flags & _REMOTE_BITS == _REMOTE_BITS and span.parent_span_id is not None:
        marks.append(flags.REMOTE_PARENT)
    return marks


def _held(attributes: dict[str, Any], asked: Content | None, answered: Content | None) -> dict[str, Slot]:
    """The attributes whose text is exactly that of a payload, and not cut."""
    held: dict[str, Slot] = {}
    for side, slot in ((asked, enum_members.INPUT), (answered, enum_members.OUTPUT)):
        if side is not None and side.keys and attributes.get(side.keys[0]) is side.text and len(side.text) <= SAFE_CHARS:
            held[side.keys[0]] = slot
    return held


def _consumed(found: Found, asked: Content | None, answered: Content | None, more: list[str]) -> list[str]:
    """The attributes that the step and its payloads contain completely: the table need not keep them again."""
    consumed: list[str] = list(filter(None, found.keys[: Field.PLAIN_END]))  # an attribute may fill several fields
    if asked is not None:
        consumed += asked.keys
    if answered is not None:
        consumed += answered.keys
    consumed += more
    return consumed
