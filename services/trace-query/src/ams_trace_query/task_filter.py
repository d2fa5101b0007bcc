"""The filter that the list of tasks, their histogram and their facets share: parameters, and the conditions that they mean."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import tasks
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader
from ams_trace_query.parameters import AGENT, FROM, STATUS, TO, Q, QueryParameters
from ams_trace_query.search.compile import fields_of, required, task_condition
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.parse import parse
from ams_trace_query.search.text import Found, common_words, look_up_words
from ams_trace_query.search.tree import Node
from ams_trace_query.search.windowed_scan import Budget, indexed_clauses, is_indexed_for_tasks

FILTER = (STATUS, AGENT, Q, FROM, TO)
WINDOW_TASKS_BY_WORDS = 20  # where the texts of each are looked at
_OF_DUPLICATES = frozenset({"duplicate", "duplicate_of", "task"})  # a query with one of these decides about duplicates itself
_OF_FOLDED = frozenset({"folded", "folded_into", "run", "task"})  # the same for tasks that only pass messages
WINDOW_TASKS_TO_COUNT = 25_000  # some 30 ms


class TaskFilter(Struct, frozen=True):
    """Which tasks a request is about.

    Attributes:
        q: The query as written; null for none.
        tree: Parsed from it.
        start: Microseconds UTC; null for no limit.
        end: The first moment after the range; null for no limit.
    """

    statuses: list[str]
    agent: str | None
    q: str | None
    tree: Node | None
    start: int | None
    end: int | None

    def indexed_conditions(self, project_id: str) -> list[Condition]:
        """The conditions that an index in the order of the list supports."""
        conditions: list[Condition] = [tasks.c.project_id == project_id]
        if len(self.statuses) == 1:
            conditions.append(tasks.c.status == self.statuses[0])
        elif self.statuses:
            conditions.append(tasks.c.status == sql.any(literal(self.statuses, ARRAY(Text))))
        if self.agent is not None:
            conditions.append(tasks.c.agent == self.agent)
        if self.start is not None:
            conditions.append(tasks.c.sort_at_us >= literal(self.start, BigInteger))
        if self.end is not None:
            conditions.append(tasks.c.sort_at_us < literal(self.end, BigInteger))
        return conditions

    def other_conditions(self) -> list[Condition]:
        """The conditions that no index supports: the edges of windows are found without them, in the index alone."""
        asked = fields_of(self.tree)
        left_out = ((tasks.c.duplicate_of, _OF_DUPLICATES), (tasks.c.folded_into, _OF_FOLDED))
        return [column.is_(None) for column, words in left_out if words.isdisjoint(asked)]

    def indexed_query_conditions(self) -> list[Condition]:
        """The same of clauses of the query: every match fulfils them."""
        return [required(task_condition(clause)) for clause in indexed_clauses(self.tree, is_indexed_for_tasks)]

    def bound(self) -> dict[str, Any]:
        """What a cursor is bound to."""
        return {"status": self.statuses, "agent": self.agent, "q": self.q, "from": self.start, "to": self.end}


def read_task_filter(request: Request[Any, Any, Any], query: QueryParameters) -> TaskFilter:
    """The filter of a request.

    Raises:
        BadRequestError: A parameter is not valid.
        QueryError: The query is not valid.
    """
    start, end = query.time_range(context_of(request).now())
    q = query.text_of("q")
    return TaskFilter(query.list_of("status"), query.text_of("agent"), q, parse(q or ""), start, end)


class TaskScan(Struct, frozen=True):
    """What it takes to scan the tasks of a filter in windows.

    Attributes:
        scope: The conditions that an index supports.
        conditions: The others.
        budget: The limits of the request.
        found: The results of the text index for the words of the query.
    """

    reader: SnapshotReader
    scope: list[Condition]
    conditions: list[Condition]
    budget: Budget
    found: Found


@asynccontextmanager
async def open_task_scan(request: Request[Any, Any, Any], access: Access, task_filter: TaskFilter) -> AsyncGenerator[TaskScan]:
    """Open a snapshot to count tasks in; it holds a slot of heavy queries.

    Raises:
        QueryError: The query has a field or a value that is not valid.
    """
    context = context_of(request)
    async with slot_if(context.heavy_queries, heavy=True), context.database.read(access.project_id) as reader:
        yield await task_scan(reader, access.project_id, task_filter, context.search_seconds_max)


async def task_scan(reader: SnapshotReader, project_id: str, task_filter: TaskFilter, seconds_max: float) -> TaskScan:
    """Prepare to count tasks in a snapshot.

    Args:
        reader: The reader of the snapshot.
        project_id: Its project.
        task_filter: The tasks to count.
        seconds_max: After this time no further window starts.

    Raises:
        QueryError: The query has a field or a value that is not valid.
    """
    found = await look_up_words(reader, task_filter.tree)
    budget = Budget(time.monotonic() + seconds_max, WINDOW_TASKS_BY_WORDS if common_words(found) else WINDOW_TASKS_TO_COUNT)
    condition = task_condition(task_filter.tree, found)
    scope = [*task_filter.indexed_conditions(project_id), *task_filter.indexed_query_conditions()]
    conditions = [*task_filter.other_conditions(), *([] if condition is None else [condition])]
    return TaskScan(reader, scope, conditions, budget, found)
