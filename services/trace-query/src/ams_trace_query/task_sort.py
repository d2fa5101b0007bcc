"""The orders of the list of tasks other than by time, without an index: the best rows of each window are merged.

An index for each column would cost every write of a task more than the row itself, because totals change with each batch (ADR 0072).
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from litestar.openapi.spec import OpenAPIType
from msgspec import Struct
from sqlalchemy import ColumnElement, case, func, literal
from sqlalchemy.types import BigInteger, Text

from ams_contracts.ids import INT64_MAX
from ams_contracts.tables import tasks
from ams_kit.errors import BadRequestError
from ams_trace_query.database import Statement
from ams_trace_query.parameters import Parameter, QueryParameters
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.windowed_scan import scan_windows
from ams_trace_query.task_filter import TaskScan

KEY_CHARS_MAX = 64  # of a text: longer ones are equal, and their order is by time

NUMBERS: Mapping[str, ColumnElement[Any]] = {
    "started": tasks.c.sort_at_us,
    "updated": tasks.c.last_event_at_us,
    "duration": tasks.c.duration_us,
    "steps": tasks.c.steps,
    "errors": tasks.c.errors,
    "tokens": tasks.c.input_tokens + tasks.c.output_tokens,
    "cost": case((tasks.c.priced_steps > literal(0, BigInteger), tasks.c.cost_nusd)),
}
TEXTS: Mapping[str, ColumnElement[Any]] = {"name": tasks.c.name, "agent": tasks.c.agent, "status": tasks.c.status}
NAMES = (*NUMBERS, *TEXTS)
NEWEST_FIRST = "-started"

SORT = Parameter(
    name="sort",
    description=f"One of {', '.join(NAMES)}; with a minus sign in front, descending. Unknown values come last, and equal ones are newest first.",
    schema={
        "type": OpenAPIType.STRING,
        "enum": [sign + name for name in NAMES for sign in ("", "-")],
        "default": NEWEST_FIRST,
    },
)
_LAST_TEXT = "\U0010ffff"


class TaskSort(Struct, frozen=True):
    """An order of the list.

    Attributes:
        written: As in the request.
        key: Expression that is never null; rows without a value have the last key of the order.
        descending: Of the key.
    """

    written: str
    key: ColumnElement[Any]
    descending: bool

    def after(self, position: Sequence[Any]) -> Condition:
        """The rows after a position (see ``position_of``)."""
        key, at_us, task_id = position
        kind = Text if isinstance(key, str) else BigInteger
        bound = literal(key, kind)
        later = self.key < bound if self.descending else self.key > bound
        tie = (tasks.c.sort_at_us < literal(at_us, BigInteger)) | (
            (tasks.c.sort_at_us == literal(at_us, BigInteger)) & (tasks.c.task_id > literal(task_id, Text))
        )
        return later | ((self.key == bound) & tie)

    def statement(self, statement: Statement, limit: int) -> Statement:
        """A statement for tasks, in this order, with the column ``sort_key``."""
        ordered = self.key.desc() if self.descending else self.key
        return statement.add_columns(self.key.label("sort_key")).order_by(ordered, tasks.c.sort_at_us.desc(), tasks.c.task_id).limit(limit)

    def best(self, rows: Sequence[Any], limit: int) -> list[Any]:
        """The first rows of several windows, each of which is in this order, newest window first."""
        by_key = sorted(rows, key=lambda row: (-row["sort_at_us"], row["task_id"]))
        return heapq.nlargest(limit, by_key, key=_sort_key) if self.descending else heapq.nsmallest(limit, by_key, key=_sort_key)


def _sort_key(row: Any) -> Any:
    return row["sort_key"]


def position_of(row: Any) -> tuple[int | str, int, str]:
    """The position of a row in its order, for a cursor."""
    return (row["sort_key"], row["sort_at_us"], row["task_id"])


def read_sort(query: QueryParameters) -> TaskSort | None:
    """The order that a request asks for; null for newest first, which has an index.

    Raises:
        BadRequestError: There is no such order.
    """
    written = query.text_of("sort")
    if written is None or written == NEWEST_FIRST:
        return None
    descending, name = written.startswith("-"), written.removeprefix("-")
    if name in NUMBERS:
        return TaskSort(written, func.coalesce(NUMBERS[name], literal(-1 if descending else INT64_MAX, BigInteger)), descending)
    if name in TEXTS:
        text = func.coalesce(func.lower(func.left(TEXTS[name], KEY_CHARS_MAX)), literal("" if descending else _LAST_TEXT, Text))
        return TaskSort(written, text.collate("C"), descending)
    raise BadRequestError(f"sort must be one of {', '.join(NAMES)}, with or without a minus sign in front.", code="bad_sort")


class SortedTasks(Struct, frozen=True):
    """The first rows of an order.

    Attributes:
        sorted_back_to_us: Older tasks were not compared because the time limit was reached; null: all were.
    """

    rows: list[Any]
    sorted_back_to_us: int | None


async def sorted_scan(scan: TaskScan, sort: TaskSort, rows: Statement, limit: int) -> SortedTasks:
    """Compare the tasks of a scan, window by window.

    Args:
        scan: Its conditions include the position to continue after.
        sort: The order.
        rows: Selects the columns of a row, without conditions.
        limit: Maximum number of rows.
    """
    best: list[Any] = []
    back_to_us: int | None = None
    async for window in scan_windows(scan.reader, tasks.c.sort_at_us, scan.scope, budget=scan.budget):
        found = await scan.reader.rows(sort.statement(rows.where(*scan.scope, *window.conditions, *scan.conditions), limit))
        best = sort.best([*best, *found], limit)
        back_to_us = window.low_us
    return SortedTasks(best, back_to_us)
