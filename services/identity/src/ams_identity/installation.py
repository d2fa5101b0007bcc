"""What the administrator sees and sets of projects, without access to their contents: usage and quotas; and who else administers."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post, put
from litestar.params import FromPath
from msgspec import Meta, Struct

from ams_contracts.claims import Quota
from ams_contracts.identity_events import ProjectUpdated
from ams_identity.accounts import lock_administrator
from ams_identity.administration import account_of, require_administrator
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.outbox import microseconds, new_event_id
from ams_identity.outbox import put as put_event
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.projects import UUID_PATTERN, lock_project
from ams_identity.proof import require_proof
from ams_identity.quota_rules import lower
from ams_identity.store import quotas, users
from ams_identity.store.quotas import ManagedProject
from ams_kit.auth import is_uuid
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.usage import current_day

DAYS = 30
RETENTION_DAYS_MAX = 3_650


class ManagedProjects(Struct, frozen=True):
    """Projects, oldest first, and the quota of the platform, which applies where none is set."""

    items: list[ManagedProject]
    quota: Quota
    next_cursor: str | None


class QuotaBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The quota of a project. ``null`` or absent: the platform's."""

    events_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    bytes_per_day: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    retention_days: Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)] | None = None


class AdministratorBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an account administers the installation."""

    administrator: bool


_quota = msgspec.json.Decoder(QuotaBody)
_administrator = msgspec.json.Decoder(AdministratorBody)


@get("/api/auth/projects", operation_class=PagedOperation)
async def list_managed_projects(request: Request[Any, Any, Any]) -> ManagedProjects:
    """List the projects of the installation with their usage of the last 30 days and their quotas (``limit``, ``cursor``). Requires its administrator."""
    await require_administrator(request)
    context = context_of(request)
    page = page_of(request, UUID_PATTERN)
    since = current_day(context.now_s()) - timedelta(days=DAYS)
    found = await quotas.managed_projects(context.pool, since=since, after=page.after, limit=page.limit + 1)
    return ManagedProjects(found[: page.limit], context.policy.quota, cursor_after([item.project_id for item in found], page.limit))


@put("/api/auth/projects/{managed:str}/quota", status_code=204, operation_class=with_json_body(QuotaBody))
async def set_quota(request: Request[Any, Any, Any], managed: FromPath[str]) -> None:
    """Set the quota of a project: events a minute, bytes a day, days of retention. Intake applies it within 30 s. Requires the administrator of the installation."""
    administrator = await require_administrator(request)
    context = context_of(request)
    body = await read_json(request, _quota, bytes_max=BODY_BYTES_MAX)
    if not is_uuid(managed):
        raise NotFoundError("There is no such project.", code="project_not_found")
    if body.retention_days is not None and body.retention_days > context.policy.retention_days:
        raise InvalidError(
            f"The platform keeps tasks for {context.policy.retention_days} days. Choose at most that many.", code="retention_too_long"
        )
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        project = await lock_project(connection, managed)
        quota = Quota(events_per_minute=body.events_per_minute, bytes_per_day=body.bytes_per_day)
        await quotas.set_by_administrator(connection, managed, quota, body.retention_days)
        event = ProjectUpdated(
            event_id=new_event_id(),
            at_us=microseconds(at),
            project_id=managed,
            name=project.name,
            retention_days=lower(project.retention_days, body.retention_days),
            user_id=administrator.user_id,
        )
        await put_event(connection, managed, event, at)
        await record(connection, request, Action.QUOTA_CHANGED, at, user_id=administrator.user_id, project_id=managed)
    context.outbox.wake()


@post("/api/users/{user:str}/administrator", status_code=204, operation_class=with_json_body(AdministratorBody))
async def set_administrator(request: Request[Any, Any, Any], user: FromPath[str]) -> None:
    """Let a person administer the installation, or no more. Idempotent. Requires the administrator of the installation, who keeps the role, and a recent proof."""
    administrator = await require_administrator(request)
    context = context_of(request)
    body = await read_json(request, _administrator, bytes_max=BODY_BYTES_MAX)
    account = await account_of(request, user)
    if context.policy.admin_email_key is not None:
        raise ConflictError("AMS_ADMIN_EMAIL names the administrator of this installation. Change that setting.", code="set_by_operator")
    if account.kind != "person" or account.disabled_at is not None:
        raise ConflictError("Only an active account of a person can administer the installation.", code="not_a_person")
    await require_proof(request)
    if account.user_id == administrator.user_id and not body.administrator:
        raise ConflictError("You cannot remove the role from yourself. Ask another administrator.", code="own_account")
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_administrator(context, connection, administrator.user_id, account.user_id)
        if await users.set_administrator(connection, account.user_id, administrator=body.administrator):
            await record(
                connection, request, Action.ADMINISTRATOR_CHANGED, context.now(), user_id=administrator.user_id, subject=account.user_id
            )


ROUTES = [list_managed_projects, set_quota, set_administrator]
