"""The alerts of a project: the list, open ones first, with what was sent to webhooks; and their acknowledgement by a person."""

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.alerts import AlertAcknowledged, EndReason, Measure, event_id_of
from ams_contracts.claims import Access, Role
from ams_contracts.platform_tables import alert_deliveries, alerts
from ams_kit.auth import require_role
from ams_kit.errors import BadRequestError
from ams_trace_query.alerts import queue
from ams_trace_query.alerts.measures import SECOND_US
from ams_trace_query.context import context_of
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, Parameter, hex_id, not_found, read_parameters, uuid_id, with_parameters

STATES = ("open", "resolved")
DELIVERIES_OF_ALERT_MAX = 2  # that it was raised, and that it ended
STATE = Parameter(
    name="state", description="Only open alerts, or only those that ended.", schema={"type": OpenAPIType.STRING, "enum": list(STATES)}
)
RULE = Parameter(name="rule_id", description="Only alerts of this rule.", schema={"type": OpenAPIType.STRING})
_LIST = (STATE, RULE, LIMIT, CURSOR)
_SORT = "open first, raised_at_us desc, alert_id"


class WebhookDelivery(Struct, frozen=True, kw_only=True):
    """What was sent to the webhook of the rule, or is to be.

    Attributes:
        event_id: The header webhook-id, the same in every attempt.
        state: pending, delivered, or failed (after the last attempt).
        last_status: The HTTP status of the last attempt; null: no response was received.
        last_problem: Why the last attempt failed; null: it did not.
        next_attempt_at_us: When it is tried next; null: it is not.
    """

    event_id: str
    state: str
    attempts: int
    last_status: int | None
    last_problem: str | None
    next_attempt_at_us: int | None


class Alert(Struct, frozen=True, kw_only=True):
    """An alert, with what its rule said when it was raised.

    Attributes:
        value: What was measured in the window, in the unit of the measure (see ``AlertRule``).
        window_start_us: The window that raised it.
        task_ids: Some of the tasks that caused it, the most relevant first.
        resolved_at_us: When it ended; null: it is open.
        resolved_reason: recovered, rule_changed, rule_paused or rule_deleted.
        acknowledged_at_us: When a person took note of it; null: nobody has.
        acknowledged_by: A user id.
    """

    alert_id: str
    rule_id: str
    name: str
    q: str
    measure: Measure
    threshold: float
    value: float
    window_start_us: int
    window_end_us: int
    task_ids: list[str]
    raised_at_us: int
    resolved_at_us: int | None
    resolved_reason: EndReason | None
    acknowledged_at_us: int | None
    acknowledged_by: str | None
    deliveries: list[WebhookDelivery]


class AlertPage(Struct, frozen=True, kw_only=True):
    """Alerts: open ones first, then the newest first."""

    items: list[Alert]
    next_cursor: str | None


@get("/alerts", operation_class=with_parameters(*_LIST), operation_id="listAlerts", responses=PROBLEMS)
async def list_alerts(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> AlertPage:
    """List the alerts of a project, open ones first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    state, rule_id = query.text_of("state"), query.text_of("rule_id")
    if state is not None and state not in STATES:
        raise BadRequestError(f"state must be one of {', '.join(STATES)}.", code="bad_state")
    if rule_id is not None:
        rule_id = uuid_id(rule_id, "alert_rule")
    bound = (access.project_id, "alerts", state, rule_id, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.on_primary().read(access.project_id) as reader:
        rows = await reader.rows(_page(access.project_id, state, rule_id, after, limit + 1))
        shown = rows[:limit]
        sent = await _deliveries(reader, access.project_id, [row["alert_id"] for row in shown])
    next_cursor = None
    if len(rows) > limit:
        last = shown[-1]
        next_cursor = context.cursors.seal(bound, [int(last["resolved_at_us"] is None), last["raised_at_us"], last["alert_id"]])
    return AlertPage(items=[_view(row, sent.get(row["alert_id"], [])) for row in shown], next_cursor=next_cursor)


@post(
    "/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    operation_class=with_parameters(),
    operation_id="acknowledgeAlert",
    responses=PROBLEMS,
)
async def acknowledge_alert(request: Request[Any, Any, Any], access: NamedDependency[Access], alert_id: FromPath[str]) -> Alert:
    """Take note of an alert: an event, which the list shows a moment later. The first acknowledgement counts. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    alert_id = hex_id(alert_id, 32, "alert")
    context = context_of(request)
    now_us = int(context.now().timestamp() * SECOND_US)
    async with context.database.write(access.project_id) as writer:
        row = await writer.row(select(alerts).where(alerts.c.project_id == access.project_id, alerts.c.alert_id == alert_id).limit(1))
        if row is None:
            raise not_found("alert")
        row = dict(row)
        if row["acknowledged_at_us"] is None:
            event_id = event_id_of(alert_id, "acknowledged")
            event = AlertAcknowledged(
                event_id=event_id,
                at_us=now_us,
                project_id=access.project_id,
                rule_id=row["rule_id"],
                alert_id=alert_id,
                user_id=access.user_id,
            )
            await queue.publish_later(writer, event)
            row |= {"acknowledged_at_us": now_us, "acknowledged_by": access.user_id}
        sent = await _deliveries(writer, access.project_id, [alert_id])
    return _view(row, sent.get(alert_id, []))


def _page(project_id: str, state: str | None, rule_id: str | None, after: list[Any] | None, limit: int) -> Statement:
    table = alerts.c
    is_open = table.resolved_at_us.is_(None)
    statement = select(alerts).where(table.project_id == project_id)
    if state is not None:
        statement = statement.where(is_open if state == "open" else ~is_open)
    if rule_id is not None:
        statement = statement.where(table.rule_id == rule_id)
    if after is not None:
        was_open, raised_us, alert_id = after
        older = (table.raised_at_us < literal(raised_us, BigInteger)) | (
            (table.raised_at_us == literal(raised_us, BigInteger)) & (table.alert_id > literal(alert_id, Text))
        )
        statement = statement.where((is_open & older) | ~is_open if was_open else ~is_open & older)
    return statement.order_by(is_open.desc(), table.raised_at_us.desc(), table.alert_id).limit(limit)


async def _deliveries(reader: SnapshotReader, project_id: str, alert_ids: list[str]) -> dict[str, list[WebhookDelivery]]:
    """What was sent of these alerts, by alert, in order."""
    table = alert_deliveries.c
    names = ("event_id", "state", "attempts", "last_status", "last_problem", "next_attempt_at_us")
    statement = (
        select(table.alert_id, *(table[name] for name in names))
        .where(table.project_id == project_id, table.alert_id == func.any(literal(alert_ids, ARRAY(Text))))
        .order_by(table.alert_id, table.created_at_us)
        .limit(DELIVERIES_OF_ALERT_MAX * len(alert_ids) + 1)
    )
    found: dict[str, list[WebhookDelivery]] = {}
    for row in await reader.rows(statement) if alert_ids else []:
        found.setdefault(row["alert_id"], []).append(WebhookDelivery(**{name: row[name] for name in names}))
    return found


def _view(row: Any, deliveries: list[WebhookDelivery]) -> Alert:
    return Alert(**{name: value for name, value in dict(row).items() if name != "project_id"}, deliveries=deliveries)
