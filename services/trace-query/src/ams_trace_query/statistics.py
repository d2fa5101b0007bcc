"""Statistics of a project from its hourly rollups: counts, sums and percentiles by group."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from msgspec import Struct
from sqlalchemy import Integer, cast, func, literal, select, true
from sqlalchemy.types import BigInteger

from ams_contracts.claims import Access
from ams_contracts.documents import Status
from ams_contracts.histograms import percentile
from ams_contracts.tables import hourly_rollups
from ams_contracts.views import usd
from ams_kit.errors import BadRequestError
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import FROM, LIMIT, TO, Parameter, read_parameters, with_parameters

HOUR_US = 3_600_000_000
HISTOGRAMS = ("durations", "tokens", "costs")
DAY_HOURS = 24
TIMES = ("hour", "day")
FILTERS = ("agent", "model", "type", "tool")
DIMENSIONS = (*TIMES, "agent", "model", "type", "status", "tool")
GROUP_BY = Parameter(
    name="group_by",
    description=f"One of {', '.join(DIMENSIONS)}. Without it, all steps are one group.",
    schema={"type": OpenAPIType.STRING, "enum": list(DIMENSIONS)},
)
ONLY = [
    Parameter(
        name=name, description=f"Only steps with this {name}. Empty: those without.", schema={"type": OpenAPIType.STRING, "max_length": 256}
    )
    for name in FILTERS
]
_LIST = (GROUP_BY, *ONLY, FROM, TO, LIMIT)


class Percentiles(Struct, frozen=True, kw_only=True):
    """Percentiles from a histogram, with an error of at most an eighth; null when nothing was counted."""

    p50: int | None
    p90: int | None
    p95: int | None
    p99: int | None


class StatisticsGroup(Struct, frozen=True, kw_only=True):
    """The ended steps of one group.

    Attributes:
        key: The value of ``group_by`` as text (an hour or a UTC day in microseconds). Empty for steps without a value, ``other`` for values
            beyond the first 1,000.
        steps: Number of ended steps.
        errors: Those of them that failed.
        priced_steps: Number of steps with a known cost.
        cost_usd: Sum of the known costs, as a decimal string; null when no cost is known.
        duration_us: Percentiles of the duration.
        tokens: Percentiles of input and output tokens together, of steps that used tokens.
        cost_nusd: Percentiles of the cost, in billionths of a dollar.
    """

    key: str
    steps: int
    errors: int
    priced_steps: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    mean_duration_us: int | None
    duration_us: Percentiles
    tokens: Percentiles
    cost_nusd: Percentiles


class Statistics(Struct, frozen=True, kw_only=True):
    """Groups over complete UTC hours, those with the most steps first (by hour or day: oldest first).

    Attributes:
        from_us: Start of the first hour.
        to_us: End of the last hour.
        truncated: Whether there are more groups than ``limit``.
    """

    from_us: int
    to_us: int
    items: list[StatisticsGroup]
    truncated: bool


@get("/statistics", operation_class=with_parameters(*_LIST), operation_id="getStatistics", responses=PROBLEMS)
async def get_statistics(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Statistics:
    """Read counts, sums and percentiles of ended steps, by hour, day, agent, model, type, status or tool."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    group_by = query.text_of("group_by")
    if group_by is not None and group_by not in DIMENSIONS:
        raise BadRequestError(f"group_by must be one of {', '.join(DIMENSIONS)}.", code="bad_group_by")
    only = {name: query.values[name] for name in FILTERS if name in query.values}
    limit = query.limit()
    now_us = int(context.now().timestamp() * 1_000_000)
    start, end = query.time_range(context.now())
    first, last = (start or 0) // HOUR_US, -(-(now_us if end is None else end) // HOUR_US)
    async with slot_if(context.heavy_queries, heavy=True), context.database.read(access.project_id) as reader:
        conditions = _conditions(access.project_id, first, last, only)
        groups = await reader.rows(_sums(conditions, group_by, limit + 1))
        shown = groups[:limit]
        counted = await reader.rows(_buckets(conditions, group_by))
    histograms: dict[tuple[str, str], dict[int, int]] = {}
    for row in counted:
        histograms.setdefault((str(row["key"]), row["metric"]), {})[row["place"] - 1] = int(row["n"])
    return Statistics(
        from_us=first * HOUR_US,
        to_us=last * HOUR_US,
        items=[_group(row, group_by, histograms) for row in shown],
        truncated=len(groups) > limit,
    )


def _key(group_by: str | None) -> Any:
    if group_by is None:
        return literal("")
    if group_by == "day":
        return hourly_rollups.c.hour // literal(DAY_HOURS, Integer) * literal(DAY_HOURS, Integer)
    return hourly_rollups.c[group_by]


def _conditions(project_id: str, first: int, last: int, only: dict[str, str]) -> list[Any]:
    table = hourly_rollups.c
    return [
        table.project_id == project_id,
        table.hour >= literal(min(first, 2**31 - 1), Integer),
        table.hour < literal(min(last, 2**31 - 1), Integer),
        *(table[name] == value for name, value in only.items()),
    ]


def _sums(conditions: list[Any], group_by: str | None, limit: int) -> Statement:
    table = hourly_rollups.c
    names = ("steps", "priced_steps", "input_tokens", "output_tokens", "cost_nusd", "duration_us", "timed_steps")
    sums = [cast(func.sum(table[name]), BigInteger).label(name) for name in names]
    failed = cast(func.coalesce(func.sum(table.steps).filter(table.status == Status.ERROR), 0), BigInteger).label("errors")
    key = _key(group_by).label("key")
    statement = select(key, failed, *sums).where(*conditions).group_by(key)
    order = [key] if group_by in TIMES else [func.sum(table.steps).desc(), key]
    return statement.having(func.sum(table.steps) > 0).order_by(*order).limit(limit)


def _buckets(conditions: list[Any], group_by: str | None) -> Statement:
    """The histograms of all groups: at most 1,001 groups with three histograms of about 200 buckets each."""
    parts: list[Any] = []
    for name in HISTOGRAMS:
        unnested = func.unnest(hourly_rollups.c[name]).table_valued("n", with_ordinality="place").render_derived()
        key = _key(group_by).label("key")
        parts.append(
            select(key, literal(name).label("metric"), unnested.c.place.label("place"), cast(func.sum(unnested.c.n), BigInteger).label("n"))
            .select_from(hourly_rollups.join(unnested, true()))
            .where(*conditions)
            .group_by(key, unnested.c.place)
        )
    both = parts[0].union_all(*parts[1:]).subquery()
    return select(both.c.key, both.c.metric, both.c.place, both.c.n)


def _group(row: Any, group_by: str | None, histograms: dict[tuple[str, str], dict[int, int]]) -> StatisticsGroup:
    key = str(row["key"])

    def percentiles(metric: str) -> Percentiles:
        buckets = histograms.get((key, metric), {})
        dense = [buckets.get(place, 0) for place in range(max(buckets, default=-1) + 1)]
        return Percentiles(p50=percentile(dense, 0.5), p90=percentile(dense, 0.9), p95=percentile(dense, 0.95), p99=percentile(dense, 0.99))

    return StatisticsGroup(
        key=str(int(key) * HOUR_US) if group_by in TIMES else key,
        steps=row["steps"],
        errors=row["errors"],
        priced_steps=row["priced_steps"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_usd=usd(row["cost_nusd"]) if row["priced_steps"] else None,
        mean_duration_us=row["duration_us"] // row["timed_steps"] if row["timed_steps"] else None,
        duration_us=percentiles("durations"),
        tokens=percentiles("tokens"),
        cost_nusd=percentiles("costs"),
    )
