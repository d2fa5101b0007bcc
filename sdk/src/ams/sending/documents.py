"""Records as the contract's documents: clipped to its bounds, unknown stays None."""

from typing import Any

import msgspec

from ams.masking import MASKED
from ams.sending.payloads import masked, payload_of
from ams.tracing.capture import Captured, Cut, clean
from ams.tracing.ids import step_hex, task_hex
from ams.tracing.records import WAITING, StepRecord, TaskRecord
from ams.tracing.runtime import runtime
from ams_contracts.documents import CostSource, Failure, Slot, Status, StepDocument, StepType, TaskDocument, Usage

EVENTS_DROPPED = "events_dropped"
_WORD_CHARS_MAX = 256
_NAME_CHARS_MAX = 1_024
_WAITING_CHARS_MAX = 512
_NUSD_PER_USD = 1_000_000_000


def masked_text(text: str) -> str:
    """A text without its secrets."""
    return runtime.masker.text(text)


def word(value: object) -> str | None:
    """At most 256 characters; None stays unknown."""
    return clean(str(value))[:_WORD_CHARS_MAX] if value is not None else None


def step_document(step: StepRecord, *, seq: int, captured: list[Slot], previews: dict[str, str | None], ended: bool) -> StepDocument:
    """Everything that is known of a step now.

    Args:
        step: The step.
        seq: Of the event that started it.
        captured: The payloads that travel beside it.
        previews: Of input and output, by slot.
        ended: Whether this is its last document.
    """
    details = step.details or {}
    started_us = step.started_ns // 1000
    reported = step.cost_usd is not None and ended
    waiting_for, waiting_since_us = (step.wait if step.status is WAITING else None) or (None, None)
    return StepDocument(
        parent_step_id=step_hex(step.parent_id) if step.parent_id is not None else None,
        type=StepType(step.type),
        type_raw=word(details.get("type_raw")),
        name=masked_text(clean(step.name))[:_NAME_CHARS_MAX],
        agent=word(step.agent),
        status=_status(step, ended=ended),
        started_at_us=started_us,
        ended_at_us=started_us + (step.duration_us or 0) if ended else None,
        duration_us=step.duration_us if ended else None,
        ttft_us=step.first_output_us if step.type == "llm" else None,
        seq=seq,
        provider=word(details.get("provider")),
        model_requested=word(details.get("model_requested")),
        model=word(step.model),
        response_id=word(details.get("response_id")),
        finish_reasons=_finish_reasons(details),
        parameters=_parameters(details.get("parameters")),
        usage=usage_of(step),
        cost_nusd=round(step.cost_usd * _NUSD_PER_USD) if reported and step.cost_usd is not None else None,
        cost_source=CostSource.REPORTED if reported else CostSource.UNKNOWN,
        tool_name=word(details.get("tool_name") or (step.name if step.type == "tool" else None)),
        tool_call_id=word(details.get("tool_call_id")),
        waiting_for=masked_text(clean(waiting_for))[:_WAITING_CHARS_MAX] if waiting_for else None,
        waiting_since_us=waiting_since_us,
        error=failure_of(step) if ended else None,
        preview_input=previews.get(Slot.INPUT),
        preview_output=previews.get(Slot.OUTPUT),
        attempts=details["attempts"] if isinstance(details.get("attempts"), int) else 1,
        captured=captured,
    )


def _status(step: StepRecord, *, ended: bool) -> Status:
    if ended:
        return Status(step.status)
    return Status.WAITING if step.status is WAITING else Status.RUNNING


def _finish_reasons(details: dict[str, Any]) -> list[str]:
    said = details.get("finish_reasons", details.get("finish_reason"))
    several = said if isinstance(said, list | tuple) else [said]
    return [clean(str(reason))[:_WORD_CHARS_MAX] for reason in several if reason is not None][:16]


def _parameters(value: object) -> str | None:
    if value is None:
        return None
    value = masked(value if isinstance(value, bytes | Cut) else str(value))
    text = value.decode() if isinstance(value, bytes) else value.text if isinstance(value, Cut) else str(value)
    return clean(text)[:4_096]


def usage_of(step: StepRecord) -> Usage | None:
    """The tokens that are known so far."""
    return Usage(**step.usage) if step.usage else None  # type: ignore[arg-type]  # the keys are those of counts


def failure_of(step: StepRecord) -> Failure | None:
    """Why a step failed, None when it did not."""
    if step.error_type is None and step.error_message is None:
        return None
    return Failure(type=word(step.error_type), message=masked_text(clean(step.error_message))[:4_096] if step.error_message else None)


def task_document(task: TaskRecord, status: Status, *, ended_us: int | None = None, error: Failure | None = None) -> TaskDocument:
    """Everything that is known of a task now."""
    started_us = task.started_ns // 1000
    return TaskDocument(
        name=masked_text(clean(task.name))[:_NAME_CHARS_MAX],
        kind=word(task.kind) or "task",
        agent=word(task.agent),
        conversation_id=word(task.conversation_id),
        user_id=word(task.user_id),
        environment=word(task.environment),
        tags={clean(key)[:_WORD_CHARS_MAX]: clean(value)[:_WORD_CHARS_MAX] for key, value in list(task.tags.items())[:64]},
        parent_task_id=task_hex(task.parent_task_id) if task.parent_task_id is not None else None,
        status=status,
        started_at_us=started_us,
        ended_at_us=ended_us,
        duration_us=ended_us - started_us if ended_us is not None else None,
        error=error,
        preview=task.preview,
        flags=[EVENTS_DROPPED] if task.dropped.value or task.refused else [],
    )


def attributes_of(step: StepRecord) -> Captured | None:
    """The slot ``original`` of a native step: what the agent said beyond the document's fields."""
    if not step.attributes:
        return None
    attributes: dict[str, object] = {}
    for name, value in step.attributes.items():
        if runtime.masker.hides(name):
            attributes[clean(name)] = MASKED
            continue
        value = masked(value)  # noqa: PLW2901 - the other one must not be used
        attributes[clean(name)] = (
            msgspec.Raw(value) if isinstance(value, bytes) else clean(value.text if isinstance(value, Cut) else str(value))
        )
    return msgspec.json.encode({"attributes": attributes, "consumed": []})


def preview_of(value: Captured | None) -> str | None:
    """The words of a task's input."""
    return payload_of(value, Slot.INPUT).preview if value is not None else None
