"""Projects: list, create, read, update, delete. ``members.py`` has the routes for members."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET, Meta, Struct, UnsetType

from ams_contracts.claims import KEY_SUBJECT_PREFIX, SHARE_SUBJECT_PREFIX, Access, IdentityChanged, Quota, Role, Scope
from ams_contracts.identity_events import ProjectDeleted, ProjectUpdated
from ams_contracts.ids import RetentionDays
from ams_identity.accounts import add_project, has_factor, user_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.proof import require_proof
from ams_identity.quota_rules import ProjectQuotas, lower, quota_max
from ams_identity.store import Executor, api_keys, members, projects, quotas, share_links, users
from ams_identity.store.api_keys import KEY_ID_PATTERN, is_usable
from ams_identity.store.projects import LockedProject, Membership
from ams_kit.auth import is_uuid, principal_of, provide_access, require_role, second_factor_required
from ams_kit.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name

UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY_ID = re.compile(KEY_ID_PATTERN)
PROJECTS_MAX = 200  # projects that one account is a member of


class ProjectBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new project."""

    name: str


class ProjectChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a project; absent fields keep their value.

    Attributes:
        retention_days: ``null`` keeps tasks as long as the project may.
        events_per_minute: What agents may send; ``null``: as much as the project may.
        bytes_per_day: The same for the bytes of a UTC day.
        second_factor_required: Whether members without a second factor see nothing of the project. Changing it requires a recent proof.
    """

    name: str | UnsetType = UNSET
    retention_days: RetentionDays | UnsetType | None = UNSET
    second_factor_required: bool | UnsetType = UNSET
    masking: bool | UnsetType = UNSET
    events_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] | UnsetType | None = UNSET
    bytes_per_day: Annotated[int, Meta(ge=1, le=10**15)] | UnsetType | None = UNSET


class ProjectView(Struct, frozen=True, kw_only=True):
    """A project, and the caller's role in it.

    Attributes:
        retention_days: Number of UTC days that the project keeps tasks; ``None`` means the platform's number.
        retention_days_max: The platform's number of days, or the lower one that the administrator set for the project.
        second_factor_required: Whether members without a second factor see nothing of the project.
        masking: Whether intake masks secrets that the sender did not mask; a change applies within 30 s.
    """

    project_id: str
    name: str
    role: Role
    retention_days: int | None
    retention_days_max: int
    second_factor_required: bool = False
    masking: bool = True


class ProjectList(Struct, frozen=True):
    """Projects, oldest first."""

    items: list[ProjectView]
    next_cursor: str | None


_project = msgspec.json.Decoder(ProjectBody)
_changes = msgspec.json.Decoder(ProjectChanges)


class ProjectAccess:
    """Reads roles from identity's own tables, without a cache. Implements ``ams_kit.auth.AccessSource``.

    An API key with the scope ``read`` has the role viewer in its project, and so has a public link: its token names the task that it is limited to.
    """

    def __init__(self, pool: asyncpg.Pool, now: Callable[[], datetime], *, password_login: bool) -> None:
        self._pool = pool
        self._now = now
        self._password_login = password_login

    async def access(self, user_id: str, project_id: str) -> Access | None:
        if not is_uuid(project_id):
            return None
        if user_id.startswith(KEY_SUBJECT_PREFIX):
            return await self._access_of_key(user_id.removeprefix(KEY_SUBJECT_PREFIX), project_id)
        if user_id.startswith(SHARE_SUBJECT_PREFIX):
            return await self._access_of_link(user_id.removeprefix(SHARE_SUBJECT_PREFIX), project_id)
        if not is_uuid(user_id):
            return None
        found = await members.access_of(self._pool, project_id, user_id, password_login=self._password_login)
        if found is None:
            return None
        if found.lacks_factor:
            raise second_factor_required()
        return Access(user_id=user_id, project_id=project_id, role=found.role, masking=found.masking)

    async def _access_of_key(self, key_id: str, project_id: str) -> Access | None:
        key = await api_keys.by_id(self._pool, key_id) if _KEY_ID.fullmatch(key_id) else None
        if key is None or key.project_id != project_id or Scope.READ not in key.scopes or not is_usable(key, self._now()):
            return None
        return Access(user_id=f"{KEY_SUBJECT_PREFIX}{key_id}", project_id=project_id, role=Role.VIEWER)

    async def _access_of_link(self, link_id: str, project_id: str) -> Access | None:
        if not is_uuid(link_id) or not await share_links.is_open(self._pool, project_id, link_id, self._now()):
            return None
        return Access(user_id=f"{SHARE_SUBJECT_PREFIX}{link_id}", project_id=project_id, role=Role.VIEWER)


def _view(context: IdentityContext, membership: Membership) -> ProjectView:
    return ProjectView(
        project_id=membership.project_id,
        name=membership.name,
        role=membership.role,
        retention_days=membership.retention_days,
        retention_days_max=lower(context.policy.retention_days, membership.retention_days_max) or context.policy.retention_days,
        second_factor_required=membership.second_factor_required,
        masking=membership.masking,
    )


async def lock_project(connection: Executor, project_id: str) -> LockedProject:
    """Lock a project inside a transaction, before a change of it or of its members and keys.

    Raises:
        NotFoundError: The project was deleted.
    """
    project = await projects.lock(connection, project_id)
    if project is None or project.deleted_at is not None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    return project


async def require_room_for_project(connection: Executor, user_id: str) -> None:
    """Lock an account, and check that it may join another project.

    Raises:
        ConflictError: The account is a member of ``PROJECTS_MAX`` projects.
    """
    await users.lock(connection, user_id)
    if await projects.count_of_user(connection, user_id) >= PROJECTS_MAX:
        raise ConflictError(f"An account has at most {PROJECTS_MAX} projects. Leave or delete one first.", code="too_many_projects")


@get("/api/projects", operation_class=PagedOperation)
async def list_projects(request: Request[Any, Any, Any]) -> ProjectList:
    """List the caller's projects (``limit``, ``cursor``)."""
    context = context_of(request)
    page = page_of(request, UUID_PATTERN)
    found = await projects.of_user(context.pool, principal_of(request).user_id, after=page.after, limit=page.limit + 1)
    return ProjectList(
        [_view(context, item) for item in found[: page.limit]], cursor_after([item.project_id for item in found], page.limit)
    )


@post("/api/projects", operation_class=with_json_body(ProjectBody))
async def create_project(request: Request[Any, Any, Any]) -> ProjectView:
    """Create a project; the caller becomes its owner."""
    context = context_of(request)
    body = await read_json(request, _project, bytes_max=BODY_BYTES_MAX)
    name = check_name(body.name, "project")
    user = await user_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        await require_room_for_project(connection, user.user_id)
        project_id = await add_project(connection, request, user.user_id, name, context.now())
    context.outbox.wake()
    return ProjectView(
        project_id=project_id,
        name=name,
        role=Role.OWNER,
        retention_days=None,
        retention_days_max=context.policy.retention_days,
        masking=True,
    )


@get("/api/projects/{project:str}")
async def get_project(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ProjectView:
    """Read one project."""
    context = context_of(request)
    membership = await projects.of_user_by_id(context.pool, access.user_id, access.project_id)
    if membership is None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    return _view(context, membership)


@patch("/api/projects/{project:str}", operation_class=with_json_body(ProjectChanges))
async def change_project(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ProjectView:
    """Rename a project, lower its retention and its quota, or set whether secrets are masked at intake. Requires the role owner."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _changes, bytes_max=BODY_BYTES_MAX)
    if body.second_factor_required is not UNSET:
        await require_proof(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        project = await lock_project(connection, access.project_id)
        found = await quotas.of_project(connection, access.project_id)
        days_max = lower(context.policy.retention_days, found.retention_days_max) or context.policy.retention_days
        _refuse_more(body, quota_max(context.policy.quota, found), days_max)
        await _change_quota(connection, request, access, found, body)
        name = project.name if body.name is UNSET else check_name(body.name, "project")
        days = project.retention_days if body.retention_days is UNSET else body.retention_days
        required = project.second_factor_required if body.second_factor_required is UNSET else body.second_factor_required
        if required and not project.second_factor_required and not await has_factor(context, connection, access.user_id):
            raise ConflictError("Add a second factor to your own account first, or you would lose access.", code="no_factor")
        masking = project.masking if body.masking is UNSET else body.masking
        settings = (name, days, required, masking)
        if settings != (project.name, project.retention_days, project.second_factor_required, project.masking):
            await projects.update(connection, access.project_id, name, days, second_factor_required=required, masking=masking)
            event = ProjectUpdated(
                event_id=new_event_id(),
                at_us=microseconds(at),
                project_id=access.project_id,
                name=name,
                retention_days=lower(days, found.retention_days_max),
                masking=masking,
                user_id=access.user_id,
            )
            await put(connection, access.project_id, event, at)
            await record(connection, request, Action.PROJECT_UPDATED, at, user_id=access.user_id, project_id=access.project_id)
        if required != project.second_factor_required:
            action = Action.FACTOR_REQUIRED if required else Action.FACTOR_NOT_REQUIRED
            await record(connection, request, action, at, user_id=access.user_id, project_id=access.project_id)
    context.outbox.wake()
    if required != project.second_factor_required:
        await context.revoker.announce(IdentityChanged(kind="access.changed", project_id=access.project_id))
    return ProjectView(
        project_id=access.project_id,
        name=name,
        role=access.role,
        retention_days=days,
        retention_days_max=days_max,
        second_factor_required=required,
        masking=masking,
    )


async def _change_quota(
    connection: Executor, request: Request[Any, Any, Any], access: Access, found: ProjectQuotas, body: ProjectChanges
) -> None:
    """Set the quota that owners give their project, inside a transaction."""
    quota = Quota(
        events_per_minute=found.events_per_minute if body.events_per_minute is UNSET else body.events_per_minute,
        bytes_per_day=found.bytes_per_day if body.bytes_per_day is UNSET else body.bytes_per_day,
    )
    if quota != Quota(events_per_minute=found.events_per_minute, bytes_per_day=found.bytes_per_day):
        await quotas.set_by_owner(connection, access.project_id, quota)
        at = context_of(request).now()
        await record(connection, request, Action.QUOTA_CHANGED, at, user_id=access.user_id, project_id=access.project_id)


def _refuse_more(body: ProjectChanges, highest: Quota, days_max: int) -> None:
    """Refuse limits above those of the platform and the administrator.

    Raises:
        InvalidError: retention_too_long | quota_too_high.
    """
    if body.retention_days is not UNSET and body.retention_days is not None and body.retention_days > days_max:
        raise InvalidError(
            f"The platform keeps tasks for {days_max} days, so a project cannot keep them longer. Choose 1 to {days_max} days.",
            code="retention_too_long",
        )
    for given, limit, what in (
        (body.events_per_minute, highest.events_per_minute, "events a minute"),
        (body.bytes_per_day, highest.bytes_per_day, "bytes a day"),
    ):
        if given is not UNSET and given is not None and limit is not None and given > limit:
            raise InvalidError(f"The administrator allows {limit:,} {what}. Choose at most that many.", code="quota_too_high")


@delete("/api/projects/{project:str}")
async def delete_project(request: Request[Any, Any, Any], project: FromPath[str]) -> None:
    """Delete a project with everything in it. Requires the role owner and a recent proof; the owner who deleted it may repeat the request.

    Its keys and the access of its members end at once. The other services then delete its records from the log and its rows.
    """
    context = context_of(request)
    user_id = principal_of(request).user_id
    if not is_uuid(project) or await projects.deleted_by(context.pool, project) != user_id:
        access = await provide_access(request, project)
        require_role(access, Role.OWNER)
        await require_proof(request)
        await _delete(context, request, access)
    context.outbox.wake()
    if not await context.revoker.announce(IdentityChanged(kind="project.deleted", project_id=project)):
        raise UnavailableError("The project is deleted, but not every service has been notified. Try again.", code="deletion_pending")


async def delete_project_of(context: IdentityContext, request: Request[Any, Any, Any], access: Access) -> None:
    """Delete a project, and notify the other services. They also learn it from the log."""
    await _delete(context, request, access)
    context.outbox.wake()
    await context.revoker.announce(IdentityChanged(kind="project.deleted", project_id=access.project_id))


async def _delete(context: IdentityContext, request: Request[Any, Any, Any], access: Access) -> None:
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, access.project_id)
        await projects.delete(connection, access.project_id, access.user_id, at)
        await api_keys.revoke_all(connection, access.project_id, at)
        for account in await members.service_accounts(connection, access.project_id):
            await users.end_service(connection, account, at)
        await members.delete_all(connection, access.project_id)
        event = ProjectDeleted(event_id=new_event_id(), at_us=microseconds(at), project_id=access.project_id, user_id=access.user_id)
        await put(connection, access.project_id, event, at)
        await record(connection, request, Action.PROJECT_DELETED, at, user_id=access.user_id, project_id=access.project_id)


ROUTES = [list_projects, create_project, get_project, change_project, delete_project]
