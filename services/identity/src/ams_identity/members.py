"""Members of a project: list, add, change their role, remove."""

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from ams_contracts.claims import Access, IdentityChanged, Role
from ams_contracts.identity_events import AccessChanged
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.ended_keys import announce_ended_keys, record_ended_keys
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.projects import UUID_PATTERN, lock_project, require_room_for_project
from ams_identity.proof import require_proof
from ams_identity.store import Executor, api_keys, members, users
from ams_identity.store.members import Member
from ams_identity.validation import login_key
from ams_kit.auth import is_uuid, require_role
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body

MEMBERS_MAX = 1_000  # of one project


class MemberBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The account to add, and its role."""

    username: str
    role: Role


class RoleBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The new role of a member."""

    role: Role


class MemberList(Struct, frozen=True):
    """Members, in the order in which their accounts were created."""

    items: list[Member]
    next_cursor: str | None


_member = msgspec.json.Decoder(MemberBody)
_role = msgspec.json.Decoder(RoleBody)


@get("/api/projects/{project:str}/members", operation_class=PagedOperation)
async def list_members(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> MemberList:
    """List the members of a project (``limit``, ``cursor``)."""
    page = page_of(request, UUID_PATTERN)
    found = await members.of_project(context_of(request).pool, access.project_id, after=page.after, limit=page.limit + 1)
    return MemberList(found[: page.limit], cursor_after([item.user_id for item in found], page.limit))


@post("/api/projects/{project:str}/members", operation_class=with_json_body(MemberBody))
async def add_member(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Member:
    """Add an account to a project. Requires the role owner and, for a further owner, a recent proof."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _member, bytes_max=BODY_BYTES_MAX)
    await _require_proof_for(request, body.role)
    key = login_key(body.username)
    user = await users.by_username(context.pool, key) if key is not None else None
    if user is None or user.disabled_at is not None or user.kind == "service":  # a service account belongs to one project
        raise InvalidError("No account has this username. Ask the person to register first.", code="unknown_user")
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await lock_project(connection, access.project_id)
        if await members.count(connection, access.project_id) >= MEMBERS_MAX:
            raise ConflictError(f"A project has at most {MEMBERS_MAX} members. Remove one first.", code="too_many_members")
        await require_room_for_project(connection, user.user_id)
        if not await members.insert(connection, access.project_id, user.user_id, body.role, at):
            raise ConflictError("This account is already a member of the project.", code="already_member")
        await record_change(connection, request, access, user_id=user.user_id, role=body.role, action=Action.MEMBER_ADDED)
    await announce_change(context, access.project_id, user.user_id)
    return Member(user_id=user.user_id, username=user.username, role=body.role, created_at=at)


@patch("/api/projects/{project:str}/members/{user:str}", status_code=204, operation_class=with_json_body(RoleBody))
async def change_member(request: Request[Any, Any, Any], user: FromPath[str], access: NamedDependency[Access]) -> None:
    """Change the role of a member. Requires the role owner and, for a further owner, a recent proof. A project keeps at least one owner."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _role, bytes_max=BODY_BYTES_MAX)
    await _require_proof_for(request, body.role)
    async with context.pool.acquire() as connection, connection.transaction():
        await _require_remaining_owner(connection, access.project_id, user, body.role)
        if body.role is Role.OWNER and await users.is_service(connection, user):
            raise ConflictError("A service account cannot own a project. Choose member or viewer.", code="service_account")
        await members.set_role(connection, access.project_id, user, body.role)
        await record_change(connection, request, access, user_id=user, role=body.role, action=Action.MEMBER_CHANGED)
    await announce_change(context, access.project_id, user)


@delete("/api/projects/{project:str}/members/{user:str}")
async def remove_member(request: Request[Any, Any, Any], user: FromPath[str], access: NamedDependency[Access]) -> None:
    """Remove a member from a project, with the API keys that the member created in it.

    Requires the role owner; members may remove themselves. A project keeps at least one owner.
    """
    if user != access.user_id:
        require_role(access, Role.OWNER)
    context = context_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        await _require_remaining_owner(connection, access.project_id, user, None)
        await members.delete(connection, access.project_id, user)
        await record_change(connection, request, access, user_id=user, role=None, action=Action.MEMBER_REMOVED)
        at = context.now()
        ended = await api_keys.revoke_of_member(connection, access.project_id, user, at)
        await record_ended_keys(connection, request, ended, at, user_id=access.user_id)
        if await users.is_service(connection, user):
            await users.end_service(connection, user, at)
    await announce_change(context, access.project_id, user)
    await announce_ended_keys(context, ended)


async def _require_proof_for(request: Request[Any, Any, Any], role: Role) -> None:
    """An owner can take a project over, so adding one requires a recent proof."""
    if role is Role.OWNER:
        await require_proof(request)


async def _require_remaining_owner(connection: Executor, project_id: str, user_id: str, role: Role | None) -> None:
    """Reject a change that would leave the project without an owner. The lock serializes the changes of one project."""
    if not is_uuid(user_id):
        raise NotFoundError("There is no such member.", code="member_not_found")
    await lock_project(connection, project_id)
    current_role = await members.role_of(connection, project_id, user_id)
    if current_role is None:
        raise NotFoundError("There is no such member.", code="member_not_found")
    if current_role is Role.OWNER and role is not Role.OWNER and await members.owners(connection, project_id) == 1:
        raise ConflictError("A project needs an owner. Make another member an owner first.", code="last_owner")


async def record_change(
    connection: Executor, request: Request[Any, Any, Any], access: Access, *, user_id: str, role: Role | None, action: Action
) -> None:
    """Write the event and the audit entry of a changed membership, inside its transaction. ``role``: ``None`` for one that ended."""
    at = context_of(request).now()
    event = AccessChanged(event_id=new_event_id(), at_us=microseconds(at), project_id=access.project_id, user_id=user_id, role=role)
    await put(connection, access.project_id, event, at)
    await record(connection, request, action, at, user_id=access.user_id, project_id=access.project_id, subject=user_id)


async def announce_change(context: IdentityContext, project_id: str, user_id: str) -> None:
    """Notify the services of a changed membership, after the commit."""
    context.outbox.wake()
    await context.revoker.announce(IdentityChanged(kind="access.changed", project_id=project_id, user_id=user_id))


ROUTES = [list_members, add_member, change_member, remove_member]
