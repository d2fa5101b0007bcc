"""Alert rules of a project."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import literal, select, tuple_
from sqlalchemy.types import Text

from ams_contracts.claims import Access
from ams_contracts.platform_tables import alert_rules
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, read_parameters, with_parameters

_LIST = (LIMIT, CURSOR)
_SORT = "name, rule_id"


class AlertRule(Struct, frozen=True, kw_only=True):
    """A query over the tasks of the last ``window_seconds``, and the threshold that its ``measure`` is compared with."""

    rule_id: str
    name: str
    enabled: bool
    q: str
    measure: str
    threshold: float
    window_seconds: int
    author_id: str
    created_at_us: int
    updated_at_us: int
    updated_by: str


class AlertRulePage(Struct, frozen=True, kw_only=True):
    """Alert rules by name."""

    items: list[AlertRule]
    next_cursor: str | None


@get("/alert-rules", operation_class=with_parameters(*_LIST), operation_id="listAlertRules", responses=PROBLEMS)
async def list_alert_rules(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> AlertRulePage:
    """List the alert rules of a project by name."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    bound = (access.project_id, "alert-rules", _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        rows = await reader.rows(_page(access.project_id, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("name", "rule_id"))
    return AlertRulePage(
        items=[AlertRule(**dict(row)) for row in shown],
        next_cursor=next_cursor,
    )


def _page(project_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = alert_rules.c
    statement = select(
        *(table.rule_id, table.name, table.enabled, table.q, table.measure, table.threshold, table.window_seconds),
        *(table.author_id, table.created_at_us, table.updated_at_us, table.updated_by),
    ).where(table.project_id == project_id)
    if after is not None:
        statement = statement.where(tuple_(table.name, table.rule_id) > tuple_(literal(after[0], Text), literal(after[1], Text)))
    return statement.order_by(table.name, table.rule_id).limit(limit)
