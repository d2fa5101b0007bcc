"""Tasks: the list, and a single task with its totals and position."""

import time
from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import positions, tasks
from ams_contracts.topics import STEPS
from ams_contracts.views import Task, task_view
from ams_kit.auth import SHARED, Shared
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, QueryParameters, hex_id, not_found, read_parameters, with_parameters
from ams_trace_query.rows import PROJECTION, TASK_COLUMNS, next_offset_of_task, position_text
from ams_trace_query.search.compile import task_condition
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.text import Found, TextIndexLag, common_words, look_up_words, read_text_index_lag
from ams_trace_query.search.windowed_scan import Budget, ScanResult, windowed_scan
from ams_trace_query.sharing import task_for
from ams_trace_query.task_filter import FILTER, WINDOW_TASKS_BY_WORDS, TaskFilter, open_task_scan, read_task_filter
from ams_trace_query.task_sort import SORT, TaskSort, position_of, read_sort, sorted_scan

_LIST = (*FILTER, SORT, LIMIT, CURSOR)
_SORT = "sort_at_us desc, task_id"
WINDOW_TASKS = 500  # of which a search looks at first


class TaskPage(Struct, frozen=True, kw_only=True):
    """Tasks in the order that was asked for. ``positions``: per partition, the position in the log that these rows reflect.

    When ``q`` has words, ``text_lag_records`` is the number of records of the log that are not in the text index yet, and ``text_until_us`` the
    time up to which all of them are; null when the index is current.

    ``scanned_back_to_us`` is not null when a search with ``q`` reached its time limit: the page then has the matches among tasks that started at
    or after that time, possibly none, and ``next_cursor`` continues from there.

    ``sorted_back_to_us`` is not null when another order than newest first reached its time limit: only tasks that started at or after that time
    were compared, on this page and on those that follow.
    """

    items: list[Task]
    next_cursor: str | None
    positions: dict[str, str]
    text_lag_records: int | None
    text_until_us: int | None
    scanned_back_to_us: int | None
    sorted_back_to_us: int | None


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """A task. ``position``: the position in the log that this response reflects; subscribe to live updates after it."""

    task: Task
    position: str | None


@get("/tasks", operation_class=with_parameters(*_LIST), operation_id="listTasks", responses=PROBLEMS)
async def list_tasks(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> TaskPage:
    """List the tasks of a project, newest first or in another order."""
    query = read_parameters(request, _LIST)
    limit = query.limit()
    task_filter = read_task_filter(request, query)
    sort = read_sort(query)
    if sort is not None:
        return await _sorted_page(request, access, task_filter, sort, query)
    context = context_of(request)
    tree = task_filter.tree
    bound = (access.project_id, "tasks", task_filter.bound(), _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)

    async with slot_if(context.heavy_queries, tree is not None), context.database.read(access.project_id) as reader:
        found = await look_up_words(reader, tree, [] if after is None else after[2])
        common = common_words(found)
        budget = Budget(time.monotonic() + context.search_seconds_max, WINDOW_TASKS_BY_WORDS if common else WINDOW_TASKS)
        scope, others = [*task_filter.indexed_conditions(access.project_id), *_before(after)], task_filter.other_conditions()
        if (condition := task_condition(tree, found)) is None:
            scan = ScanResult(await reader.rows(_page([*scope, *others, *_after(after)], limit + 1)), None)
        else:
            mine = [*scope, *others, condition, *_after(after)]
            scope += task_filter.indexed_query_conditions()
            scan = await windowed_scan(
                reader, tasks.c.sort_at_us, scope, lambda more, rows: _page([*mine, *more], rows), limit=limit + 1, budget=budget
            )
        positions_now, text_lag = await _state(reader, found)

    shown = scan.rows[:limit]
    key: tuple[int, str] | None = None
    if len(scan.rows) > limit:
        key = (shown[-1]["sort_at_us"], shown[-1]["task_id"])
    elif scan.scanned_back_to_us is not None:
        key = (scan.scanned_back_to_us - 1, "")
    return TaskPage(
        items=[task_view(row) for row in shown],
        next_cursor=None if key is None else context.cursors.seal(bound, (*key, common)),
        positions=positions_now,
        text_lag_records=None if text_lag is None else text_lag.records,
        text_until_us=None if text_lag is None else text_lag.searchable_until_us,
        scanned_back_to_us=scan.scanned_back_to_us,
        sorted_back_to_us=None,
    )


async def _sorted_page(
    request: Request[Any, Any, Any], access: Access, task_filter: TaskFilter, sort: TaskSort, query: QueryParameters
) -> TaskPage:
    cursors = context_of(request).cursors
    limit = query.limit()
    bound = (access.project_id, "tasks", task_filter.bound(), sort.written)
    after = cursors.open(query.values.get("cursor"), bound)
    async with open_task_scan(request, access, task_filter) as scan:
        if after is not None:
            *position, oldest_us = after
            scan.conditions.append(sort.after(position))
            if oldest_us is not None:  # the pages of one list compare the same tasks
                scan.scope.append(tasks.c.sort_at_us >= literal(oldest_us, BigInteger))
        found = await sorted_scan(scan, sort, select(*TASK_COLUMNS), limit + 1)
        positions_now, text_lag = await _state(scan.reader, scan.found)
    shown = found.rows[:limit]
    oldest = found.sorted_back_to_us if found.sorted_back_to_us is not None or after is None else after[-1]
    return TaskPage(
        items=[task_view(row) for row in shown],
        next_cursor=cursors.seal(bound, (*position_of(shown[-1]), oldest)) if len(found.rows) > limit else None,
        positions=positions_now,
        text_lag_records=None if text_lag is None else text_lag.records,
        text_until_us=None if text_lag is None else text_lag.searchable_until_us,
        scanned_back_to_us=None,
        sorted_back_to_us=oldest,
    )


async def _state(reader: SnapshotReader, found: Found) -> tuple[dict[str, str], TextIndexLag | None]:
    """The positions of the snapshot, and how far the text index is behind if a query needed it."""
    stored = await reader.rows(_POSITIONS)
    text_lag = await read_text_index_lag(reader) if found else None
    return {str(row["partition"]): position_text(row["partition"], row["next_offset"]) or "" for row in stored}, text_lag


@get("/tasks/{task:str}", operation_class=with_parameters(), operation_id="getTask", responses=PROBLEMS, opt={SHARED: Shared.STRUCTURE})
async def get_task(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> TaskAnswer:
    """Read one task with its totals, and the position in the log that they reflect."""
    read_parameters(request, ())
    task_id = hex_id(task, 32, "task")
    async with context_of(request).database.read(access.project_id) as reader:
        row = await find_task(reader, access.project_id, task_id, TASK_COLUMNS)
    return TaskAnswer(task=task_for(request, task_view(row)), position=position_text(row["partition"], row["next_offset"]))


async def find_task(reader: SnapshotReader, project_id: str, task_id: str, columns: list[Any]) -> Any:
    """Read a task's row: the given columns, its day, its partition and the partition's ``next_offset``.

    Raises:
        NotFoundError: The task does not exist, or belongs to another project.
    """
    statement = (
        select(*columns, tasks.c.day, tasks.c.partition, next_offset_of_task)
        .where(tasks.c.project_id == project_id, tasks.c.task_id == task_id)
        .limit(1)
    )
    row = await reader.row(statement)
    if row is None:
        raise not_found("task")
    return row


_POSITIONS: Statement = (
    select(positions.c.partition, positions.c.next_offset)
    .where(positions.c.projection == PROJECTION, positions.c.topic == STEPS.name)
    .order_by(positions.c.partition)
    .limit(STEPS.partitions)
)


def _before(after: list[Any] | None) -> list[Condition]:
    """The part of a cursor's condition that an index supports."""
    return [] if after is None else [tasks.c.sort_at_us <= literal(after[0], BigInteger)]


def _after(after: list[Any] | None) -> list[Condition]:
    """The part of a cursor's condition that breaks ties."""
    return [] if after is None else [(tasks.c.sort_at_us < literal(after[0], BigInteger)) | (tasks.c.task_id > literal(after[1], Text))]


def _page(conditions: Sequence[Condition], limit: int) -> Statement:
    return select(*TASK_COLUMNS).where(*conditions).order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id).limit(limit)
