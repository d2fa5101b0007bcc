"""Tasks over time: how many, how many failed, how long they took and what they cost, in buckets of one width."""

import re
from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from msgspec import Struct
from sqlalchemy import cast, func, literal, select
from sqlalchemy.types import BigInteger

from ams_contracts.claims import Access
from ams_contracts.documents import Status
from ams_contracts.tables import tasks
from ams_contracts.views import usd
from ams_kit.errors import BadRequestError
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import RANGE_DAYS_MAX, Parameter, QueryParameters, read_parameters, with_parameters
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.windowed_scan import scan_windows
from ams_trace_query.task_filter import FILTER, TaskScan, open_task_scan, read_task_filter

BUCKETS_DEFAULT = 60
BUCKETS_MAX = 200
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
WIDTHS_US = [
    seconds * SECOND_US
    for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)
]
"""Widths of a bucket: those that clocks and calendars have."""

BUCKETS = Parameter(
    name="buckets",
    description="The largest number of buckets. Their width is one of a clock or a calendar, from a second to a week.",
    schema={"type": OpenAPIType.INTEGER, "minimum": 1, "maximum": BUCKETS_MAX, "default": BUCKETS_DEFAULT},
)
_PARAMETERS = (*FILTER, BUCKETS)
_COUNT = re.compile(r"[1-9][0-9]{0,2}")


class TaskBucket(Struct, frozen=True, kw_only=True):
    """The tasks that started within one bucket.

    Attributes:
        start_us: The first moment of it, UTC, a multiple of its width.
        failed: Tasks with the status error.
        p95_duration_us: The duration that 95 % of the ended ones do not exceed; null when none ended.
        cost_usd: Sum of the known costs, as a decimal string; null when no cost is known.
    """

    start_us: int
    tasks: int
    failed: int
    p95_duration_us: int | None
    input_tokens: int
    output_tokens: int
    cost_usd: str | None


class TaskHistogram(Struct, frozen=True, kw_only=True):
    """Buckets with at least one task, oldest first.

    Attributes:
        from_us: Start of the first bucket of the range, empty ones included.
        to_us: End of the last one.
        bucket_us: Width of each.
        tasks: All tasks counted.
        counted_back_to_us: When counting reached its time limit: tasks that started before this time are not counted. Null: all are.
    """

    from_us: int
    to_us: int
    bucket_us: int
    tasks: int
    items: list[TaskBucket]
    counted_back_to_us: int | None


class _Sums:
    """What was found for one bucket, window after window."""

    __slots__ = ("cost_nusd", "durations", "failed", "input_tokens", "output_tokens", "priced", "tasks")

    def __init__(self) -> None:
        self.tasks = self.failed = self.input_tokens = self.output_tokens = self.cost_nusd = self.priced = 0
        self.durations: list[int] = []

    def add(self, row: Any) -> None:
        self.tasks += row["tasks"]
        self.failed += row["failed"]
        self.input_tokens += row["input_tokens"]
        self.output_tokens += row["output_tokens"]
        self.cost_nusd += row["cost_nusd"]
        self.priced += row["priced"]
        self.durations += row["durations"] or []


@get("/tasks/histogram", operation_class=with_parameters(*_PARAMETERS), operation_id="getTaskHistogram", responses=PROBLEMS)
async def get_task_histogram(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> TaskHistogram:
    """Count the tasks of a filter over time. Without ``from``, the range begins with the oldest task, at most 90 days ago."""
    query = read_parameters(request, _PARAMETERS)
    buckets = _buckets(query)
    task_filter = read_task_filter(request, query)
    now_us = int(context_of(request).now().timestamp() * SECOND_US)
    async with open_task_scan(request, access, task_filter) as scan:
        start, end = await _range(scan, task_filter.start, task_filter.end, now_us)
        width = bucket_width(end - start, buckets)
        start, end = start // width * width, -(-end // width) * width
        found, back_to_us = await _count(scan, start, width)
    return TaskHistogram(
        from_us=start,
        to_us=end,
        bucket_us=width,
        tasks=sum(sums.tasks for sums in found.values()),
        items=[_view(start + number * width, found[number]) for number in sorted(found)],
        counted_back_to_us=back_to_us,
    )


def bucket_width(span_us: int, buckets: int) -> int:
    """The smallest width with which at most so many buckets reach over a span, in whole weeks beyond a week."""
    least = -(-span_us // buckets)
    week = WIDTHS_US[-1]
    return next((width for width in WIDTHS_US if width >= least), -(-least // week) * week)


def _buckets(query: QueryParameters) -> int:
    text = query.values.get("buckets")
    if text is None:
        return BUCKETS_DEFAULT
    if not _COUNT.fullmatch(text) or int(text) > BUCKETS_MAX:
        raise BadRequestError(f"buckets must be a whole number from 1 to {BUCKETS_MAX}.", code="bad_buckets")
    return int(text)


async def _range(scan: TaskScan, start: int | None, end: int | None, now_us: int) -> tuple[int, int]:
    """The range to show: as asked for, else from the first task until now, or until the last task if a clock was ahead."""
    if start is not None and end is not None:
        return start, max(end, start + 1)
    ends = select(func.min(tasks.c.sort_at_us).label("first"), func.max(tasks.c.sort_at_us).label("last")).where(*scan.scope)
    row = await scan.reader.row(ends)
    last = now_us if row["last"] is None else max(now_us, row["last"] + 1)
    until: int = min(last, now_us + DAY_US) if end is None else end
    first: int = until - 1 if row["first"] is None else min(row["first"], until - 1)
    since = max(first, until - RANGE_DAYS_MAX * DAY_US) if start is None else start
    return since, max(until, since + 1)


async def _count(scan: TaskScan, start: int, width: int) -> tuple[dict[int, _Sums], int | None]:
    found: dict[int, _Sums] = {}
    back_to_us: int | None = None
    scope = [*scan.scope, tasks.c.sort_at_us >= literal(start, BigInteger)]
    async for window in scan_windows(scan.reader, tasks.c.sort_at_us, scope, budget=scan.budget):
        for row in await scan.reader.rows(counts_statement([*scope, *window.conditions, *scan.conditions], start, width)):
            found.setdefault(row["bucket"], _Sums()).add(row)
        back_to_us = window.low_us
    return found, back_to_us


def counts_statement(conditions: Sequence[Condition], start: int, width: int) -> Statement:
    """Count tasks by bucket. The durations are listed, so that a percentile over several windows is exact."""
    table = tasks.c
    bucket = cast((table.sort_at_us - literal(start, BigInteger)) // literal(width, BigInteger), BigInteger).label("bucket")
    return (
        select(
            bucket,
            func.count().label("tasks"),
            func.count().filter(table.status == Status.ERROR).label("failed"),
            *(cast(func.sum(table[name]), BigInteger).label(name) for name in ("input_tokens", "output_tokens", "cost_nusd")),
            func.count().filter(table.priced_steps > 0).label("priced"),
            func.array_agg(table.duration_us).filter(table.duration_us.is_not(None), table.ended_at_us.is_not(None)).label("durations"),
        )
        .where(*conditions)
        .group_by(bucket)
        .limit(BUCKETS_MAX + 1)
    )


def _view(start_us: int, sums: _Sums) -> TaskBucket:
    ordered = sorted(sums.durations)
    return TaskBucket(
        start_us=start_us,
        tasks=sums.tasks,
        failed=sums.failed,
        p95_duration_us=ordered[-(-95 * len(ordered) // 100) - 1] if ordered else None,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=usd(sums.cost_nusd) if sums.priced else None,
    )
