"""GenAI events that arrive as log records: what they say about the step of their span.

A conversation becomes the step's input and output, an exception its failure and stack. Everything else that the records say is kept in the
slot ``logs``. The step itself arrives as a span; its own input and output win when they are later. Records of one span are merged within a
request.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.documents import Failure, Slot, Status, StepDocument
from ams_contracts.events import MediaStored, PayloadStored, ScoreRecorded
from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.mapping.content import JSON, MESSAGES, TEXT
from ams_trace_ingest.mapping.convert import word
from ams_trace_ingest.mapping.errors import MESSAGE_CHARS_MAX, is_exception, split_traceback
from ams_trace_ingest.mapping.evaluations import score_of_evaluation
from ams_trace_ingest.mapping.media import MediaBudget, MediaCollector, referenced
from ams_trace_ingest.mapping.messages import Message
from ams_trace_ingest.mapping.models import finish_reasons_of
from ams_trace_ingest.mapping.payloads import payload_of
from ams_trace_ingest.mapping.previews import preview_of_input, preview_of_output
from ams_trace_ingest.mapping.span_model import LogRecord
from ams_trace_ingest.mapping.vendors import events

CAPTURED_MAX = 8
_US_NS = 1_000
_PREFIX = "gen_ai."
_JOINED = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages", "exception.stacktrace", "event.name")
_encode = msgspec.json.Encoder().encode


class StepLogs(Struct):
    """What the records of one span say about its step, beside their payloads.

    Attributes:
        slots: Of the payloads.
        preview_input: Words of what was asked.
        preview_output: Words of the answer.
        finish_reasons: Why the model stopped.
        failure: Of the last exception.
    """

    slots: list[Slot]
    preview_input: str | None = None
    preview_output: str | None = None
    finish_reasons: list[str] = []
    failure: Failure | None = None


class JoinedLogs(Struct):
    """What became of a request's records.

    Attributes:
        payloads: ``(task_id, payload)``, to be stored whether the step is known or not.
        steps: By task and step.
        joined: Records that are in them.
        ignored: Records that are no GenAI events.
        unplaced: GenAI events that name no span.
        scores: ``(task_id, score)`` of evaluations; like payloads, whether the step is known or not.
    """

    payloads: list[tuple[str, PayloadStored | MediaStored]]
    steps: dict[tuple[str, str], StepLogs]
    joined: int
    ignored: int
    unplaced: list[LogRecord]
    scores: list[tuple[str, ScoreRecorded]]


class _Gathered(Struct):
    conversation: events.Conversation
    kept: list[dict[str, Any]]
    at_us: int = 0
    failure: Failure | None = None
    stack: str | None = None
    scores: list[ScoreRecorded] = []


def map_logs(project_id: str, records: Iterable[LogRecord], *, received_at_us: int) -> JoinedLogs:
    """What GenAI log records say about their steps.

    Args:
        project_id: From the credential; part of the event ids.
        records: As decoded; ids are checked here.
        received_at_us: Replaces times that are missing.
    """
    gathered: dict[tuple[str, str], _Gathered] = {}
    unplaced: list[LogRecord] = []
    joined = ignored = 0
    for record in records:
        name = name_of(record)
        if not _is_genai(name, record):
            ignored += 1
        elif not _is_id(record.trace_id, 32) or not _is_id(record.span_id, 16):
            unplaced.append(record)
        else:
            joined += 1
            key = (record.trace_id, record.span_id)
            found = gathered.setdefault(key, _Gathered(events.Conversation([], [], []), []))
            _gather(found, name, record, received_at_us)
            score = score_of_evaluation(project_id, *key, name, record.attributes, at_us=record.time_ns // _US_NS or received_at_us)
            if score is not None:
                found.scores.append(score)
    payloads: list[tuple[str, PayloadStored | MediaStored]] = []
    media = MediaBudget()
    steps = {key: _step_logs(project_id, key, found, payloads, media) for key, found in gathered.items()}
    scores = [(task_id, score) for (task_id, _), found in gathered.items() for score in found.scores]
    return JoinedLogs(payloads, steps, joined, ignored, unplaced, scores)


def name_of(record: LogRecord) -> str:
    """The event's name; older SDKs put it into an attribute."""
    return record.event_name or str(record.attributes.get("event.name", ""))


def response_id_of(record: LogRecord) -> str | None:
    """The response that a record without a span id names."""
    return word(record.attributes.get("gen_ai.response.id"))


def merged(document: StepDocument, logs: StepLogs) -> StepDocument:
    """The step's document with what its log records say; what the span says itself wins. The same object when they add nothing."""
    changes: dict[str, Any] = {}
    if document.preview_input is None and logs.preview_input:
        changes["preview_input"] = logs.preview_input
    if document.preview_output is None and logs.preview_output:
        changes["preview_output"] = logs.preview_output
    if not document.finish_reasons and logs.finish_reasons:
        changes["finish_reasons"] = logs.finish_reasons
    if logs.failure is not None and document.status is Status.ERROR:
        own = document.error or Failure()
        error = Failure(type=own.type or logs.failure.type, message=own.message or logs.failure.message)
        if error != own:
            changes["error"] = error
    slots = [slot for slot in logs.slots if slot not in document.captured]
    if slots:
        changes["captured"] = [*document.captured, *slots][:CAPTURED_MAX]
    return replace(document, **changes) if changes else document


def together(earlier: StepLogs | None, later: StepLogs) -> StepLogs:
    """What two requests say about one step."""
    if earlier is None:
        return later
    return StepLogs(
        list(dict.fromkeys((*earlier.slots, *later.slots))),
        preview_input=later.preview_input or earlier.preview_input,
        preview_output=later.preview_output or earlier.preview_output,
        finish_reasons=later.finish_reasons or earlier.finish_reasons,
        failure=later.failure or earlier.failure,
    )


def _is_genai(name: str, record: LogRecord) -> bool:
    return name in events.NAMES or name.startswith(_PREFIX) or (is_exception(name) and "exception.type" in record.attributes)


def _gather(found: _Gathered, name: str, record: LogRecord, received_at_us: int) -> None:
    body: dict[str, Any] = (
        record.body if isinstance(record.body, dict) else {"content": record.body} if isinstance(record.body, str) else {}
    )
    said = {**record.attributes, **body}
    found.at_us = max(found.at_us, min(record.time_ns // _US_NS or received_at_us, TIME_MAX_US))
    if name in events.NAMES:
        events.add(found.conversation, name, said)
        if name != events.DETAILS:
            return
    if is_exception(name):
        message, in_message = split_traceback(str(said.get("exception.message") or (record.body if isinstance(record.body, str) else "")))
        found.failure = Failure(type=word(said.get("exception.type")), message=message[:MESSAGE_CHARS_MAX] or None)
        stack = said.get("exception.stacktrace")
        found.stack = (stack if isinstance(stack, str) else None) or in_message
    rest = {key: value for key, value in said.items() if key not in _JOINED}
    if rest:
        found.kept.append({"name": name, "at_us": found.at_us, **rest})


def _step_logs(
    project_id: str, key: tuple[str, str], found: _Gathered, payloads: list[tuple[str, PayloadStored | MediaStored]], media: MediaBudget
) -> StepLogs:
    collector = MediaCollector(key[0], media)
    asked, answered = referenced(found.conversation.asked, collector), referenced(found.conversation.output, collector)
    payloads += [(key[0], event) for event in collector.events(project_id, found.at_us)]
    logs = StepLogs([], failure=found.failure)
    texts: list[tuple[Slot, str, str]] = []
    if asked:
        logs.preview_input = preview_of_input(asked) or None
        texts.append((Slot.INPUT, MESSAGES, _text(asked)))
    if answered:
        logs.preview_output = preview_of_output(answered) or None
        texts.append((Slot.OUTPUT, MESSAGES, _text(answered)))
        logs.finish_reasons = finish_reasons_of(texts[-1][2])
    if found.stack:
        texts.append((Slot.ERROR_STACK, TEXT, found.stack))
    if found.kept:
        texts.append((Slot.LOGS, JSON, _encode(found.kept).decode()))
    for slot, mime, text in texts:
        digest = hashlib.blake2b(_encode([*key, slot, text]), digest_size=16, key=project_id.encode())
        payloads.append((key[0], payload_of(key[1], slot, mime, text, event_id=digest.hexdigest(), at_us=found.at_us)))
        logs.slots.append(slot)
    return logs


def _text(messages: list[Message]) -> str:
    return _encode(messages).decode()


def _is_id(value: str, digits: int) -> bool:
    return len(value) == digits and all(digit in "0123456789abcdef" for digit in value) and bool(value.strip("0"))
