"""Registration: who may make an account of a person, and what comes with it.

The administrator of the installation is the first person who registers or, with ``AMS_ADMIN_EMAIL``, the account with that address. Until that account
exists it may be registered in every mode, because nobody else could open the installation.
"""

from typing import Any

import msgspec
from litestar import Request, post
from msgspec import UNSET, Struct, UnsetType

from ams_identity import validation
from ams_identity.accounts import UserView, add_account, new_user, view_of
from ams_identity.addresses import address_bucket, client_address
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.email_links import announce_address
from ams_identity.faults import refuse_faults
from ams_identity.invitations import join, open_invitation
from ams_identity.members import announce_change
from ams_identity.password_login import require_password_login
from ams_identity.password_rules import password_faults
from ams_identity.registration_mode import Registration
from ams_identity.store import Executor, users
from ams_kit.errors import ConflictError, ForbiddenError
from ams_kit.http.json_body import read_json, with_json_body


class RegisterBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new account. ``invitation`` is the token of an invitation's link, which this registration accepts."""

    username: str
    email: str
    password: str
    invitation: str | UnsetType = UNSET


class Registered(Struct, frozen=True):
    """The response to a registration."""

    user: UserView


_register = msgspec.json.Decoder(RegisterBody)


@post(["/api/auth/register", "/api/register"], opt={"public": True}, security=[{}], operation_class=with_json_body(RegisterBody))
async def register(request: Request[Any, Any, Any]) -> Registered:
    """Register an account and create its first project. With an invitation, the account is a member of the inviting project, too."""
    context = context_of(request)
    require_password_login(context)
    body = await read_json(request, _register, bytes_max=BODY_BYTES_MAX)
    username, email = body.username, body.email
    await context.throttle.count([(f"register:{address_bucket(client_address(request))}", context.policy.registers_per_minute)])
    email_key = validation.email_key(email) or ""
    mode = context.policy.registration
    await require_open(context, context.pool, email_key, mode=mode, invited=body.invitation is not UNSET)
    invitation = None if body.invitation is UNSET else await open_invitation(request, body.invitation)
    faults = [*validation.username_faults(username), *validation.email_faults(email)]
    faults += await context.passwords.examine(
        lambda: password_faults(body.password, chars_min=context.policy.password_chars_min, username=username, email=email)
    )
    refuse_faults(faults)
    user = new_user(context, username, email, email_key)

    async def refuse_if_taken() -> None:
        _refuse_if_taken(await users.taken(context.pool, user.username_key, user.email_key))

    await refuse_if_taken()  # of fifty registrations of one name at once, only those before the first commit cost a hash
    password_hash = await context.passwords.hash(body.password, gate=refuse_if_taken)
    async with context.pool.acquire() as connection, connection.transaction():
        first = context.policy.admin_email_key is None and await is_first(connection)
        user = msgspec.structs.replace(user, password_hash=password_hash, administrator=first)
        if not first:
            await require_open(context, connection, email_key, mode=mode, invited=invitation is not None)
        if not await users.insert(connection, user):
            _refuse_if_taken(await users.taken(connection, user.username_key, user.email_key) or "username")
        await add_account(connection, request, user)
        if invitation is not None:
            await join(connection, request, invitation, user.user_id, context.now())
    context.outbox.wake()
    if invitation is not None:
        await announce_change(context, invitation.project_id, user.user_id)
    await announce_address(context, user)
    return Registered(await view_of(context, user))


async def is_first(connection: Executor) -> bool:
    """Whether no person has registered yet. Of registrations at the same time, the ones after the first see it."""
    if await users.any_person(connection):
        return False
    await users.lock_first(connection)
    return not await users.any_person(connection)


async def administrator_is_missing(context: IdentityContext, database: Executor) -> bool:
    """Whether the account of the administrator was not registered yet."""
    key = context.policy.admin_email_key
    if key is None:
        return not await users.any_person(database)
    return await users.by_email(database, key) is None


async def require_open(context: IdentityContext, database: Executor, email_key: str, *, mode: Registration, invited: bool) -> None:
    """Check that a mode of registration lets this person register.

    Raises:
        ForbiddenError: registration_closed | invitation_required.
    """
    admin_key = context.policy.admin_email_key
    if mode == "open" or (mode == "invite" and invited):
        return
    if admin_key in {None, email_key} and await administrator_is_missing(context, database):
        return
    if mode == "closed":
        raise ForbiddenError("Registration is closed on this installation. Ask its administrator.", code="registration_closed")
    raise ForbiddenError(
        "An account on this installation requires an invitation. Ask an owner of a project for a link, open it, and register from there.",
        code="invitation_required",
    )


def _refuse_if_taken(what: str | None) -> None:
    if what is not None:
        raise ConflictError(f"An account with this {what} exists already. Sign in, or choose another {what}.", code=f"{what}_taken")


ROUTES = [register]
