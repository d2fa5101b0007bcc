"""What visitors of a public link see of a task: lists of what is shown, so that a field that is added later is hidden until it is listed here.

Two views: the *structure* (names, times, models, tokens, cost, status) and, with the link's ``payloads``, also the *contents* (inputs, outputs,
arguments, errors, log lines, parameters, tags). Neither shows people, other tasks, scores, or the machines that the agents ran on.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from ams_contracts.documents import Failure, Slot, StepDocument, TaskDocument
from ams_contracts.events import (
    Batch,
    Event,
    Producer,
    StepEnded,
    StepLost,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskDeleted,
    TaskEnded,
    TaskStarted,
    TaskUpdated,
)
from ams_contracts.views import Step, Task

STRUCTURE = frozenset({
    *("task_id", "step_id", "parent_step_id", "type", "type_raw", "name", "kind", "span_name", "agent", "service", "status"),
    *("started_at_us", "ended_at_us", "duration_us", "ttft_us", "waiting_since_us", "last_event_at_us", "sort_at_us", "seq", "attempts"),
    *("provider", "model_requested", "model", "response_id", "scope", "call_key", "finish_reasons", "tool_name"),
    *("usage", "cost_nusd", "cost_usd", "cost_source", "counted", "priced_steps", "unpriced_steps", "unmetered_calls"),
    *("steps", "errors", "running_steps", "waiting_steps", "lost_steps", "input_tokens", "output_tokens", "repeated_steps", "messaging_steps"),
    *("error", "affected", "flags", "derived_flags", "captured", "too_large", "progress", "stamps"),
})  # fmt: skip
"""Fields of steps and tasks, in events and in rows, that every link shows; of ``error`` only the type."""

CONTENTS = frozenset({
    *("preview", "preview_input", "preview_output", "parameters", "tool_call_id", "waiting_for", "environment", "tags"),
})  # fmt: skip
"""Fields that a link with payloads shows, too."""

HIDDEN = frozenset({"run_id", "conversation_id", "user_id", "parent_task_id", "duplicate_of", "folded_into"})
"""Fields that no link shows: people and other tasks."""

SLOTS = frozenset({Slot.INPUT, Slot.OUTPUT, Slot.ERROR_STACK, Slot.LOGS})
"""Payloads that a link with payloads shows. The original span has attributes and resource as they were sent: users, sessions, hosts and command lines."""

_SENDER = "shared"

Fields = TypeVar("Fields", Step, Task, StepDocument, TaskDocument)


def is_shown(field: str, *, payloads: bool) -> bool:
    """Whether visitors see a field of a step or a task."""
    return field in STRUCTURE or (payloads and field in CONTENTS)


def shared_step(step: Step, *, payloads: bool) -> Step:
    """A row of a step as visitors see it."""
    return _shared(step, payloads=payloads)


def shared_task(task: Task, *, payloads: bool) -> Task:
    """A row of a task as visitors see it."""
    return _shared(task, payloads=payloads)


def shared_batch(batch: Batch, *, payloads: bool) -> Batch:
    """A record of the steps topic as visitors see it: possibly without events, and without the machine that sent it."""
    return Batch(
        v=batch.v,
        project_id=batch.project_id,
        task_id=batch.task_id,
        producer=Producer(sdk=batch.producer.sdk, instance_id=_SENDER),
        events=list(_shared_events(batch.events, payloads=payloads)),
    )


def _shared_events(events: Iterable[Event], *, payloads: bool) -> Iterable[Event]:
    for event in events:
        match event:
            case StepStarted() | StepEnded() | StepRecorded():
                yield replace(event, step=_shared(event.step, payloads=payloads))
            case TaskStarted() | TaskUpdated() | TaskEnded():
                yield replace(event, task=_shared(event.task, payloads=payloads))
            case StepProgressed():
                yield event if payloads else replace(event, deltas=[], logs=[])
            case TaskDeleted():
                yield replace(event, by=_SENDER)
            case StepLost():
                yield event
            case _:  # agents, scores, reports of producers
                pass


def _shared(value: Fields, *, payloads: bool) -> Fields:
    """A copy with the fields that are shown; the others are empty."""
    changes: dict[str, Any] = {}
    for field in type(value).__struct_fields__:
        if not is_shown(field, payloads=payloads):
            changes[field] = _empty(getattr(value, field))
    error: Failure | None = value.error
    if error is not None and not payloads:
        changes["error"] = Failure(type=error.type)
    return replace(value, **changes)


def _empty(value: Any) -> Any:
    """Nothing, of the type of a value that is hidden."""
    return type(value)() if isinstance(value, (dict, list)) else None
