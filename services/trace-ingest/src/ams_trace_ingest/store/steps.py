"""Steps as rows and back."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.documents import BILLABLE_TYPES, CostSource, Failure, Slot, Status, StepDocument, StepType, Usage
from ams_contracts.fold import Progress, Stamp, StepState
from ams_contracts.ids import Word
from ams_contracts.tables import steps
from ams_trace_ingest.rollup import DEPTH_MAX, STOP_TYPES, Counted, Node
from ams_trace_ingest.store.columns import array_literal, array_literals, names, upsert
from ams_trace_ingest.store.connections import Connection, copy_rows, execute_meanwhile
from ams_trace_ingest.store.leaves import copy_new

COLUMNS = names(steps)
NEW_COLUMNS = [name for name in COLUMNS if name != "flags"]
UPSERT = upsert(steps)

_ALL = ", ".join(f"s.{name}" for name in COLUMNS)
_FEW = "s.project_id, s.task_id, s.step_id, s.parent_step_id, s.type, s.rest, s.cost_nusd, s.response_id, s.usage_wrapper"
_WANTED = "unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[]) AS wanted (project_id, task_id, step_id, day)"
_STOPS = "(" + ", ".join(f"'{kind}'" for kind in sorted(STOP_TYPES)) + ")"


def _look_up(columns: str, of: str, column: str, value: str, condition: str = "true") -> str:
    """The steps of one task with one value in a column, by the index of (project_id, task_id, column).

    A plan that was made while a day was empty, or held nothing but small tasks, finds all indexes alike, and is kept while a large task
    comes: looked up as "all of the task, and of those this one", each step costs as much as its task has. The order leaves one index
    to choose (in a transaction that may not sort); equality would make the order void, hence the stretch of one value.
    """
    return f"""LATERAL (
        SELECT {columns} FROM steps s
        WHERE s.project_id = {of}.project_id AND s.task_id = {of}.task_id AND s.day = {of}.day
            AND s.{column} BETWEEN {value} AND {value} AND {condition}
        ORDER BY s.{column}
    ) s"""


_SAID = "s.stamp_phase IS NOT NULL"
_BY_ID = f"SELECT {_ALL} FROM {_WANTED}, {_look_up(_ALL, 'wanted', 'step_id', 'wanted.step_id')}"
_ABOVE = f"""
WITH RECURSIVE near AS (
    SELECT {_FEW}, s.day, 1 AS depth FROM {_WANTED}, {_look_up("s.*", "wanted", "step_id", "wanted.step_id", _SAID)}
    UNION
    SELECT {_FEW}, s.day, near.depth + 1 FROM near, {_look_up("s.*", "near", "step_id", "near.parent_step_id", _SAID)}
    WHERE near.type NOT IN {_STOPS} AND near.depth < {DEPTH_MAX}
)
SELECT * FROM near"""
_BELOW = f"""
WITH RECURSIVE near AS (
    SELECT {_FEW}, s.day, 1 AS depth FROM {_WANTED}, {_look_up("s.*", "wanted", "parent_step_id", "wanted.step_id", _SAID)}
    UNION
    SELECT {_FEW}, s.day, near.depth + 1 FROM near, {_look_up("s.*", "near", "parent_step_id", "near.step_id", _SAID)}
    WHERE near.type NOT IN {_STOPS} AND near.depth < {DEPTH_MAX}
)
SELECT * FROM near"""
_EARLIEST_ROOT = f"""
SELECT {_ALL} FROM (
    SELECT * FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3 AND parent_step_id IS NULL AND stamp_phase IS NOT NULL
    ORDER BY parent_step_id
) s
ORDER BY s.started_at_us NULLS LAST, s.seq, s.step_id LIMIT 1"""
_DELETE = "DELETE FROM steps WHERE project_id = $1 AND task_id = $2 AND day = $3 RETURNING response_id"

StepPlace = tuple[str, str, str, date]
"""Project, task, step and the task's day."""


class Rest(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The fields of a document that have no column of their own."""

    usage: Usage | None = None
    finish_reasons: list[Word] = []
    parameters: str | None = None
    tool_call_id: Word | None = None
    attempts: int = 1
    captured: list[Slot] = []
    too_large: list[Slot] = []


class _RestUsage(Struct, frozen=True, gc=False):
    usage: Usage | None = None


_rest = msgspec.json.Decoder(Rest)
_rest_usage = msgspec.json.Decoder(_RestUsage)
_usage = msgspec.json.Decoder(Usage)
_tags = msgspec.json.Decoder(dict[str, str])

_FOUR_NULLS = (None, None, None, None)
_THREE_NULLS = (None, None, None)


def row_of(
    key: tuple[str, str, str],
    day: date,
    offsets: tuple[int, int | None, int],
    state: StepState,
    counted: Counted,
    *,
    shadowed: bool,
    wrapper: bool,
    new: bool,
) -> tuple[Any, ...]:
    """The values of a row, in the order of ``COLUMNS`` (or ``NEW_COLUMNS``). One expression, for it runs once a step.

    Args:
        key: Project, task, step.
        day: Of the task.
        offsets: First offset, offset of the end, broker's time of the last change in microseconds.
        state: Folded.
        counted: What it adds to its task's totals.
        shadowed: By R2 or R3.
        wrapper: By R2.
        new: For ``insert``, which has no flags; else for ``write``, whose staging table holds arrays as text.
    """
    stamp, beat, progress, document, usage = state.stamp, state.progress_stamp, state.progress, state.document, state.usage
    stamps = (stamp.phase, stamp.at_us, stamp.seq, stamp.event_id) if stamp is not None else _FOUR_NULLS
    beats = (beat.phase, beat.at_us, beat.seq, beat.event_id) if beat is not None else _FOUR_NULLS
    partial = None if progress is None or progress.usage is None else encode(progress.usage).decode()
    news = (progress.status, partial, progress.at_us) if progress is not None else _THREE_NULLS
    counts = (counted.input_tokens, counted.output_tokens, counted.cost_nusd, shadowed, wrapper)
    tokens_in, tokens_out = (None, None) if usage is None else (usage.input, usage.output)
    if document is None:
        return (
            *key,
            day,
            *offsets,
            *stamps,
            *beats,
            *news,
            *_NO_DOCUMENT[:6],
            state.status,
            *_NO_DOCUMENT[6:16],
            tokens_in,
            tokens_out,
            *_NO_DOCUMENT[16:],
            *(() if new else ("{}",)),
            "{}",
            *counts,
        )
    error = document.error
    return (
        *key, day, *offsets, *stamps, *beats, *news,
        document.parent_step_id, document.type, document.type_raw, document.name, document.span_name, document.agent,
        state.status, document.status,
        document.started_at_us, document.ended_at_us, document.duration_us, document.ttft_us, document.seq,
        document.provider, document.model_requested, document.model, document.response_id,
        tokens_in, tokens_out, document.cost_nusd, document.cost_source, document.tool_name,
        None if error is None else error.type, None if error is None else error.message,
        document.preview_input, document.preview_output, document.conversation_id, document.user_id, document.environment,
        encode(document.tags).decode() if document.tags else None,
        *(() if new else (array_literal(document.flags),)), _rest_of(document),
        *counts,
    )  # fmt: skip


# of a step of which only progress is known: head, the ten from document_status to response_id, and what is before the flags
_NO_DOCUMENT: tuple[Any, ...] = (
    None, StepType.SPAN.value, None, "", None, None,
    None, None, None, None, None, 0, None, None, None, None,
    None, CostSource.UNKNOWN.value, None, None, None, None, None, None, None, None, None,
)  # fmt: skip


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


class StoredStep:
    """A row as it was read; what is costly to make of it is made when it is asked for."""

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        """``row`` is an asyncpg record of all columns."""
        self._row = row

    @property
    def key(self) -> tuple[str, str]:
        return (self._row["project_id"], self._row["task_id"])

    @property
    def step_id(self) -> str:
        return self._row["step_id"]

    @property
    def offsets(self) -> tuple[int, int | None, int]:
        """First offset, offset of the end, broker's time of the last change."""
        row = self._row
        return (row["first_offset"], row["end_offset"], row["seen_at_us"])

    @property
    def stamp(self) -> Stamp | None:
        row = self._row
        phase = row["stamp_phase"]
        return None if phase is None else Stamp(phase, row["stamp_at_us"], row["stamp_seq"], row["stamp_event_id"])

    @property
    def status(self) -> Status:
        return Status(self._row["status"])

    @property
    def shadowed(self) -> bool:
        return self._row["usage_shadowed"]

    @property
    def wrapper(self) -> bool:
        return self._row["usage_wrapper"]

    @property
    def counted(self) -> Counted:
        row = self._row
        nusd = row["counted_nusd"]
        return Counted(
            row["counted_input"], row["counted_output"], nusd, unpriced=nusd is None and row["counted_input"] + row["counted_output"] > 0
        )

    @property
    def node(self) -> Node | None:
        return None if self._row["stamp_phase"] is None else _node(self._row)

    @property
    def document(self) -> StepDocument | None:
        return None if self._row["stamp_phase"] is None else _document_of(self._row)

    def state(self, *, with_document: bool = True) -> StepState:
        """The registers. Without its document where another one has outranked it already."""
        row = self._row
        phase = row["progress_phase"]
        document = self.document if with_document else None
        if phase is None:
            return StepState(document=document, stamp=self.stamp)
        usage = row["progress_usage"]
        return StepState(
            document=document,
            stamp=self.stamp,
            progress=Progress(
                status=Status(row["progress_status"]), at_us=row["last_beat_us"], usage=_usage.decode(usage) if usage else None
            ),
            progress_stamp=Stamp(phase, row["progress_at_us"], row["progress_seq"], row["progress_event_id"]),
        )


class Neighbour(Struct, frozen=True, gc=False):
    """What the roll-up rules need of a row that a batch says nothing of."""

    project_id: str
    task_id: str
    node: Node
    wrapper: bool


def node_of_document(step_id: str, document: StepDocument) -> Node:
    """What the roll-up rules need of a step; of a type that never counts nothing but its place."""
    kind = document.type
    if kind not in BILLABLE_TYPES:
        return Node(step_id=step_id, parent_step_id=document.parent_step_id, type=kind)
    usage = document.usage
    return Node(
        step_id=step_id,
        parent_step_id=document.parent_step_id,
        type=kind,
        input_tokens=None if usage is None else usage.input,
        output_tokens=None if usage is None else usage.output,
        cost_nusd=document.cost_nusd,
        response_id=document.response_id,
    )


def _node(row: Any) -> Node:
    kind = StepType(row["type"])
    if kind not in BILLABLE_TYPES:
        return Node(step_id=row["step_id"], parent_step_id=row["parent_step_id"], type=kind)
    usage = _rest_usage.decode(row["rest"]).usage
    return Node(
        step_id=row["step_id"],
        parent_step_id=row["parent_step_id"],
        type=kind,
        input_tokens=None if usage is None else usage.input,
        output_tokens=None if usage is None else usage.output,
        cost_nusd=row["cost_nusd"],
        response_id=row["response_id"],
    )


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


async def load(connection: Connection, places: Sequence[StepPlace]) -> list[StoredStep]:
    """The rows at these places, as many as there are."""
    return [StoredStep(row) for row in await connection.fetch(_BY_ID, *_columns(places))] if places else []


async def load_above(connection: Connection, places: Sequence[StepPlace]) -> list[Neighbour]:
    """The steps at these places and what is above them, up to and with the first stop type or missing parent (may repeat)."""
    return await _neighbours(connection, _ABOVE, places)


async def load_below(connection: Connection, places: Sequence[StepPlace]) -> list[Neighbour]:
    """What is beneath these places, down to and with the next stop types (may repeat)."""
    return await _neighbours(connection, _BELOW, places)


async def _neighbours(connection: Connection, query: str, places: Sequence[StepPlace]) -> list[Neighbour]:
    if not places:
        return []
    rows = await connection.fetch(query, *_columns(places))
    return [Neighbour(row["project_id"], row["task_id"], _node(row), row["usage_wrapper"]) for row in rows]


async def earliest_root(connection: Connection, project_id: str, task_id: str, day: date) -> StoredStep | None:
    """The earliest parentless step of a task."""
    row = await connection.fetchrow(_EARLIEST_ROOT, project_id, task_id, day)
    return None if row is None else StoredStep(row)


async def insert(connection: Connection, rows: Sequence[tuple[Any, ...]], meanwhile: Callable[[], None]) -> None:
    """Insert rows without flags that are not there yet, into partitions that are.

    Args:
        connection: In a transaction.
        rows: Values in the order of ``NEW_COLUMNS``, each step once, made with ``new``.
        meanwhile: Called while Postgres is busy.

    Raises:
        UniqueViolationError: One was there.
    """
    await copy_new(connection, "steps", rows, NEW_COLUMNS, meanwhile)


async def write(connection: Connection, rows: Sequence[tuple[Any, ...]], meanwhile: Callable[[], None]) -> None:
    """Insert rows, or replace those that are there.

    Args:
        connection: In a transaction.
        rows: Values in the order of ``COLUMNS``, each step once.
        meanwhile: Called while Postgres is busy.
    """
    await copy_rows(connection, "steps_staging", rows, COLUMNS)
    await execute_meanwhile(connection, UPSERT, meanwhile)


async def delete(connection: Connection, project_id: str, task_id: str, day: date) -> set[str]:
    """Delete the steps of a task.

    Returns:
        Their response ids.
    """
    return {row[0] for row in await connection.fetch(_DELETE, project_id, task_id, day) if row[0] is not None}


def _columns(places: Sequence[StepPlace]) -> list[str]:
    return array_literals((*key, day.isoformat()) for *key, day in places)
