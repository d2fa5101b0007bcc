"""A task's skeleton: all its steps as columns, some 100 bytes each, from which a browser builds tree, waterfall and filters.

Postgres gathers the rows into arrays, a few thousand at a time: the driver then makes no object per row and value pair, and
other requests get their turn between two chunks.
"""

from datetime import date
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Integer

from ams_contracts.claims import Access
from ams_contracts.tables import steps, tasks
from ams_kit.http.problems import TooLargeError
from ams_trace_query.context import context_of
from ams_trace_query.database import Reader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import documented, hex_id, read_query
from ams_trace_query.rows import position_text
from ams_trace_query.tasks import find_task

STEPS_MAX = 250_000
LARGE_STEPS = 5_000  # from here on a skeleton waits for its turn, as searches do
STEPS_PER_CHUNK = 4_096
CHUNKS_AT_ONCE = 1

ROOT = -1
PARENT_UNKNOWN = -2


class Columns(Struct, kw_only=True):
    """One entry a step, sorted by (started_at_us, seq, step_id); a start that is not known comes last.

    Attributes:
        step_id: 16 hex.
        parent: Row of the parent; -1 none; -2 not here (yet): its id is in ``missing_parents``.
        type: Index into ``types``.
        status: Index into ``statuses``.
        name: Index into ``names``.
        agent: Index into ``agents``; -1 none.
        model: Index into ``models``; -1 none.
        start: Microseconds since ``base_us``; null when not known.
        duration: Microseconds.
        input_tokens: The step's own, null when not known.
        output_tokens: The same.
        cost_nusd: Nano-USD, null when not known.
        counted: 1 when usage or cost of the step is in the task's totals.
        seq: Of the event that started it.
        phase: Of the stamp of its document (0 started, 2 ended); 1 while only progress of it is known.
        at: ``at_us`` of that stamp, since ``base_us``.
        first_offset: The record at which it was first seen.
        end_offset: The record at which it ended; null while open.
    """

    step_id: list[str]
    parent: list[int]
    type: list[int]
    status: list[int]
    name: list[int]
    agent: list[int]
    model: list[int]
    start: list[int | None]
    duration: list[int | None]
    input_tokens: list[int | None]
    output_tokens: list[int | None]
    cost_nusd: list[int | None]
    counted: list[int]
    seq: list[int]
    phase: list[int]
    at: list[int]
    first_offset: list[int]
    end_offset: list[int | None]


class Skeleton(Struct, kw_only=True):
    """All steps of a task as columns, true at ``position``."""

    task_id: str
    position: str | None
    base_us: int
    types: list[str]
    statuses: list[str]
    names: list[str]
    agents: list[str]
    models: list[str]
    columns: Columns
    missing_parents: dict[str, str]


@get("/tasks/{task:str}/skeleton", operation_class=documented(), operation_id="getSkeleton", responses=PROBLEMS)
async def get_skeleton(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> Skeleton:
    """All steps of a task as columns."""
    context = context_of(request)
    read_query(request, ())
    task_id = hex_id(task, 32, "task")
    async with context.database.read(access.project_id) as reader:
        found = await _find(reader, access.project_id, task_id)
        if found["steps"] <= LARGE_STEPS:
            return await _read(reader, access.project_id, task_id, found)
    # waits for its turn without a connection, and then begins anew, in a snapshot of its own
    async with context.gate.enter(), context.database.read(access.project_id) as reader:
        return await _read(reader, access.project_id, task_id, await _find(reader, access.project_id, task_id))


async def _find(reader: Reader, project_id: str, task_id: str) -> Any:
    found = await find_task(reader, project_id, task_id, [tasks.c.steps, tasks.c.sort_at_us, _first_start])
    if found["steps"] > STEPS_MAX:
        raise TooLargeError(f"The task has {found['steps']} steps, a skeleton at most {STEPS_MAX}; read its steps in windows.")
    return found


async def _read(reader: Reader, project_id: str, task_id: str, found: Any) -> Skeleton:
    builder = _Builder()
    base_us = found["sort_at_us"] if found["first_start"] is None else found["first_start"]
    async for chunks in reader.stream(_chunks(project_id, task_id, found["day"], base_us), CHUNKS_AT_ONCE):
        for chunk in chunks:
            builder.add(chunk)
    return builder.finish(task_id, position_text(found["partition"], found["next_offset"]), base_us)


_first_start = (
    select(sql.min(steps.c.started_at_us))
    .where(steps.c.project_id == tasks.c.project_id, steps.c.task_id == tasks.c.task_id, steps.c.day == tasks.c.day)
    .scalar_subquery()
    .label("first_start")
)

# columns that go out as they come; those of the second kind become indexes into a list of words
_PLAIN = (
    "step_id",
    "start",
    "duration",
    "input_tokens",
    "output_tokens",
    "cost_nusd",
    "counted",
    "seq",
    "phase",
    "at",
    "first_offset",
    "end_offset",
)
_CODED = ("type", "status", "name", "agent", "model")


def _chunks(project_id: str, task_id: str, day: date, base_us: int) -> Statement:
    table = steps.c
    base = literal(base_us, BigInteger)
    order = (table.started_at_us, table.seq, table.step_id)
    counted = (table.counted_input > 0) | (table.counted_output > 0) | table.counted_nusd.is_not(None)
    in_order = (
        select(
            table.step_id,
            table.parent_step_id,
            table.type,
            table.status,
            table.name,
            table.agent,
            sql.coalesce(table.model, table.model_requested).label("model"),
            (table.started_at_us - base).label("start"),
            table.duration_us.label("duration"),
            table.input_tokens,
            table.output_tokens,
            table.cost_nusd,
            counted.cast(Integer).label("counted"),
            table.seq,
            sql.coalesce(table.stamp_phase, 1).label("phase"),
            (sql.coalesce(table.stamp_at_us, table.progress_at_us) - base).label("at"),
            table.first_offset,
            table.end_offset,
            ((sql.row_number().over(order_by=order) - 1) // STEPS_PER_CHUNK).label("chunk"),
        )
        .where(table.project_id == project_id, table.task_id == task_id, table.day == day)
        .subquery()
    )
    gathered = [sql.array_agg(column).label(column.key) for column in in_order.c if column.key != "chunk"]
    return select(*gathered).group_by(in_order.c.chunk).order_by(in_order.c.chunk)


class _Builder:
    """Gathers chunks of columns."""

    def __init__(self) -> None:
        self._columns = Columns(**{name: [] for name in Columns.__struct_fields__})
        self._words: dict[str, dict[str, int]] = {name: {} for name in _CODED}
        self._parents: list[str | None] = []

    def add(self, chunk: Any) -> None:
        for name in _PLAIN:
            getattr(self._columns, name).extend(chunk[name])
        for name in _CODED:
            words = self._words[name]
            getattr(self._columns, name).extend([-1 if word is None else words.setdefault(word, len(words)) for word in chunk[name]])
        self._parents.extend(chunk["parent_step_id"])

    def finish(self, task_id: str, position: str | None, base_us: int) -> Skeleton:
        rows = {step_id: row for row, step_id in enumerate(self._columns.step_id)}
        parents = [ROOT if parent is None else rows.get(parent, PARENT_UNKNOWN) for parent in self._parents]
        for row in rows_that_close_a_circle(parents):
            parents[row] = PARENT_UNKNOWN
        self._columns.parent = parents
        return Skeleton(
            task_id=task_id,
            position=position,
            base_us=base_us,
            types=list(self._words["type"]),
            statuses=list(self._words["status"]),
            names=list(self._words["name"]),
            agents=list(self._words["agent"]),
            models=list(self._words["model"]),
            columns=self._columns,
            missing_parents={str(row): self._parents[row] or "" for row, parent in enumerate(parents) if parent == PARENT_UNKNOWN},
        )


def rows_that_close_a_circle(parents: list[int]) -> list[int]:
    """One row of every circle of parents, so that whoever builds the tree comes to an end.

    A circle holds at least one row whose parent does not stand before it, so only from such rows does anything need to be walked.

    Args:
        parents: Row of each row's parent; negative: none.
    """
    closing: list[int] = []
    seen: dict[int, int] = {}  # row: the start from which it was walked
    for start in [row for row, parent in enumerate(parents) if parent >= row]:
        row = start
        while row >= 0 and row not in seen:
            seen[row] = start
            row = parents[row]
        if row >= 0 and seen[row] == start:
            closing.append(row)
    return closing
