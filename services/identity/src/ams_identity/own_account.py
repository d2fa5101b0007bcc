"""The caller's account: change the password or the email address, delete the account."""

from typing import Any

import msgspec
from litestar import Request, post
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_identity import validation
from ams_identity.accounts import UserView, disable, end_other_sessions, user_of, view_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.email_links import announce_address
from ams_identity.faults import Fault, refuse_faults
from ams_identity.members import announce_change, record_change
from ams_identity.password_login import require_password_login
from ams_identity.password_rules import normalized, password_faults
from ams_identity.projects import delete_project_of, lock_project
from ams_identity.proof import require_password_or_proof
from ams_identity.store import audit, factors, members, password_resets, projects, users
from ams_identity.store.users import User
from ams_kit.auth import principal_of
from ams_kit.errors import ConflictError
from ams_kit.http.json_body import read_json, with_json_body

PROJECTS_PAGE = 500  # more than an account may have


class PasswordBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A password change. ``password`` is the current password."""

    password: str
    new_password: str


class EmailBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new email address. ``password`` is the current password."""

    password: str
    email: str


class DeleteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The current password, as a confirmation."""

    password: str


_password = msgspec.json.Decoder(PasswordBody)
_email = msgspec.json.Decoder(EmailBody)
_delete = msgspec.json.Decoder(DeleteBody)


@post("/api/users/me/password", status_code=204, operation_class=with_json_body(PasswordBody))
async def change_password(request: Request[Any, Any, Any]) -> None:
    """Change the password. Every other session of the account ends."""
    context, principal = context_of(request), principal_of(request)
    require_password_login(context)
    body = await read_json(request, _password, bytes_max=BODY_BYTES_MAX)
    user = await user_of(request)
    if user.password_hash is None:
        raise ConflictError("This account has no password.", code="no_password")
    await _refuse_weak(context, user, body)
    await require_password_or_proof(request, user, body.password)
    password_hash = await context.passwords.hash(body.new_password)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        if not await users.set_password(connection, user.user_id, password_hash, user.password_hash):
            raise ConflictError(
                "The password was changed by another request at the same time. Sign in with the new one.", code="password_changed"
            )
        revoked = await end_other_sessions(connection, user.user_id, at, keep=principal.session_id)
        await password_resets.void(connection, user.user_id)
        await record(connection, request, Action.PASSWORD_CHANGED, at, user_id=user.user_id)
    context.outbox.wake()
    await context.revoker.push(revoked)


async def _refuse_weak(context: IdentityContext, user: User, body: PasswordBody) -> None:
    faults = await context.passwords.examine(
        lambda: password_faults(
            body.new_password, chars_min=context.policy.password_chars_min, username=user.username, email=user.email, field="new_password"
        )
    )
    if normalized(body.new_password) == normalized(body.password):
        faults.append(Fault("new_password", "same_password", "The new password is the current one. Choose another one."))
    refuse_faults(faults)


@post("/api/users/me/email", status_code=200, operation_class=with_json_body(EmailBody))
async def change_email(request: Request[Any, Any, Any]) -> UserView:
    """Change the email address of the caller's account. Requires the password. Where email is sent, the new address receives a link, and the old one a notice."""
    context = context_of(request)
    body = await read_json(request, _email, bytes_max=BODY_BYTES_MAX)
    user = await user_of(request)
    refuse_faults(validation.email_faults(body.email))
    await require_password_or_proof(request, user, body.password)
    key = validation.email_key(body.email) or ""
    becomes_administrator = key == context.policy.admin_email_key != user.email_key
    async with context.pool.acquire() as connection, connection.transaction():
        if becomes_administrator or not await users.set_email(connection, user.user_id, body.email, key):
            raise ConflictError("An account with this email exists already. Choose another email.", code="email_taken")
        await record(connection, request, Action.EMAIL_CHANGED, context.now(), user_id=user.user_id)
        await password_resets.void(connection, user.user_id)
    changed = await user_of(request)
    await announce_address(context, changed, previous=user)
    return await view_of(context, changed)


@post("/api/users/me/delete", status_code=204, operation_class=with_json_body(DeleteBody))
async def delete_account(request: Request[Any, Any, Any]) -> None:
    """Delete the caller's account. Requires the password.

    Projects without another member are deleted with it. A project with other members needs another owner first, and an installation another
    administrator. The username, the email address, the password and the addresses in the audit log are erased; the entries of the audit log keep the account's id.
    """
    context = context_of(request)
    body = await read_json(request, _delete, bytes_max=BODY_BYTES_MAX)
    user = await user_of(request)
    await require_password_or_proof(request, user, body.password)
    memberships = await projects.of_user(context.pool, user.user_id, after=None, limit=PROJECTS_PAGE)
    only_owner = [item for item in memberships if item.role is Role.OWNER and await members.owners(context.pool, item.project_id) == 1]
    for item in only_owner:
        if await members.people(context.pool, item.project_id) > 1:
            raise ConflictError(
                f"You are the only owner of {item.name}, which has other members. Make one of them an owner, or delete the project.",
                code="last_owner",
            )
    if context.policy.admin_email_key is None and user.administrator:  # an address that the setting names can register again
        async with context.pool.acquire() as connection, connection.transaction():
            if not await users.give_up_administration(connection, user.user_id):
                raise ConflictError(
                    "You are the only administrator of this installation. Make another person an administrator under Administration first.",
                    code="last_administrator",
                )
    for membership in memberships:
        access = Access(user_id=user.user_id, project_id=membership.project_id, role=membership.role)
        if membership in only_owner:
            await delete_project_of(context, request, access)
            continue
        async with context.pool.acquire() as connection, connection.transaction():
            await lock_project(connection, membership.project_id)
            await members.delete(connection, membership.project_id, user.user_id)
            await record_change(connection, request, access, user_id=user.user_id, role=None, action=Action.MEMBER_REMOVED)
        await announce_change(context, membership.project_id, user.user_id)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await record(connection, request, Action.DELETED, at, user_id=user.user_id)
        await users.erase(connection, user.user_id, at)
        await factors.delete_all(connection, user.user_id)
    await disable(context, request, user.user_id, by=user.user_id)
    await audit.erase_addresses(context.pool, user.user_id)  # last, because every change before records one


ROUTES = [change_password, change_email, delete_account]
