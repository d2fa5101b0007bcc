"""A task's skeleton: all its steps as columns, some 100 bytes each, from which a browser builds tree, waterfall and filters.

Postgres writes most columns as the JSON that goes out, so that no object is made of their values; only words and parents, which
become indexes, are taken apart here, in a thread, so that other requests get their turn.
"""

import asyncio
from datetime import date
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Raw, Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Integer, Text

from ams_contracts.claims import Access
from ams_contracts.tables import steps, tasks
from ams_kit.errors import TooLargeError
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import documented, hex_id, read_parameters
from ams_trace_query.rows import position_text
from ams_trace_query.tasks import find_task

STEPS_MAX = 250_000
LARGE_STEPS = 5_000  # from here on a skeleton waits for its turn, as searches do

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
    read_parameters(request, ())
    task_id = hex_id(task, 32, "task")
    async with context.database.read(access.project_id) as reader:
        found = await _find(reader, access.project_id, task_id)
        if found["steps"] <= LARGE_STEPS:
            return await _read(reader, access.project_id, task_id, found)
    # waits for its turn without a connection, and then begins anew, in a snapshot of its own
    async with context.heavy_queries.slot(), context.database.read(access.project_id) as reader:
        return await _read(reader, access.project_id, task_id, await _find(reader, access.project_id, task_id))


async def _find(reader: SnapshotReader, project_id: str, task_id: str) -> Any:
    found = await find_task(reader, project_id, task_id, [tasks.c.steps, tasks.c.sort_at_us, _first_start])
    if found["steps"] > STEPS_MAX:
        raise TooLargeError(f"The task has {found['steps']} steps, a skeleton at most {STEPS_MAX}; read its steps in windows.")
    return found


async def _read(reader: SnapshotReader, project_id: str, task_id: str, found: Any) -> Skeleton:
    base_us = found["sort_at_us"] if found["first_start"] is None else found["first_start"]
    gathered = await reader.row(_columns_statement(project_id, task_id, found["day"], base_us))
    position = position_text(found["partition"], found["next_offset"])
    if found["steps"] <= LARGE_STEPS:
        return _skeleton(gathered, task_id, position, base_us)
    return await asyncio.to_thread(_skeleton, gathered, task_id, position, base_us)


_first_start = (
    select(sql.min(steps.c.started_at_us))
    .where(steps.c.project_id == tasks.c.project_id, steps.c.task_id == tasks.c.task_id, steps.c.day == tasks.c.day)
    .scalar_subquery()
    .label("first_start")
)

# numbers go out as Postgres writes them; words become indexes into a list of them
_NUMBER_COLUMNS = (
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
_ENUM_COLUMNS = ("type", "status")
_TEXT_COLUMNS = ("name", "agent", "model")


def _columns_statement(project_id: str, task_id: str, day: date, base_us: int) -> Statement:
    """One row: ids, parents and known words with commas between them, other words as arrays, numbers as the inside of a JSON array."""
    table = steps.c
    base = literal(base_us, BigInteger)
    counted = (table.counted_input > 0) | (table.counted_output > 0) | table.counted_nusd.is_not(None)
    in_order = (
        select(
            table.step_id,
            sql.coalesce(table.parent_step_id, "").label("parent"),
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
        )
        .where(table.project_id == project_id, table.task_id == task_id, table.day == day)
        .order_by(table.started_at_us, table.seq, table.step_id)
        .subquery()
    ).c
    comma = literal(",", Text)
    null = literal("null", Text)
    return select(
        *(sql.string_agg(in_order[name], comma).label(name) for name in ("step_id", "parent", *_ENUM_COLUMNS)),
        *(sql.array_agg(in_order[name]).label(name) for name in _TEXT_COLUMNS),
        *(sql.string_agg(sql.coalesce(in_order[name].cast(Text), null), comma).label(name) for name in _NUMBER_COLUMNS),
    )


def _skeleton(gathered: Any, task_id: str, position: str | None, base_us: int) -> Skeleton:
    if gathered["step_id"] is None:
        empty = Columns(**{name: [] for name in Columns.__struct_fields__})
        return Skeleton(
            task_id=task_id, position=position, base_us=base_us, types=[], statuses=[], names=[], agents=[], models=[], columns=empty, missing_parents={}
        )  # fmt: skip
    ids = gathered["step_id"].split(",")
    parent_ids = gathered["parent"].split(",")
    parents = _parent_rows(parent_ids, ids)
    words = {name: gathered[name].split(",") for name in _ENUM_COLUMNS} | {name: gathered[name] for name in _TEXT_COLUMNS}
    lists = {name: [word for word in dict.fromkeys(column) if word is not None] for name, column in words.items()}
    columns = Columns(
        step_id=_raw_array('"{}"'.format(gathered["step_id"].replace(",", '","'))),
        parent=parents,
        **{name: _dictionary_indexes(column, lists[name]) for name, column in words.items()},
        **{name: _raw_array(gathered[name]) for name in _NUMBER_COLUMNS},
    )
    return Skeleton(
        task_id=task_id,
        position=position,
        base_us=base_us,
        types=lists["type"],
        statuses=lists["status"],
        names=lists["name"],
        agents=lists["agent"],
        models=lists["model"],
        columns=columns,
        missing_parents={str(row): parent_ids[row] for row, parent in enumerate(parents) if parent == PARENT_UNKNOWN},
    )


def _raw_array(inside: str) -> Any:
    """A JSON array as it is, in the place of a list: nothing is made of its values."""
    return Raw(f"[{inside}]".encode())


def _dictionary_indexes(column: list[str | None], words: list[str]) -> list[int]:
    places: dict[str | None, int] = {word: place for place, word in enumerate(words)} | {None: -1}
    return [places[word] for word in column]


def _parent_rows(parent_ids: list[str], ids: list[str]) -> list[int]:
    rows = {step_id: row for row, step_id in enumerate(ids)} | {"": ROOT}
    parents = [rows.get(parent_id, PARENT_UNKNOWN) for parent_id in parent_ids]
    for row in rows_closing_a_cycle(parents):
        parents[row] = PARENT_UNKNOWN
    return parents


def rows_closing_a_cycle(parents: list[int]) -> list[int]:
    """One row of every circle of parents, so that whoever builds the tree comes to an end.

    A circle holds at least one row whose parent does not stand before it, so only from such rows does anything need to be scan.

    Args:
        parents: Row of each row's parent; negative: none.
    """
    closing: list[int] = []
    seen: dict[int, int] = {}  # row: the start from which it was reached
    for start in [row for row, parent in enumerate(parents) if parent >= row]:
        row = start
        while row >= 0 and row not in seen:
            seen[row] = start
            row = parents[row]
        if row >= 0 and seen[row] == start:
            closing.append(row)
    return closing
