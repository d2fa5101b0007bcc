"""Steps as rows and back."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.documents import CostSource, Failure, Slot, Status, StepDocument, StepType, Usage
from ams_contracts.fold import Progress, Stamp, StepState
from ams_contracts.ids import Word
from ams_contracts.tables import steps
from ams_trace_ingest.rollup import Counted
from ams_trace_ingest.store.columns import names, upsert
from ams_trace_ingest.store.connections import Connection, copy_rows

COLUMNS = names(steps)
UPSERT = upsert(steps)
_SELECT = f"SELECT {', '.join(f's.{name}' for name in COLUMNS)}"
_BY_ID = f"""{_SELECT} FROM unnest($1::text[], $2::text[], $3::text[], $4::date[]) AS wanted (project_id, task_id, step_id, day)
JOIN steps s ON s.project_id = wanted.project_id AND s.task_id = wanted.task_id AND s.step_id = wanted.step_id AND s.day = wanted.day"""
_CHILDREN = f"""{_SELECT} FROM unnest($1::text[], $2::text[], $3::text[], $4::date[]) AS wanted (project_id, task_id, step_id, day)
JOIN steps s ON s.project_id = wanted.project_id AND s.task_id = wanted.task_id AND s.parent_step_id = wanted.step_id AND s.day = wanted.day"""
_EARLIEST_ROOT = f"""{_SELECT} FROM steps s WHERE s.project_id = $1 AND s.task_id = $2 AND s.day = $3 AND s.parent_step_id IS NULL AND s.stamp_phase IS NOT NULL
ORDER BY s.started_at_us NULLS LAST, s.seq, s.step_id LIMIT 1"""
_DELETE = "DELETE FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3 RETURNING response_id"

_UNSET_TYPE = StepType.SPAN.value  # of a step of which only progress is known


class Rest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of a document that have no column of their own."""

    usage: Usage | None = None
    finish_reasons: list[Word] = []
    parameters: str | None = None
    tool_call_id: Word | None = None
    attempts: int = 1
    captured: list[Slot] = []
    too_large: list[Slot] = []


_NO_REST = "{}"
_rest = msgspec.json.Decoder(Rest)
_usage = msgspec.json.Decoder(Usage)
_tags = msgspec.json.Decoder(dict[str, str])


class StoredStep(Struct, frozen=True):
    """A row as it was read."""

    project_id: str
    task_id: str
    step_id: str
    first_offset: int
    end_offset: int | None
    seen_at_us: int
    state: StepState
    counted: Counted
    shadowed: bool
    wrapper: bool


def row_of(
    key: tuple[str, str, str],
    day: date,
    offsets: tuple[int, int | None, int],
    state: StepState,
    counted: Counted,
    *,
    shadowed: bool,
    wrapper: bool,
) -> tuple[Any, ...]:
    """The values of a row, in the order of ``COLUMNS``.

    Args:
        key: Project, task, step.
        day: Of the task.
        offsets: First offset, offset of the end, broker's time of the last change in microseconds.
        state: Folded.
        counted: What it adds to its task's totals.
        shadowed: By R2 or R3.
        wrapper: By R2.
    """
    stamp, progress_stamp, progress = state.stamp, state.progress_stamp, state.progress
    usage = state.usage
    return (
        *key,
        day,
        *offsets,
        *((stamp.phase, stamp.at_us, stamp.seq, stamp.event_id) if stamp is not None else _FOUR_NULLS),
        *(
            (progress_stamp.phase, progress_stamp.at_us, progress_stamp.seq, progress_stamp.event_id)
            if progress_stamp is not None
            else _FOUR_NULLS
        ),
        *(
            (progress.status, None if progress.usage is None else encode(progress.usage).decode(), progress.at_us)
            if progress is not None
            else _THREE_NULLS
        ),
        *(_NO_DOCUMENT if state.document is None else _head(state.document)),
        state.status,
        *(_NO_TIMES if state.document is None else _times(state.document)),
        None if usage is None else usage.input,
        None if usage is None else usage.output,
        *(_NO_TAIL if state.document is None else _tail(state.document)),
        counted.input_tokens,
        counted.output_tokens,
        counted.cost_nusd,
        shadowed,
        wrapper,
    )


_FOUR_NULLS = (None, None, None, None)
_THREE_NULLS = (None, None, None)
_NO_DOCUMENT = (None, _UNSET_TYPE, None, "", None, None)
_NO_TIMES = (None, None, None, None, None, 0, None, None, None, None)
_NO_TAIL = (None, CostSource.UNKNOWN.value, None, None, None, None, None, None, None, None, None, [], _NO_REST)


def _head(document: StepDocument) -> tuple[Any, ...]:
    return (document.parent_step_id, document.type, document.type_raw, document.name, document.span_name, document.agent)


def _times(document: StepDocument) -> tuple[Any, ...]:
    return (
        document.status,
        document.started_at_us,
        document.ended_at_us,
        document.duration_us,
        document.ttft_us,
        document.seq,
        document.provider,
        document.model_requested,
        document.model,
        document.response_id,
    )


def _tail(document: StepDocument) -> tuple[Any, ...]:
    error = document.error
    return (
        document.cost_nusd,
        document.cost_source,
        document.tool_name,
        None if error is None else error.type,
        None if error is None else error.message,
        document.preview_input,
        document.preview_output,
        document.conversation_id,
        document.user_id,
        document.environment,
        encode(document.tags).decode() if document.tags else None,
        document.flags,
        _rest_of(document),
    )


def _rest_of(document: StepDocument) -> str:
    rest = Rest(
        usage=document.usage,
        finish_reasons=document.finish_reasons,
        parameters=document.parameters,
        tool_call_id=document.tool_call_id,
        attempts=document.attempts,
        captured=document.captured,
        too_large=document.too_large,
    )
    return encode(rest).decode()


def _document_of(row: Any) -> StepDocument:
    rest = _rest.decode(row["rest"])
    failed = row["error_type"] is not None or row["error_message"] is not None
    return StepDocument(
        parent_step_id=row["parent_step_id"],
        type=StepType(row["type"]),
        type_raw=row["type_raw"],
        name=row["name"],
        span_name=row["span_name"],
        agent=row["agent"],
        status=Status(row["document_status"]),
        started_at_us=row["started_at_us"],
        ended_at_us=row["ended_at_us"],
        duration_us=row["duration_us"],
        ttft_us=row["ttft_us"],
        seq=row["seq"],
        provider=row["provider"],
        model_requested=row["model_requested"],
        model=row["model"],
        response_id=row["response_id"],
        finish_reasons=rest.finish_reasons,
        parameters=rest.parameters,
        usage=rest.usage,
        cost_nusd=row["cost_nusd"],
        cost_source=CostSource(row["cost_source"]),
        tool_name=row["tool_name"],
        tool_call_id=rest.tool_call_id,
        error=Failure(type=row["error_type"], message=row["error_message"]) if failed else None,
        preview_input=row["preview_input"],
        preview_output=row["preview_output"],
        attempts=rest.attempts,
        captured=rest.captured,
        too_large=rest.too_large,
        flags=list(row["flags"]),
        conversation_id=row["conversation_id"],
        user_id=row["user_id"],
        environment=row["environment"],
        tags=_tags.decode(row["tags"]) if row["tags"] else {},
    )


def stored_step(row: Any) -> StoredStep:
    """A row (an asyncpg record of all columns) as what it was made from."""
    known = row["stamp_phase"] is not None
    beaten = row["progress_phase"] is not None
    state = StepState(
        document=_document_of(row) if known else None,
        stamp=Stamp(row["stamp_phase"], row["stamp_at_us"], row["stamp_seq"], row["stamp_event_id"]) if known else None,
        progress=Progress(
            status=Status(row["progress_status"]),
            at_us=row["last_beat_us"],
            usage=_usage.decode(row["progress_usage"]) if row["progress_usage"] else None,
        )
        if beaten
        else None,
        progress_stamp=Stamp(row["progress_phase"], row["progress_at_us"], row["progress_seq"], row["progress_event_id"])
        if beaten
        else None,
    )
    tokens = row["counted_input"] + row["counted_output"]
    counted = Counted(row["counted_input"], row["counted_output"], row["counted_nusd"], unpriced=tokens > 0 and row["counted_nusd"] is None)
    return StoredStep(
        row["project_id"], row["task_id"], row["step_id"], row["first_offset"], row["end_offset"], row["seen_at_us"],
        state, counted, row["usage_shadowed"], row["usage_wrapper"],
    )  # fmt: skip


StepPlace = tuple[str, str, str, date]
"""Project, task, step and the task's day."""


async def load(connection: Connection, places: Sequence[StepPlace]) -> list[StoredStep]:
    """The rows at these places, as many as there are."""
    return [stored_step(row) for row in await connection.fetch(_BY_ID, *_columns(places))] if places else []


async def load_children(connection: Connection, places: Sequence[StepPlace]) -> list[StoredStep]:
    """The rows whose parent is one of these."""
    return [stored_step(row) for row in await connection.fetch(_CHILDREN, *_columns(places))] if places else []


async def earliest_root(connection: Connection, project_id: str, task_id: str, day: date) -> StoredStep | None:
    """The earliest parentless step of a task."""
    row = await connection.fetchrow(_EARLIEST_ROOT, project_id, task_id, day)
    return None if row is None else stored_step(row)


async def write(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, or replace those that are there."""
    await copy_rows(connection, "steps_staging", rows, COLUMNS)
    await connection.execute(UPSERT)


async def delete(connection: Connection, project_id: str, task_id: str, day: date) -> set[str]:
    """Delete the steps of a task.

    Returns:
        Their response ids.
    """
    return {row[0] for row in await connection.fetch(_DELETE, project_id, task_id, day) if row[0] is not None}


def _columns(places: Sequence[StepPlace]) -> list[list[Any]]:
    return [list(column) for column in zip(*places, strict=True)]
