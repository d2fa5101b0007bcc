"""Tasks: the list, newest first, and a single task with its totals and position."""

import time
from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import positions, tasks
from ams_contracts.topics import STEPS
from ams_contracts.views import Task, task_view
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import AGENT, CURSOR, FROM, LIMIT, STATUS, TO, Q, hex_id, not_found, read_parameters, with_parameters
from ams_trace_query.rows import PROJECTION, TASK_COLUMNS, next_offset_of_task, position_text
from ams_trace_query.search.compile import required, task_condition
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.parse import parse
from ams_trace_query.search.text import common_words, look_up_words, read_text_index_lag
from ams_trace_query.search.windowed_scan import Budget, ScanResult, indexed_clauses, is_indexed_for_tasks, windowed_scan

_LIST = (STATUS, AGENT, Q, FROM, TO, LIMIT, CURSOR)
_SORT = "sort_at_us desc, task_id"
WINDOW_TASKS = 500  # of which a search looks at first
WINDOW_TASKS_BY_WORDS = 20  # where the texts of each are looked at


class TaskPage(Struct, frozen=True, kw_only=True):
    """Tasks, newest first. ``positions``: per partition, the position in the log that these rows reflect.

    When ``q`` has words, ``text_lag_records`` is the number of records of the log that are not in the text index yet, and ``text_until_us`` the
    time up to which all of them are; null when the index is current.

    ``scanned_back_to_us`` is not null when a search with ``q`` reached its time limit: the page then has the matches among tasks that started at
    or after that time, possibly none, and ``next_cursor`` continues from there.
    """

    items: list[Task]
    next_cursor: str | None
    positions: dict[str, str]
    text_lag_records: int | None
    text_until_us: int | None
    scanned_back_to_us: int | None


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """A task. ``position``: the position in the log that this response reflects; subscribe to live updates after it."""

    task: Task
    position: str | None


@get("/tasks", operation_class=with_parameters(*_LIST), operation_id="listTasks", responses=PROBLEMS)
async def list_tasks(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> TaskPage:
    """List the tasks of a project, newest first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    start, end = query.time_range(context.now())
    tree = parse(query.text_of("q") or "")
    filters = {"status": query.list_of("status"), "agent": query.text_of("agent"), "q": query.text_of("q"), "from": start, "to": end}
    bound = (access.project_id, "tasks", filters, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    conditions = _conditions(query.list_of("status"), query.text_of("agent"), start, end)

    async with slot_if(context.heavy_queries, tree is not None), context.database.read(access.project_id) as reader:
        found = await look_up_words(reader, tree, [] if after is None else after[2])
        common = common_words(found)
        budget = Budget(time.monotonic() + context.search_seconds_max, WINDOW_TASKS_BY_WORDS if common else WINDOW_TASKS)
        scope = [tasks.c.project_id == access.project_id, *conditions, *_before(after)]
        if (condition := task_condition(tree, found)) is None:
            scan = ScanResult(await reader.rows(_page([*scope, *_after(after)], limit + 1)), None)
        else:
            mine = [*scope, condition, *_after(after)]
            scope += [required(task_condition(clause)) for clause in indexed_clauses(tree, is_indexed_for_tasks)]
            scan = await windowed_scan(
                reader, tasks.c.sort_at_us, scope, lambda more, rows: _page([*mine, *more], rows), limit=limit + 1, budget=budget
            )
        stored = await reader.rows(_POSITIONS)
        text_lag = await read_text_index_lag(reader) if found else None

    shown = scan.rows[:limit]
    key: tuple[int, str] | None = None
    if len(scan.rows) > limit:
        key = (shown[-1]["sort_at_us"], shown[-1]["task_id"])
    elif scan.scanned_back_to_us is not None:
        key = (scan.scanned_back_to_us - 1, "")
    return TaskPage(
        items=[task_view(row) for row in shown],
        next_cursor=None if key is None else context.cursors.seal(bound, (*key, common)),
        positions={str(row["partition"]): position_text(row["partition"], row["next_offset"]) or "" for row in stored},
        text_lag_records=None if text_lag is None else text_lag.records,
        text_until_us=None if text_lag is None else text_lag.searchable_until_us,
        scanned_back_to_us=scan.scanned_back_to_us,
    )


@get("/tasks/{task:str}", operation_class=with_parameters(), operation_id="getTask", responses=PROBLEMS)
async def get_task(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> TaskAnswer:
    """Read one task with its totals, and the position in the log that they reflect."""
    read_parameters(request, ())
    task_id = hex_id(task, 32, "task")
    async with context_of(request).database.read(access.project_id) as reader:
        row = await find_task(reader, access.project_id, task_id, TASK_COLUMNS)
    return TaskAnswer(task=task_view(row), position=position_text(row["partition"], row["next_offset"]))


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


def _conditions(statuses: list[str], agent: str | None, start: int | None, end: int | None) -> list[Condition]:
    conditions: list[Condition] = []
    if len(statuses) == 1:
        conditions.append(tasks.c.status == statuses[0])
    elif statuses:
        conditions.append(tasks.c.status == sql.any(literal(statuses, ARRAY(Text))))
    if agent is not None:
        conditions.append(tasks.c.agent == agent)
    if start is not None:
        conditions.append(tasks.c.sort_at_us >= literal(start, BigInteger))
    if end is not None:
        conditions.append(tasks.c.sort_at_us < literal(end, BigInteger))
    return conditions


def _before(after: list[Any] | None) -> list[Condition]:
    """The part of a cursor's condition that an index supports."""
    return [] if after is None else [tasks.c.sort_at_us <= literal(after[0], BigInteger)]


def _after(after: list[Any] | None) -> list[Condition]:
    """The part of a cursor's condition that breaks ties."""
    return [] if after is None else [(tasks.c.sort_at_us < literal(after[0], BigInteger)) | (tasks.c.task_id > literal(after[1], Text))]


def _page(conditions: Sequence[Condition], limit: int) -> Statement:
    return select(*TASK_COLUMNS).where(*conditions).order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id).limit(limit)
