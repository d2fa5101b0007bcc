"""A step's document as the values of a row, and a row as what the projector needs of it."""

from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.documents import BILLABLE_TYPES, CostSource, Failure, Slot, Status, StepDocument, StepType, Usage
from ams_contracts.fold import Progress, Stamp, StepState
from ams_contracts.ids import Word
from ams_trace_ingest.rollup import Counted, Node
from ams_trace_ingest.store.columns import array_literal


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
    """The values of a row, in the order of ``steps.COLUMNS`` (or ``NEW_COLUMNS``). One expression, for it runs once a step.

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
        return None if self._row["stamp_phase"] is None else node_of_row(self._row)

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


def node_of_row(row: Any) -> Node:
    """The same of a row, of which the columns of the rules are enough."""
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
