"""A step as the values of a row, and a row as what the projector needs of it, by ``ams_contracts.documents.STEP_FIELDS``."""

from collections.abc import Callable
from datetime import date
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ams_contracts.documents import BILLABLE_TYPES, STEP_FIELDS, Status, StepDocument, StepType, Usage
from ams_contracts.fold import Stamp, StepState
from ams_contracts.step_rows import decode_document, step_state
from ams_trace_ingest.rollup import METERED_TYPES, Counted, Node, is_unmetered, node_of
from ams_trace_ingest.store.row_codec import compile_encoder


class _RestUsage(Struct, frozen=True, gc=False):
    usage: Usage | None = None


class FoldedStep(Protocol):
    """What a row is made of. The paths of ``STEP_FIELDS`` begin with its attributes."""

    step_id: str
    first_offset: int
    end_offset: int | None
    seen_at_us: int
    state: StepState
    counted: Counted
    wrapper: bool
    repeats_response: str | None
    repeats_call: str | None
    agent: str | None

    @property
    def shadowed(self) -> bool: ...


Encoder = Callable[[str, str, date, FoldedStep], tuple[Any, ...]]

encode_row: Encoder = compile_encoder(STEP_FIELDS, "any")
"""The values of a row in the order of ``steps.WRITTEN_COLUMNS``, for ``steps.write``, whose staging table holds arrays as text.

Args: project, task, day of the task, step.
"""

encode_new_row: Encoder = compile_encoder(STEP_FIELDS, "new")
"""The same in the order of ``steps.NEW_COLUMNS``, for ``steps.insert``: without the columns that take their DEFAULT."""

encode_plain_row: Encoder = compile_encoder(STEP_FIELDS, "plain")
"""The same in the order of ``steps.PLAIN_COLUMNS``, of a step with a document and without progress: most of the new ones."""

_rest_usage = msgspec.json.Decoder(_RestUsage)


class StoredStep:
    """A row as it was read; what is costly to make of it is made when it is asked for."""

    __slots__ = ("_document", "_node", "_row")

    def __init__(self, row: Any) -> None:
        """``row`` is an asyncpg record of all columns."""
        self._row = row
        self._node: Node | None = None
        self._document: StepDocument | None = None

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
    def repeats_response(self) -> str | None:
        return self._row["repeats_response"]

    @property
    def repeats_call(self) -> str | None:
        return self._row["repeats_call"]

    @property
    def type_raw(self) -> str | None:
        return self._row["type_raw"]

    @property
    def agent(self) -> str | None:
        """The one to show."""
        return self._row["agent"]

    @property
    def counted(self) -> Counted:
        row = self._row
        nusd = row["counted_nusd"]
        tokens_in, tokens_out = row["counted_input"], row["counted_output"]
        node = None if tokens_in or tokens_out or row["usage_shadowed"] or row["type"] not in METERED_TYPES else self.node
        return Counted(
            tokens_in,
            tokens_out,
            nusd,
            unpriced=nusd is None and tokens_in + tokens_out > 0,
            unmetered=node is not None and node.unmetered,
        )

    @property
    def node(self) -> Node | None:
        if self._node is None and self._row["stamp_phase"] is not None:
            self._node = node_of_row(self._row)
        return self._node

    @property
    def document(self) -> StepDocument | None:
        if self._document is None and self._row["stamp_phase"] is not None:
            self._document = decode_document(self._row)
        return self._document

    def state(self, *, with_document: bool = True) -> StepState:
        """The registers. Without its document where another one has outranked it already."""
        return step_state(self._row, with_document=with_document)


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
    return node_of(step_id, document)


def node_of_row(row: Any) -> Node:
    """The same of a row, of which the columns of the rules are enough."""
    kind = StepType(row["type"])
    if kind not in BILLABLE_TYPES:
        return Node(step_id=row["step_id"], parent_step_id=row["parent_step_id"], type=kind)
    usage = _rest_usage.decode(row["rest"]).usage
    tokens_in, tokens_out = (None, None) if usage is None else (usage.input, usage.output)
    return Node(
        step_id=row["step_id"],
        parent_step_id=row["parent_step_id"],
        type=kind,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_nusd=row["cost_nusd"],
        response_id=row["response_id"],
        call_key=row["call_key"],
        unmetered=is_unmetered(
            kind, Status(row["document_status"]), tokens_in, tokens_out, answered=bool(row["response_id"] or row["preview_output"])
        ),
    )
