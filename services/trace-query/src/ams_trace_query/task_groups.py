"""Tasks by user, tag or agent: counts, sums and durations, from the totals that each task's row keeps of its steps."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from msgspec import Struct
from sqlalchemy import cast, func, null, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.documents import Status
from ams_contracts.tables import tasks
from ams_contracts.views import usd
from ams_kit.errors import BadRequestError
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import LIMIT, Parameter, read_parameters, with_parameters
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.windowed_scan import scan_windows
from ams_trace_query.task_filter import FILTER, TaskScan, open_task_scan, read_task_filter

DIMENSIONS = ("user", "tag", "agent")
GROUPS_MAX = 1_000
"""Groups of their own, in the answer and of one window: those with the most tasks. The tasks of further ones count as ``other``."""

GROUP_BY = Parameter(
    name="group_by",
    description="What the tasks are grouped by. A task counts once for each of its tags.",
    schema={"type": OpenAPIType.STRING, "enum": list(DIMENSIONS)},
)
_PARAMETERS = (*FILTER, GROUP_BY, LIMIT)
_SUMS = ("steps", "input_tokens", "output_tokens", "cost_nusd")
GroupKey = tuple[str | None, str | None]
"""The name of a tag, and the value; both null: the tasks of further groups."""
OTHER: GroupKey = (None, None)


class TaskGroup(Struct, frozen=True, kw_only=True):
    """The tasks of one user, tag or agent.

    Attributes:
        tag: The name of the tag; null by user or agent.
        key: The user, the value of the tag, or the agent. Empty: tasks without one.
        other: Whether these are the tasks of the groups beyond the first 1,000.
        failed: Tasks with the status error.
        steps: Steps of the tasks.
        unpriced_tasks: Tasks with calls of unknown cost: the cost is a lower bound.
        cost_usd: Sum of the known costs, as a decimal string; null when no cost is known.
        p50_duration_us: Median of the durations of the ended ones; null when none ended.
        p95_duration_us: The duration that 95 % of the ended ones do not exceed. Both null for ``other``.
    """

    tag: str | None
    key: str
    other: bool
    tasks: int
    failed: int
    steps: int
    input_tokens: int
    output_tokens: int
    unpriced_tasks: int
    cost_usd: str | None
    p50_duration_us: int | None
    p95_duration_us: int | None


class TaskGroups(Struct, frozen=True, kw_only=True):
    """Groups, those with the most tasks first.

    Attributes:
        truncated: Whether there are more groups than ``limit``.
        counted_back_to_us: When counting reached its time limit: tasks that started before this time are not counted. Null: all are.
    """

    items: list[TaskGroup]
    truncated: bool
    counted_back_to_us: int | None


class _Sums:
    """What was found for one group, window after window."""

    __slots__ = ("durations", "failed", "priced", "sums", "tasks", "unpriced")

    def __init__(self) -> None:
        self.tasks = self.failed = self.priced = self.unpriced = 0
        self.sums = dict.fromkeys(_SUMS, 0)
        self.durations: list[int] = []

    def add(self, row: Any) -> None:
        self.tasks += row["tasks"]
        self.failed += row["failed"]
        self.priced += row["priced"]
        self.unpriced += row["unpriced"]
        for name in _SUMS:
            self.sums[name] += row[name]
        self.durations += row["durations"] or []


@get("/tasks/groups", operation_class=with_parameters(*_PARAMETERS), operation_id="getTaskGroups", responses=PROBLEMS)
async def get_task_groups(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> TaskGroups:
    """Count the tasks of a filter by user, tag or agent, with their totals."""
    query = read_parameters(request, _PARAMETERS)
    group_by = query.text_of("group_by")
    if group_by not in DIMENSIONS:
        raise BadRequestError(f"group_by must be one of {', '.join(DIMENSIONS)}.", code="bad_group_by")
    limit = query.limit()
    task_filter = read_task_filter(request, query)
    async with open_task_scan(request, access, task_filter) as scan:
        found, back_to_us = await _count(scan, group_by)
    ordered = sorted(found.items(), key=lambda item: (item[0] == OTHER, -item[1].tasks, item[0][0] or "", item[0][1] or ""))
    return TaskGroups(items=[_view(*item) for item in ordered[:limit]], truncated=len(ordered) > limit, counted_back_to_us=back_to_us)


async def _count(scan: TaskScan, group_by: str) -> tuple[dict[GroupKey, _Sums], int | None]:
    found: dict[GroupKey, _Sums] = {}
    back_to_us: int | None = None
    async for window in scan_windows(scan.reader, tasks.c.sort_at_us, scan.scope, budget=scan.budget):
        for row in await scan.reader.rows(groups_statement([*scan.scope, *window.conditions, *scan.conditions], group_by)):
            key: GroupKey = (row["tag"], row["key"])
            if key not in found and len(found) >= GROUPS_MAX:
                key = OTHER
            found.setdefault(key, _Sums()).add(row)
        back_to_us = window.low_us
    return found, back_to_us


def groups_statement(conditions: Sequence[Condition], group_by: str) -> Statement:
    """Count tasks by group: those with the most tasks, and the rest as one. Durations are listed, so that a percentile over windows is exact."""
    table = tasks.c
    tag: Any = null()
    source: Any = tasks
    if group_by == "tag":
        pairs = func.jsonb_each_text(table.tags).table_valued("name", "value").render_derived()
        source, tag, key = tasks.join(pairs, true()), pairs.c.name, pairs.c.value
    else:
        key = func.coalesce(table.user_id if group_by == "user" else table.agent, "")
    keys = [tag, key] if group_by == "tag" else [key]
    groups = (
        select(
            cast(tag, Text).label("tag"),
            cast(key, Text).label("key"),
            func.count().label("tasks"),
            func.count().filter(table.status == Status.ERROR).label("failed"),
            *(cast(func.sum(table[name]), BigInteger).label(name) for name in _SUMS),
            func.count().filter(table.priced_steps > 0).label("priced"),
            func.count().filter((table.unpriced_steps > 0) | (table.unmetered_calls > 0)).label("unpriced"),
            func.array_agg(table.duration_us).filter(table.duration_us.is_not(None), table.ended_at_us.is_not(None)).label("durations"),
            func.row_number().over(order_by=(func.count().desc(), *keys)).label("place"),
        )
        .select_from(source)
        .where(*conditions)
        .group_by(*keys)
        .cte("groups")
    )
    names = ("tasks", "failed", *_SUMS, "priced", "unpriced")
    first = select(groups.c.tag, groups.c.key, *(groups.c[name] for name in names), groups.c.durations).where(groups.c.place <= GROUPS_MAX)
    rest = (
        select(
            cast(null(), Text).label("tag"),
            cast(null(), Text).label("key"),
            *(cast(func.sum(groups.c[name]), BigInteger).label(name) for name in names),
            cast(null(), ARRAY(BigInteger)).label("durations"),
        )
        .where(groups.c.place > GROUPS_MAX)
        .having(func.count() > 0)
    )
    both = first.union_all(rest).subquery()
    return select(*both.c)


def _view(key: GroupKey, sums: _Sums) -> TaskGroup:
    ordered = sorted(sums.durations)

    def percentile(share: int) -> int | None:
        return ordered[-(-share * len(ordered) // 100) - 1] if ordered else None

    return TaskGroup(
        tag=key[0],
        key=key[1] or "",
        other=key == OTHER,
        tasks=sums.tasks,
        failed=sums.failed,
        steps=sums.sums["steps"],
        input_tokens=sums.sums["input_tokens"],
        output_tokens=sums.sums["output_tokens"],
        unpriced_tasks=sums.unpriced,
        cost_usd=usd(sums.sums["cost_nusd"]) if sums.priced else None,
        p50_duration_us=None if key == OTHER else percentile(50),
        p95_duration_us=None if key == OTHER else percentile(95),
    )
