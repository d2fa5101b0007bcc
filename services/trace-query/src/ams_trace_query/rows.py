"""Database rows to the public shapes of ``ams_contracts.views``. The columns that each needs stand beside it."""

from typing import Any

import msgspec
from sqlalchemy import Label, select

from ams_contracts.documents import Failure, Usage
from ams_contracts.fold import PHASE_ENDED, Progress, Stamp
from ams_contracts.positions import Position
from ams_contracts.tables import positions, steps, tasks
from ams_contracts.topics import STEPS
from ams_contracts.views import Stamps, Step, Task, usd

PROJECTION = "steps"

_tags = msgspec.json.Decoder(dict[str, str])
_usage = msgspec.json.Decoder(Usage)


class _Rest(msgspec.Struct, frozen=True):
    """Column ``rest``: the fields of ``StepDocument`` that have no column of their own."""

    usage: Usage | None = None
    finish_reasons: list[str] = []
    parameters: str | None = None
    tool_call_id: str | None = None
    attempts: int = 1
    captured: list[str] = []
    too_large: list[str] = []


_rest = msgspec.json.Decoder(_Rest)

TASK_COLUMNS = [
    tasks.c[name]
    for name in (
        *("task_id", "name", "kind", "agent", "status", "started_at_us", "ended_at_us", "duration_us", "steps", "errors"),
        *("running_steps", "waiting_steps", "lost_steps", "input_tokens", "output_tokens", "cost_nusd", "priced_steps", "unpriced_steps"),
        *("conversation_id", "user_id", "environment", "tags", "parent_task_id", "preview", "error_type", "error_message"),
        *("last_event_at_us", "flags", "sort_at_us"),
    )
]

STEP_COLUMNS = [
    steps.c[name]
    for name in (
        *("task_id", "step_id", "parent_step_id", "type", "type_raw", "name", "span_name", "status", "agent", "provider"),
        *("model_requested", "model", "started_at_us", "ended_at_us", "duration_us", "ttft_us", "seq", "cost_nusd", "cost_source"),
        *("response_id", "tool_name", "error_type", "error_message", "preview_input", "preview_output", "flags", "rest"),
        *("counted_input", "counted_output", "counted_nusd", "stamp_phase", "stamp_at_us", "stamp_seq", "stamp_event_id"),
        *("progress_phase", "progress_at_us", "progress_seq", "progress_event_id", "progress_status", "progress_usage", "last_beat_us"),
    )
]

next_offset_of_task: Label[Any] = (
    select(positions.c.next_offset)
    .where(positions.c.projection == PROJECTION, positions.c.topic == STEPS.name, positions.c.partition == tasks.c.partition)
    .scalar_subquery()
    .label("next_offset")
)
"""Up to where the log was projected in the partition of a task, in the snapshot of its row."""


def position_text(partition: int, next_offset: int | None) -> str | None:
    """A position of the steps topic as text; null before the first record of the partition was projected."""
    return None if next_offset is None else str(Position(STEPS.version, partition, next_offset))


def task_view(row: Any) -> Task:
    """A row of ``TASK_COLUMNS``."""
    return Task(
        task_id=row["task_id"],
        name=row["name"],
        kind=row["kind"],
        agent=row["agent"],
        status=row["status"],
        started_at_us=row["started_at_us"],
        ended_at_us=row["ended_at_us"],
        duration_us=row["duration_us"],
        steps=row["steps"],
        errors=row["errors"],
        running_steps=row["running_steps"],
        waiting_steps=row["waiting_steps"],
        lost_steps=row["lost_steps"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=usd(row["cost_nusd"]) if row["priced_steps"] else None,
        unpriced_steps=row["unpriced_steps"],
        conversation_id=row["conversation_id"],
        user_id=row["user_id"],
        environment=row["environment"],
        tags=_tags.decode(row["tags"]),
        parent_task_id=row["parent_task_id"],
        preview=row["preview"],
        error=_failure(row),
        last_event_at_us=row["last_event_at_us"],
        flags=row["flags"],
    )


def step_view(row: Any) -> Step:
    """A row of ``STEP_COLUMNS``."""
    rest = _rest.decode(row["rest"])
    progress = _progress(row)
    usage = rest.usage
    if usage is None and progress is not None and row["stamp_phase"] != PHASE_ENDED:
        usage = progress.usage
    return Step(
        task_id=row["task_id"],
        step_id=row["step_id"],
        parent_step_id=row["parent_step_id"],
        type=row["type"],
        type_raw=row["type_raw"],
        name=row["name"],
        span_name=row["span_name"],
        status=row["status"],
        agent=row["agent"],
        provider=row["provider"],
        model_requested=row["model_requested"],
        model=row["model"],
        started_at_us=row["started_at_us"],
        ended_at_us=row["ended_at_us"],
        duration_us=row["duration_us"],
        ttft_us=row["ttft_us"],
        seq=row["seq"],
        usage=usage,
        counted=bool(row["counted_input"] or row["counted_output"] or row["counted_nusd"] is not None),
        cost_usd=usd(row["cost_nusd"]),
        cost_source=row["cost_source"],
        response_id=row["response_id"],
        finish_reasons=rest.finish_reasons,
        parameters=rest.parameters,
        tool_name=row["tool_name"],
        tool_call_id=rest.tool_call_id,
        error=_failure(row),
        attempts=rest.attempts,
        preview_input=row["preview_input"],
        preview_output=row["preview_output"],
        captured=rest.captured,
        too_large=rest.too_large,
        flags=row["flags"],
        progress=progress,
        stamps=Stamps(document=_stamp(row, "stamp"), progress=_stamp(row, "progress")),
    )


def _failure(row: Any) -> Failure | None:
    if row["error_type"] is None and row["error_message"] is None:
        return None
    return Failure(type=row["error_type"], message=row["error_message"])


def _stamp(row: Any, prefix: str) -> Stamp | None:
    phase = row[f"{prefix}_phase"]
    return None if phase is None else Stamp(phase, row[f"{prefix}_at_us"], row[f"{prefix}_seq"], row[f"{prefix}_event_id"])


def _progress(row: Any) -> Progress | None:
    if row["progress_status"] is None:
        return None
    usage = None if row["progress_usage"] is None else _usage.decode(row["progress_usage"])
    return Progress(status=row["progress_status"], at_us=row["last_beat_us"], usage=usage)
