"""Alert rules of a project: read by everybody in it, changed by members. Every change is in the audit log."""

import uuid
from typing import Any

import asyncpg
import msgspec
from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET
from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, literal, select, tuple_, update
from sqlalchemy.types import Text

from ams_contracts.alerts import AlertRaised, EndReason, event_id_of
from ams_contracts.claims import Access, Role
from ams_contracts.platform_tables import alert_rules, alert_states, deleted_projects
from ams_kit.auth import require_role
from ams_kit.errors import ConflictError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_trace_query.alerts import evaluator, queue
from ams_trace_query.alerts.measures import SECOND_US, Measured, Window
from ams_trace_query.alerts.notices import notice_of
from ams_trace_query.alerts.rule_shapes import (
    BODY_BYTES_MAX,
    AlertRule,
    AlertRuleBody,
    AlertRulePage,
    ChangedAlertRule,
    WebhookTest,
    check_rule,
    rule_view,
)
from ams_trace_query.alerts.sealing import WebhookSecrets, new_signing_secret
from ams_trace_query.alerts.webhooks import check_url
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import Context, context_of
from ams_trace_query.database import ProjectWriter, SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS, PROBLEMS_WITH_BODY
from ams_trace_query.parameters import CURSOR, LIMIT, not_found, read_parameters, uuid_id, with_parameters

RULES_MAX = 100  # of a project
_LIST = (LIMIT, CURSOR)
_SORT = "name, rule_id"
_body = msgspec.json.Decoder(AlertRuleBody)
_raised = msgspec.json.Decoder(AlertRaised)


@get("/alert-rules", operation_class=with_parameters(*_LIST), operation_id="listAlertRules", responses=PROBLEMS)
async def list_alert_rules(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> AlertRulePage:
    """List the alert rules of a project by name."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    bound = (access.project_id, "alert-rules", _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.on_primary().read(access.project_id) as reader:
        rows = await reader.rows(_page(access.project_id, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("name", "rule_id"))
    return AlertRulePage(items=[rule_view(row) for row in shown], next_cursor=next_cursor)


@get("/alert-rules/{rule_id:str}", operation_class=with_parameters(), operation_id="getAlertRule", responses=PROBLEMS)
async def get_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access], rule_id: FromPath[str]) -> AlertRule:
    """Read an alert rule."""
    read_parameters(request, ())
    rule_id = uuid_id(rule_id, "alert_rule")
    async with context_of(request).database.on_primary().read(access.project_id) as reader:
        return rule_view(await _find(reader, access, rule_id))


@post("/alert-rules", operation_class=with_json_body(AlertRuleBody), operation_id="createAlertRule", responses=PROBLEMS_WITH_BODY)
async def create_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ChangedAlertRule:
    """Create an alert rule. The signing secret of its webhook is in this response alone. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    values = check_rule(body)
    rule_id, now_us = str(uuid.uuid4()), _now_us(context)
    webhook, secret = _webhook_values(context, body, access.project_id, rule_id)
    values |= {"updated_at_us": now_us, "updated_by": access.user_id, **webhook}
    try:
        async with context.database.write(access.project_id) as writer:
            await _check_room(writer, access.project_id)
            created = insert(alert_rules).values(
                project_id=access.project_id, rule_id=rule_id, author_id=access.user_id, created_at_us=now_us, **values
            )
            await writer.change(created)
            await queue.put(writer, "rule", access.project_id, rule_id, now_us)
            rule = rule_view(await _find(writer, access, rule_id))
            await request.app.state.auth.audit(request, "alert_rule.created", access, rule_id)
    except asyncpg.UniqueViolationError as error:
        raise _name_taken() from error
    return ChangedAlertRule(rule=rule, signing_secret=secret)


@put(
    "/alert-rules/{rule_id:str}",
    operation_class=with_json_body(AlertRuleBody),
    operation_id="replaceAlertRule",
    responses=PROBLEMS_WITH_BODY,
)
async def replace_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access], rule_id: FromPath[str]) -> ChangedAlertRule:
    """Replace an alert rule; without ``webhook`` its webhook stays. A change of what is measured, or a pause, ends its open alert.

    Requires the role member.
    """
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    rule_id = uuid_id(rule_id, "alert_rule")
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    values = check_rule(body)
    now_us = _now_us(context)
    try:
        async with context.database.write(access.project_id) as writer:
            before = await _find_locked(writer, access, rule_id)
            webhook, secret = _webhook_values(context, body, access.project_id, rule_id, before)
            if not body.enabled or any(values[name] != before[name] for name in ("q", "measure", "threshold", "window_seconds")):
                await _end_alert(writer, before, "rule_changed" if body.enabled else "rule_paused", now_us)
            changed = update(alert_rules).where(*_mine(access, rule_id))
            await writer.change(changed.values({**values, **webhook, "updated_at_us": now_us, "updated_by": access.user_id}))
            await queue.put(writer, "rule", access.project_id, rule_id, now_us)
            rule = rule_view(await _find(writer, access, rule_id))
            await request.app.state.auth.audit(request, "alert_rule.changed", access, rule_id)
    except asyncpg.UniqueViolationError as error:
        raise _name_taken() from error
    return ChangedAlertRule(rule=rule, signing_secret=secret)


@delete("/alert-rules/{rule_id:str}", operation_class=with_parameters(), operation_id="deleteAlertRule", responses=PROBLEMS)
async def delete_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access], rule_id: FromPath[str]) -> None:
    """Delete an alert rule. Its open alert ends; its alerts stay in the list. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    rule_id = uuid_id(rule_id, "alert_rule")
    context = context_of(request)
    async with context.database.write(access.project_id) as writer:
        before = await _find_locked(writer, access, rule_id)
        await _end_alert(writer, before, "rule_deleted", _now_us(context), has_webhook=False)
        await writer.change(delete_from(alert_rules).where(*_mine(access, rule_id)))
        mine = (alert_states.c.project_id == access.project_id, alert_states.c.rule_id == rule_id)
        await writer.change(delete_from(alert_states).where(*mine))
        await queue.remove(writer, "rule", access.project_id, rule_id)
        await request.app.state.auth.audit(request, "alert_rule.deleted", access, rule_id)


@post(
    "/alert-rules/{rule_id:str}/test",
    status_code=200,
    operation_class=with_parameters(),
    operation_id="testAlertRule",
    responses=PROBLEMS_WITH_BODY,
)
async def test_alert_rule(request: Request[Any, Any, Any], access: NamedDependency[Access], rule_id: FromPath[str]) -> WebhookTest:
    """Send a test to the webhook of a rule, once. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    rule_id = uuid_id(rule_id, "alert_rule")
    context = context_of(request)
    async with context.database.on_primary().read(access.project_id) as reader:
        row = await _find(reader, access, rule_id)
    sealed = row["webhook_sealed"]
    if sealed is None:
        raise ConflictError("The rule has no webhook. Add one first.", code="no_webhook")
    secrets = context.sealer.unseal(sealed, access.project_id, rule_id)
    if secrets is None:
        raise ConflictError("The webhook cannot be decrypted: AMS_SECRET_KEY has changed. Enter its URL again.", code="webhook_unreadable")
    now_us = _now_us(context)
    window = Window(now_us - row["window_seconds"] * SECOND_US, now_us)
    example = evaluator.raised_of(row, Measured(row["threshold"], complete=True, task_ids=[]), window, now_us)
    notice = msgspec.structs.replace(notice_of(example, is_test=True), event_id=event_id_of(str(uuid.uuid4()), "raised"))
    async with slot_if(context.webhook_tests, heavy=True):
        outcome = await context.sender.send(notice, row["webhook_format"], secrets)
    return WebhookTest(status=outcome.status, problem=outcome.problem)


def _webhook_values(
    context: Context, body: AlertRuleBody, project_id: str, rule_id: str, before: Any = None
) -> tuple[dict[str, Any], str | None]:
    """The columns of the webhook, and a new signing secret when the URL is new.

    Raises:
        InvalidError: The URL is not valid.
        ConflictError: There is no URL to keep, or no key to encrypt one with.
    """
    if body.webhook is UNSET:
        return {}, None
    if body.webhook is None:
        return {"webhook_format": None, "webhook_host": None, "webhook_sealed": None}, None
    if body.webhook.url is None:
        if before is None or before["webhook_sealed"] is None:
            raise ConflictError("The rule has no webhook whose URL could be kept. Give one.", code="no_webhook")
        return {"webhook_format": body.webhook.format}, None
    host = check_url(body.webhook.url)
    if not context.sealer.can_seal:
        raise ConflictError(
            "This installation cannot store webhooks: AMS_SECRET_KEY is not set for trace-query.", code="webhooks_unavailable"
        )
    secret = new_signing_secret()
    sealed = context.sealer.seal(WebhookSecrets(url=body.webhook.url, signing_secret=secret), project_id, rule_id)
    return {"webhook_format": body.webhook.format, "webhook_host": host, "webhook_sealed": sealed}, secret


async def _end_alert(writer: ProjectWriter, row: Any, reason: EndReason, at_us: int, *, has_webhook: bool = True) -> None:
    """End the open alert of a rule that is about to change."""
    if row["alert"] is None:
        return
    await evaluator.end(writer, _raised.decode(row["alert"]), reason, at_us, has_webhook=has_webhook and row["webhook_sealed"] is not None)
    mine = (alert_states.c.project_id == row["project_id"], alert_states.c.rule_id == row["rule_id"])
    await writer.change(update(alert_states).where(*mine).values(alert=None, value=None))


async def _check_room(writer: ProjectWriter, project_id: str) -> None:
    """Serialise the creation of rules in a project, and check that it has room for another one.

    Raises:
        NotFoundError: The project was deleted.
        ConflictError: There is no room.
    """
    await writer.row(select(func.pg_advisory_xact_lock(func.hashtextextended(f"app.alert_rules {project_id}", 0))))
    if await writer.row(select(deleted_projects.c.project_id).where(deleted_projects.c.project_id == project_id).limit(1)) is not None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    counted = await writer.row(select(func.count()).select_from(alert_rules).where(alert_rules.c.project_id == project_id))
    if counted[0] >= RULES_MAX:
        raise ConflictError(f"A project has at most {RULES_MAX} alert rules. Delete one first.", code="too_many_alert_rules")


def _name_taken() -> ConflictError:
    return ConflictError("The project has an alert rule with this name. Choose another name.", code="name_taken")


def _now_us(context: Context) -> int:
    return int(context.now().timestamp() * SECOND_US)


def _mine(access: Access, rule_id: str) -> tuple[Any, ...]:
    return (alert_rules.c.project_id == access.project_id, alert_rules.c.rule_id == rule_id)


_STATE = (alert_states.c.evaluated_at_us, alert_states.c.value, alert_states.c.problem, alert_states.c.alert)
_JOINED = alert_rules.outerjoin(
    alert_states, (alert_states.c.project_id == alert_rules.c.project_id) & (alert_states.c.rule_id == alert_rules.c.rule_id)
)


def _page(project_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = alert_rules.c
    statement = select(alert_rules, *_STATE).select_from(_JOINED).where(table.project_id == project_id)
    if after is not None:
        statement = statement.where(tuple_(table.name, table.rule_id) > tuple_(literal(after[0], Text), literal(after[1], Text)))
    return statement.order_by(table.name, table.rule_id).limit(limit)


async def _find(reader: SnapshotReader, access: Access, rule_id: str) -> Any:
    row = await reader.row(select(alert_rules, *_STATE).select_from(_JOINED).where(*_mine(access, rule_id)).limit(1))
    if row is None:
        raise not_found("alert_rule")
    return row


async def _find_locked(writer: ProjectWriter, access: Access, rule_id: str) -> Any:
    """Find a rule after the evaluation that may be deciding about it: both lock its entry of the queue."""
    await queue.put(writer, "rule", access.project_id, rule_id, 0)
    return await _find(writer, access, rule_id)
