"""Searches newest first, in windows of some thousand rows, so that the time of each statement and of the request is bounded.

A filter that few rows pass would read all rows and time out without a result. Here the search ends at its time limit, with the matches so
far and the time down to which it has scanned; the cursor continues from there.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, literal, select
from sqlalchemy.types import BigInteger

from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.search.filters import INDEXED_FROM, INDEXED_STEP_FILTERS, INDEXED_TASK_FILTERS, Condition, number_at_least
from ams_trace_query.search.tree import And, Clause, Node

WINDOW_SECONDS = 0.15  # target duration of a window; the next window is larger or smaller
GROWTH_MAX = 8.0
ROWS_MAX = 400_000
ROWS_MIN = 16


class ScanResult(Struct, frozen=True):
    """The result of a search.

    Attributes:
        rows: Matches, newest first.
        scanned_back_to_us: The search reached its time limit and has scanned all rows from this time on. Null when the page is full or no row is left.
    """

    rows: list[Any]
    scanned_back_to_us: int | None


class Budget(Struct, frozen=True):
    """The time and size limits of one search.

    Attributes:
        deadline: By ``clock``. No window starts after it, except the first one.
        rows_first: Number of rows of the first window.
        clock: Monotonic seconds.
    """

    deadline: float
    rows_first: int
    clock: Callable[[], float] = time.monotonic


class Window(Struct, frozen=True):
    """A range of rows in the order of the list.

    Attributes:
        conditions: The range; a row is in one window only.
        low_us: The oldest moment of it; null when no row is older.
    """

    conditions: list[Condition]
    low_us: int | None


async def windowed_scan(
    reader: SnapshotReader,
    moment: ColumnElement[Any],
    scope: Sequence[Condition],
    page: Callable[[Sequence[Condition], int], Statement],
    *,
    limit: int,
    budget: Budget,
) -> ScanResult:
    """Scan rows from the newest to older ones, until the page is full or the time is used up.

    Args:
        reader: The reader of one snapshot.
        moment: The first column of the list's order, descending; rows where it is null are skipped.
        scope: The condition that an index in that order supports: the project and a range of ``moment``.
        page: The statement for further conditions and a limit; it has ``scope`` and the filter already.
        limit: Maximum number of rows.
        budget: The limits of this request.
    """
    rows: list[Any] = []
    until_us: int | None = None
    async for window in scan_windows(reader, moment, scope, budget=budget):
        rows += await reader.rows(page(window.conditions, limit - len(rows)))
        until_us = window.low_us
        if len(rows) >= limit:
            return ScanResult(rows, None)
    return ScanResult(rows, until_us)


async def scan_windows(
    reader: SnapshotReader, moment: ColumnElement[Any], scope: Sequence[Condition], *, budget: Budget
) -> AsyncIterator[Window]:
    """Yield windows of rows, from the newest to older ones, until no row is left or the time is used up.

    The caller reads each window before it asks for the next one: how long that took decides how many rows the next one has.

    Args:
        reader: The reader of one snapshot.
        moment: The first column of the list's order, descending; rows where it is null are skipped.
        scope: The condition that an index in that order supports.
        budget: The limits of this request.
    """
    rows = budget.rows_first
    newer_than_this: list[Condition] = []
    while True:
        edge = select(moment.label("at_us")).where(*scope, *newer_than_this, moment.is_not(None)).order_by(moment.desc())
        low = await reader.row(edge.offset(rows).limit(1))
        began = budget.clock()
        if low is None:
            yield Window(newer_than_this, None)
            return
        yield Window([*newer_than_this, moment >= literal(low["at_us"], BigInteger)], low["at_us"])
        now = budget.clock()
        if now >= budget.deadline:
            return
        growth = min(GROWTH_MAX, WINDOW_SECONDS / max(now - began, 1e-6))
        rows = max(ROWS_MIN, min(ROWS_MAX, int(rows * growth)))
        newer_than_this = [moment < literal(low["at_us"], BigInteger)]


def indexed_clauses(node: Node | None, is_indexed: Callable[[Clause], bool]) -> list[Clause]:
    """The clauses that every match must fulfil and that an index in the order of the list supports.

    Args:
        node: From ``parse``.
        is_indexed: ``is_indexed_for_tasks`` or ``is_indexed_for_steps``.
    """
    match node:
        case And(nodes):
            return [clause for part in nodes for clause in indexed_clauses(part, is_indexed)]
        case Clause() if is_indexed(node):
            return [node]
        case _:
            return []


def is_indexed_for_tasks(clause: Clause) -> bool:
    """Whether a clause is like ``status:ok`` or ``agent:planner``. An index does not return several values or prefixes in the order of the list."""
    return (
        clause.field in INDEXED_TASK_FILTERS and len(clause.values) == 1 and (clause.values[0].quoted or "*" not in clause.values[0].text)
    )


def is_indexed_for_steps(clause: Clause) -> bool:
    """Whether a clause selects one task, or steps with a high cost, duration or number of tokens."""
    if clause.field in INDEXED_STEP_FILTERS:
        return True
    tail, least = INDEXED_FROM.get(clause.field), number_at_least(clause)
    return tail is not None and least is not None and least >= tail
