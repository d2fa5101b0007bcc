"""Projects and who is in them."""

from typing import Any

import asyncpg
import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from ams_contracts.claims import Access, IdentityChanged, Role
from ams_contracts.identity_events import AccessChanged
from ams_identity import validation
from ams_identity.accounts import add_project, user_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.store import Executor, members, projects, users
from ams_identity.store.members import Member
from ams_identity.store.projects import Membership
from ams_kit.auth import is_uuid, principal_of, require_role
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import documented, read_json

UUID_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class ProjectBody(Struct, frozen=True):
    """A new project."""

    name: str


class MemberBody(Struct, frozen=True):
    """Somebody who has an account, and what they shall be."""

    username: str
    role: Role


class RoleBody(Struct, frozen=True):
    """What a member shall be."""

    role: Role


class ProjectView(Struct, frozen=True, kw_only=True):
    """A project, and what the person who asks is in it."""

    project_id: str
    name: str
    role: Role


class ProjectList(Struct, frozen=True):
    """Oldest first."""

    items: list[ProjectView]
    next_cursor: str | None


class MemberList(Struct, frozen=True):
    """In the order of joining the platform."""

    items: list[Member]
    next_cursor: str | None


_project = msgspec.json.Decoder(ProjectBody)
_member = msgspec.json.Decoder(MemberBody)
_role = msgspec.json.Decoder(RoleBody)


class ProjectAccess:
    """Who may, from identity's own tables (``ams_kit.auth.AccessSource``): never cached, so it is always true."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def access(self, user_id: str, project_id: str) -> Access | None:
        if not is_uuid(user_id) or not is_uuid(project_id):
            return None
        role = await members.role_of(self._pool, project_id, user_id)
        return None if role is None else Access(user_id=user_id, project_id=project_id, role=role)


def _view(membership: Membership) -> ProjectView:
    return ProjectView(project_id=membership.project_id, name=membership.name, role=membership.role)


@get("/api/projects", operation_class=PagedOperation)
async def list_projects(request: Request[Any, Any, Any]) -> ProjectList:
    """The projects of the person who asks (``limit``, ``cursor``)."""
    page = page_of(request, UUID_PATTERN)
    found = await projects.of_user(context_of(request).pool, principal_of(request).user_id, after=page.after, limit=page.limit + 1)
    return ProjectList([_view(item) for item in found[: page.limit]], cursor_after([item.project_id for item in found], page.limit))


@post("/api/projects", operation_class=documented(ProjectBody))
async def create_project(request: Request[Any, Any, Any]) -> ProjectView:
    """A new project; who makes it owns it."""
    context = context_of(request)
    body = await read_json(request, _project, bytes_max=BODY_BYTES_MAX)
    name = validation.check_name(body.name, "project")
    user = await user_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        project_id = await add_project(connection, request, user.user_id, name, context.now())
    context.outbox.wake()
    return ProjectView(project_id=project_id, name=name, role=Role.OWNER)


@get("/api/projects/{project:str}")
async def get_project(request: Request[Any, Any, Any], project: FromPath[str], access: NamedDependency[Access]) -> ProjectView:
    """One project."""
    membership = await projects.of_user_by_id(context_of(request).pool, access.user_id, project)
    if membership is None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    return _view(membership)


@get("/api/projects/{project:str}/members", operation_class=PagedOperation)
async def list_members(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> MemberList:
    """Who is in a project (``limit``, ``cursor``)."""
    page = page_of(request, UUID_PATTERN)
    found = await members.of_project(context_of(request).pool, access.project_id, after=page.after, limit=page.limit + 1)
    return MemberList(found[: page.limit], cursor_after([item.user_id for item in found], page.limit))


@post("/api/projects/{project:str}/members", operation_class=documented(MemberBody))
async def add_member(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Member:
    """Take somebody who has an account into a project. Owners only."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _member, bytes_max=BODY_BYTES_MAX)
    user = await users.by_username(context.pool, body.username.lower()) if body.username.isascii() and "\0" not in body.username else None
    if user is None or user.disabled_at is not None:
        raise InvalidError("Nobody has that username.", code="unknown_user")
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        if not await members.insert(connection, access.project_id, user.user_id, body.role, at):
            raise ConflictError("They are a member already.", code="already_member")
        await _record_access_change(connection, request, access, user_id=user.user_id, role=body.role, action=Action.MEMBER_ADDED)
    await _announce_access_change(context, access.project_id, user.user_id)
    return Member(user_id=user.user_id, username=user.username, role=body.role, created_at=at)


@patch("/api/projects/{project:str}/members/{user:str}", status_code=204, operation_class=documented(RoleBody))
async def change_member(request: Request[Any, Any, Any], user: FromPath[str], access: NamedDependency[Access]) -> None:
    """Make a member something else. Owners only; one owner remains."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _role, bytes_max=BODY_BYTES_MAX)
    async with context.pool.acquire() as connection, connection.transaction():
        await _require_remaining_owner(connection, access.project_id, user, body.role)
        await members.set_role(connection, access.project_id, user, body.role)
        await _record_access_change(connection, request, access, user_id=user, role=body.role, action=Action.MEMBER_CHANGED)
    await _announce_access_change(context, access.project_id, user)


@delete("/api/projects/{project:str}/members/{user:str}")
async def remove_member(request: Request[Any, Any, Any], user: FromPath[str], access: NamedDependency[Access]) -> None:
    """Take a member out of a project. Owners only, or a member themselves; one owner remains."""
    if user != access.user_id:
        require_role(access, Role.OWNER)
    context = context_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        await _require_remaining_owner(connection, access.project_id, user, None)
        await members.delete(connection, access.project_id, user)
        await _record_access_change(connection, request, access, user_id=user, role=None, action=Action.MEMBER_REMOVED)
    await _announce_access_change(context, access.project_id, user)


async def _require_remaining_owner(connection: Executor, project_id: str, user_id: str, role: Role | None) -> None:
    """Let a change pass after which the project still has an owner. Changes of one project wait for each other here."""
    if not is_uuid(user_id):
        raise NotFoundError("There is no such member.", code="member_not_found")
    await projects.lock(connection, project_id)
    current_role = await members.role_of(connection, project_id, user_id)
    if current_role is None:
        raise NotFoundError("There is no such member.", code="member_not_found")
    if current_role is Role.OWNER and role is not Role.OWNER and await members.owners(connection, project_id) == 1:
        raise ConflictError("A project keeps one owner. Make somebody else an owner first.", code="last_owner")


async def _record_access_change(
    connection: Executor, request: Request[Any, Any, Any], access: Access, *, user_id: str, role: Role | None, action: Action
) -> None:
    at = context_of(request).now()
    event = AccessChanged(event_id=new_event_id(), at_us=microseconds(at), project_id=access.project_id, user_id=user_id, role=role)
    await put(connection, access.project_id, event, at)
    await record(connection, request, action, at, user_id=access.user_id, project_id=access.project_id, subject=user_id)


async def _announce_access_change(context: IdentityContext, project_id: str, user_id: str) -> None:
    context.outbox.wake()
    await context.revoker.announce(IdentityChanged(kind="access.changed", project_id=project_id, user_id=user_id))


ROUTES = [list_projects, create_project, get_project, list_members, add_member, change_member, remove_member]
