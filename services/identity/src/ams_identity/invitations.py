"""Invitations: an owner creates a link, and the person who opens it while signed in becomes a member. A link works once and expires after seven days."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_identity.accounts import user_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.ids import uuid7
from ams_identity.link_secrets import hash_of, new_secret
from ams_identity.members import MEMBERS_MAX, announce_change, record_change
from ams_identity.projects import lock_project, require_room_for_project
from ams_identity.proof import require_proof
from ams_identity.sessions import NO_STORE, address_limit
from ams_identity.store import Executor, invitations, members
from ams_identity.store.invitations import Invitation
from ams_kit.auth import is_uuid, principal_of, require_role
from ams_kit.errors import ConflictError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body

INVITATION_LIFE = timedelta(days=7)
INVITATIONS_MAX = 100  # open ones of one project


class InvitationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The role that the invited person gets."""

    role: Role


class AcceptBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The token from an invitation's link."""

    token: str


class InvitationView(Struct, frozen=True, kw_only=True):
    """An invitation that can be accepted."""

    invitation_id: str
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime


class CreatedInvitation(InvitationView, frozen=True, kw_only=True):
    """A new invitation. Only this response contains ``link``; the token is in its fragment, which is not sent to any server."""

    link: str


class InvitationList(Struct, frozen=True):
    """The invitations of a project that can be accepted, newest first."""

    items: list[InvitationView]
    next_cursor: str | None = None


class InvitedProject(Struct, frozen=True, kw_only=True):
    """What an invitation is for."""

    project_id: str
    project_name: str
    role: Role
    invited_by: str


_invitation = msgspec.json.Decoder(InvitationBody)
_accept = msgspec.json.Decoder(AcceptBody)


def _view(item: Invitation) -> InvitationView:
    return InvitationView(
        invitation_id=item.invitation_id,
        role=item.role,
        invited_by=item.invited_by,
        created_at=item.created_at,
        expires_at=item.expires_at,
    )


def _invited(item: Invitation) -> InvitedProject:
    return InvitedProject(project_id=item.project_id, project_name=item.project_name, role=item.role, invited_by=item.invited_by)


@post("/api/projects/{project:str}/invitations", operation_class=with_json_body(InvitationBody))
async def invite(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[CreatedInvitation]:
    """Create an invitation link. Requires the role owner and, for a further owner, a recent proof."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    body = await read_json(request, _invitation, bytes_max=BODY_BYTES_MAX)
    if body.role is Role.OWNER:
        await require_proof(request)
    user = await user_of(request)
    at, token = context.now(), new_secret()
    async with context.pool.acquire() as connection, connection.transaction():
        project = await lock_project(connection, access.project_id)
        if len(await invitations.open_of_project(connection, access.project_id, at, INVITATIONS_MAX)) >= INVITATIONS_MAX:
            raise ConflictError(
                f"A project has at most {INVITATIONS_MAX} open invitations. Withdraw one first.", code="too_many_invitations"
            )
        item = Invitation(
            project_id=access.project_id,
            invitation_id=uuid7(context.now_s()),
            role=body.role,
            project_name=project.name,
            invited_by=user.username,
            created_at=at,
            expires_at=at + INVITATION_LIFE,
        )
        await invitations.insert(connection, item, hash_of(token), user.user_id)
        await record(
            connection, request, Action.INVITED, at, user_id=user.user_id, project_id=access.project_id, subject=item.invitation_id
        )
    link = f"{context.policy.issuer}/invitation#{token}"
    return Response(CreatedInvitation(**msgspec.structs.asdict(_view(item)), link=link), headers=NO_STORE)


@get("/api/projects/{project:str}/invitations")
async def list_invitations(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> InvitationList:
    """List the invitations that can be accepted. Requires the role owner."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    found = await invitations.open_of_project(context.pool, access.project_id, context.now(), INVITATIONS_MAX)
    return InvitationList([_view(item) for item in found])


@delete("/api/projects/{project:str}/invitations/{invitation:str}")
async def withdraw(request: Request[Any, Any, Any], invitation: FromPath[str], access: NamedDependency[Access]) -> None:
    """Withdraw an invitation. Requires the role owner."""
    require_role(access, Role.OWNER)
    context = context_of(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        if not is_uuid(invitation) or not await invitations.end(connection, access.project_id, invitation, at):
            raise NotFoundError("There is no such invitation.", code="invitation_not_found")
        await record(
            connection, request, Action.INVITATION_ENDED, at, user_id=access.user_id, project_id=access.project_id, subject=invitation
        )


async def open_invitation(request: Request[Any, Any, Any], token: str) -> Invitation:
    """The invitation of a link's token. Wrong tokens count as failures of the address.

    Raises:
        NotFoundError: It was accepted or withdrawn, has expired, or never existed.
    """
    context = context_of(request)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    item = await invitations.open_by_token(context.pool, hash_of(token), context.now())
    if item is None:
        raise NotFoundError("This invitation was accepted or withdrawn, or has expired. Ask for another one.", code="invitation_not_found")
    await context.failures.release(attempt)
    return item


@post("/api/users/me/invitations/preview", status_code=200, operation_class=with_json_body(AcceptBody))
async def preview(request: Request[Any, Any, Any]) -> InvitedProject:
    """What the invitation of a link is for."""
    principal_of(request)
    body = await read_json(request, _accept, bytes_max=BODY_BYTES_MAX)
    return _invited(await open_invitation(request, body.token))


@post("/api/users/me/invitations", status_code=200, operation_class=with_json_body(AcceptBody))
async def accept(request: Request[Any, Any, Any]) -> InvitedProject:
    """Accept an invitation: the caller becomes a member of its project. A member keeps the role."""
    context = context_of(request)
    user = await user_of(request)
    body = await read_json(request, _accept, bytes_max=BODY_BYTES_MAX)
    item = await open_invitation(request, body.token)
    async with context.pool.acquire() as connection, connection.transaction():
        await join(connection, request, item, user.user_id, context.now())
    await announce_change(context, item.project_id, user.user_id)
    return _invited(item)


async def join(connection: Executor, request: Request[Any, Any, Any], item: Invitation, user_id: str, at: datetime) -> None:
    """Make an account a member by an invitation, which ends. In a transaction; ``announce_change`` follows its commit.

    Raises:
        ConflictError: too_many_members | too_many_projects | already_member.
        NotFoundError: Someone else was faster.
    """
    await lock_project(connection, item.project_id)
    if await members.count(connection, item.project_id) >= MEMBERS_MAX:
        raise ConflictError(f"A project has at most {MEMBERS_MAX} members.", code="too_many_members")
    await require_room_for_project(connection, user_id)
    if not await members.insert(connection, item.project_id, user_id, item.role, at):
        raise ConflictError("You are already a member of this project.", code="already_member")
    if not await invitations.end(connection, item.project_id, item.invitation_id, at, accepted_by=user_id):
        raise NotFoundError("This invitation was accepted by someone else.", code="invitation_not_found")
    access = Access(user_id=user_id, project_id=item.project_id, role=item.role)
    await record_change(connection, request, access, user_id=user_id, role=item.role, action=Action.MEMBER_ADDED)


ROUTES = [invite, list_invitations, withdraw, preview, accept]
