"""A task's skeleton: its steps as columns, about 100 bytes per step, from which a browser builds tree, waterfall and filters.

Postgres encodes most columns as JSON, which the response contains unchanged, without Python objects for their values. Only text and
parents, which become indexes, are parsed here, in a thread, so that the event loop serves other requests.
"""

import asyncio
import re
from datetime import date
from enum import EnumMeta
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from litestar.params import FromPath
from msgspec import Meta, Raw, Struct
from sqlalchemy import ColumnElement, literal, select
from sqlalchemy import func as sql
from sqlalchemy.types import BigInteger, Integer, Text

from ams_contracts.claims import Access
from ams_contracts.documents import STEP_FIELDS
from ams_contracts.fields import Field
from ams_contracts.fields import Skeleton as SkeletonColumn
from ams_contracts.tables import steps, tasks
from ams_kit.auth import SHARED, Shared
from ams_kit.errors import BadRequestError, TooLargeError
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import Parameter, QueryParameters, hex_id, read_parameters, with_parameters
from ams_trace_query.rows import position_text
from ams_trace_query.tasks import find_task

STEPS_MAX = 250_000
LARGE_STEPS = 5_000  # steps; a larger skeleton needs a slot of the concurrency limit, as searches do

FIRST_MAX = 5_000
FIRST = Parameter(
    name="first",
    description="Only this many steps, the first in order of time: fast, whatever the size of the task.",
    schema={"type": OpenAPIType.INTEGER, "minimum": 1, "maximum": FIRST_MAX},
)
_COUNT = re.compile(r"[1-9][0-9]{0,3}")

ROOT = -1
PARENT_UNKNOWN = -2


COLUMNS = [(field, field.skeleton) for field in STEP_FIELDS if field.skeleton is not None]
"""The columns that ``STEP_FIELDS`` declares."""


def _description(field: Field, column: SkeletonColumn) -> str:
    if column.values is not None:
        return f"Index into `{column.values}`; -1: none."
    return "Microseconds since `base_us`." if column.relative else field.about


def _columns_type() -> Any:
    members: list[tuple[str, Any]] = []
    for field, column in COLUMNS:
        known = column.values is not None or column.or_else is not None or column.default is not None or not field.is_nullable
        members.append((column.name, Annotated[list[int] if known else list[int | None], Meta(description=_description(field, column))]))
    return msgspec.defstruct("DerivedColumns", members, kw_only=True)


def _values_type() -> Any:
    return msgspec.defstruct("SkeletonValues", [(column.values, list[str]) for _, column in COLUMNS if column.values], kw_only=True)


class Columns(_columns_type(), Struct, kw_only=True):
    """Columns with one entry per step, sorted by (started_at_us, seq, step_id); steps without a start come last.

    Besides the columns that ``STEP_FIELDS`` declares:

    Attributes:
        step_id: 16 hex digits.
        parent: Row of the parent; -1: none; -2: not in the skeleton (yet), its id is in ``missing_parents``.
        counted: 1 when usage or cost of the step is in the task's totals.
    """

    step_id: list[str]
    parent: list[int]
    counted: list[int]


class Skeleton(_values_type(), Struct, kw_only=True):
    """Steps of a task as columns, as of ``position``. Text is replaced by indexes into lists of distinct values.

    ``complete``: these are all steps. Otherwise ``first`` left out later ones.
    """

    task_id: str
    complete: bool
    position: str | None
    base_us: int
    columns: Columns
    missing_parents: dict[str, str]


@get(
    "/tasks/{task:str}/skeleton",
    operation_class=with_parameters(FIRST),
    operation_id="getSkeleton",
    responses=PROBLEMS,
    opt={SHARED: Shared.STRUCTURE},
)
async def get_skeleton(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> Skeleton:
    """Read all steps of a task as columns, or the first ones: a page shows them while it waits for the rest of a large task."""
    context = context_of(request)
    first = _read_first(read_parameters(request, (FIRST,)))
    task_id = hex_id(task, 32, "task")
    async with context.database.read(access.project_id) as reader:
        found = await _find(reader, access.project_id, task_id, first)
        if found["steps"] <= LARGE_STEPS or first is not None:
            return await _read(reader, access.project_id, task_id, found, first)
    # waits for a slot without holding a connection, then reads the task again in one snapshot
    async with context.heavy_queries.slot(), context.database.read(access.project_id) as reader:
        return await _read(reader, access.project_id, task_id, await _find(reader, access.project_id, task_id, None), None)


def _read_first(query: QueryParameters) -> int | None:
    text = query.values.get("first")
    if text is None:
        return None
    if not _COUNT.fullmatch(text) or int(text) > FIRST_MAX:
        raise BadRequestError(f"first must be a whole number from 1 to {FIRST_MAX}.", code="bad_first")
    return int(text)


async def _find(reader: SnapshotReader, project_id: str, task_id: str, first: int | None) -> Any:
    found = await find_task(reader, project_id, task_id, [tasks.c.steps, tasks.c.sort_at_us, _first_start])
    if found["steps"] > STEPS_MAX and first is None:
        raise TooLargeError(f"The task has {found['steps']} steps, but a skeleton has at most {STEPS_MAX}. Read its steps in windows.")
    return found


async def _read(reader: SnapshotReader, project_id: str, task_id: str, found: Any, first: int | None) -> Skeleton:
    base_us = found["sort_at_us"] if found["first_start"] is None else found["first_start"]
    gathered = await reader.row(columns_statement(project_id, task_id, found["day"], base_us, first))
    position = position_text(found["partition"], found["next_offset"])
    if first is not None:
        skeleton = _skeleton(gathered, task_id, position, base_us)
        # the totals may count fewer steps than there are rows while a task is projected: then the rest is read as well
        skeleton.complete = len(skeleton.columns.parent) < first
        return skeleton
    if found["steps"] <= LARGE_STEPS:
        return _skeleton(gathered, task_id, position, base_us)
    return await asyncio.to_thread(_skeleton, gathered, task_id, position, base_us)


_first_start = (
    select(sql.min(steps.c.started_at_us))
    .where(steps.c.project_id == tasks.c.project_id, steps.c.task_id == tasks.c.task_id, steps.c.day == tasks.c.day)
    .scalar_subquery()
    .label("first_start")
)

# numbers stay as Postgres encodes them; text becomes indexes into a list of its values
_NUMBER_COLUMNS = [*(column.name for _, column in COLUMNS if column.values is None), "counted"]
_ENUM_COLUMNS = [column.name for field, column in COLUMNS if column.values is not None and isinstance(field.value_type, EnumMeta)]
_TEXT_COLUMNS = [column.name for _, column in COLUMNS if column.values is not None and column.name not in _ENUM_COLUMNS]
_VALUES = {column.name: column.values for _, column in COLUMNS if column.values is not None}


def _expression(field: Field, column: SkeletonColumn, base: ColumnElement[Any]) -> ColumnElement[Any]:
    expression: ColumnElement[Any] = steps.c[field.name]
    if column.or_else is not None:
        expression = sql.coalesce(expression, steps.c[column.or_else])
    if column.default is not None:
        expression = sql.coalesce(expression, column.default)
    return (expression - base if column.relative else expression).label(column.name)


def columns_statement(project_id: str, task_id: str, day: date, base_us: int, first: int | None) -> Statement:
    """Select one row: ids, parents and enumerated words as comma-separated text, other text as arrays, numbers as the inside of a JSON array."""
    table = steps.c
    base = literal(base_us, BigInteger)
    counted = (table.counted_input > 0) | (table.counted_output > 0) | table.counted_nusd.is_not(None)
    in_order = (
        select(
            table.step_id,
            sql.coalesce(table.parent_step_id, "").label("parent"),
            counted.cast(Integer).label("counted"),
            *(_expression(field, column, base) for field, column in COLUMNS),
        )
        .where(table.project_id == project_id, table.task_id == task_id, table.day == day)
        .order_by(table.started_at_us, table.seq, table.step_id)
        .limit(first)
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
        nothing: dict[str, Any] = {values: [] for values in _VALUES.values()}
        return Skeleton(task_id=task_id, complete=True, position=position, base_us=base_us, columns=empty, missing_parents={}, **nothing)
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
        complete=True,
        position=position,
        base_us=base_us,
        columns=columns,
        missing_parents={str(row): parent_ids[row] for row, parent in enumerate(parents) if parent == PARENT_UNKNOWN},
        **{values: lists[name] for name, values in _VALUES.items()},
    )


def _raw_array(inside: str) -> Any:
    """A raw JSON array in the place of a list, whose values are not decoded."""
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
    """Find one row of every cycle of parents, so that the tree can be built without an endless loop.

    A cycle has at least one row whose parent does not come before it, so the search starts from such rows only.

    Args:
        parents: Row of each row's parent; negative: none.
    """
    closing: list[int] = []
    seen: dict[int, int] = {}  # row -> the start from which it was reached
    for start in [row for row, parent in enumerate(parents) if parent >= row]:
        row = start
        while row >= 0 and row not in seen:
            seen[row] = start
            row = parents[row]
        if row >= 0 and seen[row] == start:
            closing.append(row)
    return closing
