"""Facets of tasks: how many matches of a filter have each value of a field."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import String, func, literal, select, true, union_all
from sqlalchemy.types import Integer

from ams_contracts.claims import Access
from ams_contracts.tables import tasks
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import read_parameters, with_parameters
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.windowed_scan import scan_windows
from ams_trace_query.task_filter import FILTER, open_task_scan, read_task_filter

MATCHES_MAX = 10_000
VALUES_MAX = 20
TAGS_MAX = 12

FIELDS = {
    "status": tasks.c.status,
    "agent": tasks.c.agent,
    "env": tasks.c.environment,
    "user": tasks.c.user_id,
    "kind": tasks.c.kind,
    "error": tasks.c.error_type,
}
"""Fields of the query language with one value in a task."""
_TOTAL = ""
_FIRST = [*FIELDS, "flag"]


class FacetValue(Struct, frozen=True, kw_only=True):
    """A value, and how many of the counted tasks have it."""

    value: str
    tasks: int


class Facet(Struct, frozen=True, kw_only=True):
    """A field of the query language (``agent``, ``tag.tier``) with its values, the most frequent ones first.

    Attributes:
        truncated: There are more values than are listed.
    """

    field: str
    values: list[FacetValue]
    truncated: bool


class TaskFacets(Struct, frozen=True, kw_only=True):
    """The facets of the newest matches; a field that none of them has is left out.

    Attributes:
        tasks: How many tasks were counted.
        complete: These are all matches. Otherwise each count is the least that there may be.
    """

    tasks: int
    complete: bool
    items: list[Facet]


@get("/tasks/facets", operation_class=with_parameters(*FILTER), operation_id="getTaskFacets", responses=PROBLEMS)
async def get_task_facets(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> TaskFacets:
    """Count the values of status, agent, environment, user, kind, error, flag and tags among the matches of a filter.

    Counts are exact up to 10,000 matches; beyond, they are of the newest 10,000.
    """
    query = read_parameters(request, FILTER)
    task_filter = read_task_filter(request, query)
    counts: dict[str, dict[str, int]] = {}
    complete = True
    async with open_task_scan(request, access, task_filter) as scan:
        async for window in scan_windows(scan.reader, tasks.c.sort_at_us, scan.scope, budget=scan.budget):
            left = MATCHES_MAX - _total(counts)
            conditions = [*scan.scope, *window.conditions, *scan.conditions]
            for row in await scan.reader.rows(facets_statement(conditions, left)):
                of_field = counts.setdefault(row["field"], {})
                of_field[row["value"]] = of_field.get(row["value"], 0) + row["tasks"]
            complete = window.low_us is None
            if _total(counts) >= MATCHES_MAX:
                beyond = select(tasks.c.task_id).where(*conditions).offset(left).limit(1)
                complete = complete and await scan.reader.row(beyond) is None
                break
    return TaskFacets(tasks=_total(counts), complete=complete, items=facets_of(counts))


def _total(counts: dict[str, dict[str, int]]) -> int:
    return counts.get(_TOTAL, {}).get("", 0)


def facets_statement(conditions: Sequence[Condition], limit: int) -> Statement:
    """Count the values of all fields among the newest matches. The row with an empty field has the number of matches."""
    matched = (
        (
            select(*FIELDS.values(), tasks.c.flags, tasks.c.tags)
            .where(*conditions)
            .order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id)
            .limit(limit)
        )
        .cte("matched")
        .prefix_with("MATERIALIZED")
    )
    n = func.count().label("tasks")
    parts: list[Any] = [select(literal(_TOTAL, String).label("field"), literal("", String).label("value"), n).select_from(matched)]
    for field, column in FIELDS.items():
        value = matched.c[column.name]
        parts.append(select(literal(field, String), value, n).where(value.is_not(None)).group_by(value))
    flag = func.unnest(matched.c.flags).table_valued("flag").render_derived()
    parts.append(select(literal("flag", String), flag.c.flag, n).select_from(matched.join(flag, true())).group_by(flag.c.flag))
    tag = func.jsonb_each_text(matched.c.tags).table_valued("key", "value", name="tag")
    key = (literal("tag.", String) + tag.c.key).label("field")
    parts.append(select(key, tag.c.value, n).select_from(matched.join(tag, true())).group_by(tag.c.key, tag.c.value))
    every = union_all(*parts).subquery()
    return select(every.c.field, every.c.value, every.c.tasks.cast(Integer).label("tasks"))


def facets_of(counts: dict[str, dict[str, int]]) -> list[Facet]:
    """The facets to show: fixed fields in their order, then the tags that most tasks have."""
    tags = sorted((field for field in counts if field.startswith("tag.")), key=lambda field: (-sum(counts[field].values()), field))
    return [_facet(field, counts[field]) for field in (*_FIRST, *tags[:TAGS_MAX]) if counts.get(field)]


def _facet(field: str, values: dict[str, int]) -> Facet:
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    shown = [FacetValue(value=value, tasks=n) for value, n in ordered[:VALUES_MAX]]
    return Facet(field=field, values=shown, truncated=len(ordered) > len(shown))
