"""Accounts: the current user, new accounts, and disabling an account."""

from datetime import datetime
from typing import Any

from litestar import Request, get
from msgspec import Struct

from ams_contracts.claims import Role
from ams_contracts.identity_events import AccessChanged, ProjectCreated, SessionRevoked, UserDisabled, UserRegistered
from ams_identity import revocation, validation
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext, context_of
from ams_identity.ended_keys import announce_ended_keys, record_ended_keys
from ams_identity.failures import FailureLimit
from ams_identity.ids import uuid7
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.store import Executor, api_keys, factors, identities, members, password_resets, projects, revocations, sessions, users
from ams_identity.store.revocations import Revocation
from ams_identity.store.users import MACHINE_PREFIX, Kind, User
from ams_kit.auth import principal_of
from ams_kit.errors import ConflictError, ForbiddenError, InvalidError, UnauthenticatedError


class UserView(Struct, frozen=True, kw_only=True):
    """The current user.

    Attributes:
        default_project_id: The oldest project that the user created and owns; the explorer opens it first.
        administrator: Whether the user administers the installation.
        second_factor: Whether the account has a second factor, its own or that of its providers.
        email_verified: Whether a link that was sent to the address was opened, or a provider verified it.
        has_password: Whether the account has a password; one of a program, or that a provider made, has none.
        kind: ``machine`` for an account that an operator's command made.
    """

    user_id: str
    username: str
    email: str
    created_at: datetime
    updated_at: datetime
    default_project_id: str | None
    administrator: bool
    second_factor: bool
    email_verified: bool
    has_password: bool
    kind: Kind


def is_administrator(context: IdentityContext, user: User) -> bool:
    """Whether a user administers the installation: the first person who registered or, with ``AMS_ADMIN_EMAIL``, the account with that address only.

    Where email is sent, or providers alone sign people in, the address counts once it is verified.
    """
    key = context.policy.admin_email_key
    if key is None:
        return user.administrator
    verifiable = context.mailer.enabled or not context.policy.password_login
    return user.email_key == key and (user.email_verified_at is not None or not verifiable)


def require_administration(context: IdentityContext, user: User | None) -> None:
    """Require that an active account administers the installation.

    Raises:
        ForbiddenError: not_administrator.
    """
    if user is None or user.disabled_at is not None or not is_administrator(context, user):
        raise ForbiddenError("Only the administrator of the installation may do this.", code="not_administrator")


async def lock_administrator(context: IdentityContext, connection: Executor, administrator_id: str, account_id: str) -> None:
    """Lock an administrator and the account that is about to lose access, and check the former again: of two who do this to each other one stays.

    Raises:
        ForbiddenError: not_administrator.
    """
    for user_id in sorted({administrator_id, account_id}):  # in one order: two transactions do not wait for each other
        await users.lock(connection, user_id)
    require_administration(context, await users.by_id(connection, administrator_id))


async def providers_prove_factor(context: IdentityContext, database: Executor, user_id: str) -> bool:
    """Whether every way into an account is a provider that proved a second factor at its last sign-in."""
    return await identities.prove_factor(database, user_id, password_login=context.policy.password_login)


async def has_factor(context: IdentityContext, database: Executor, user_id: str) -> bool:
    """Whether an account has a second factor: one of its own, or that of its providers."""
    return await factors.has_any(database, user_id) or await providers_prove_factor(context, database, user_id)


async def view_of(context: IdentityContext, user: User) -> UserView:
    """The fields of a user that the user may read."""
    return UserView(
        user_id=user.user_id,
        username=user.username,
        email=user.email,
        created_at=user.created_at,
        updated_at=user.updated_at,
        default_project_id=await projects.own_of_user(context.pool, user.user_id),
        administrator=is_administrator(context, user),
        second_factor=await has_factor(context, context.pool, user.user_id),
        email_verified=user.email_verified_at is not None,
        has_password=user.password_hash is not None,
        kind=user.kind,
    )


def new_user(context: IdentityContext, username: str, email: str, email_key: str, kind: Kind = "person") -> User:
    """A new account without a password."""
    at = context.now()
    return User(
        user_id=uuid7(at.timestamp()),
        username=username,
        username_key=validation.username_key(username),
        email=email,
        email_key=email_key,
        password_hash=None,
        created_at=at,
        updated_at=at,
        disabled_at=None,
        kind=kind,
    )


async def add_account(database: Executor, request: Request[Any, Any, Any], user: User) -> str:
    """Add what a new user needs beside the row: the first project, audit entries and events. Returns the project's id."""
    at = user.created_at
    event = UserRegistered(event_id=new_event_id(), at_us=microseconds(at), user_id=user.user_id, username=user.username)
    await put(database, user.user_id, event, at)
    await record(database, request, Action.REGISTERED, at, user_id=user.user_id)
    return await add_project(database, request, user.user_id, f"{user.username}'s project", at)


async def add_project(database: Executor, request: Request[Any, Any, Any], user_id: str, name: str, at: datetime) -> str:
    """Insert a new project and its first owner. Returns the project's id."""
    project_id = uuid7(at.timestamp())
    await projects.insert(database, project_id, name, user_id, at)
    await members.insert(database, project_id, user_id, Role.OWNER, at)
    created = ProjectCreated(event_id=new_event_id(), at_us=microseconds(at), project_id=project_id, name=name, user_id=user_id)
    await put(database, project_id, created, at)
    owner = AccessChanged(event_id=new_event_id(), at_us=microseconds(at), project_id=project_id, user_id=user_id, role=Role.OWNER)
    await put(database, project_id, owner, at)
    await record(database, request, Action.PROJECT_CREATED, at, user_id=user_id, project_id=project_id)
    return project_id


@get(["/api/users/me", "/api/me"])
async def me(request: Request[Any, Any, Any]) -> UserView:
    """The user that the access token belongs to."""
    return await view_of(context_of(request), await user_of(request))


async def user_of(request: Request[Any, Any, Any]) -> User:
    """The account of the caller.

    Raises:
        UnauthenticatedError: The account no longer exists.
    """
    user = await users.by_id(context_of(request).pool, principal_of(request).user_id)
    if user is None or user.disabled_at is not None:
        raise UnauthenticatedError("Sign in again.", code="session_ended")
    return user


async def end_other_sessions(connection: Executor, user_id: str, at: datetime, *, keep: str | None) -> list[Revocation]:
    """End the sessions of an account whose password was replaced, in that transaction.

    Args:
        connection: The connection of the transaction.
        user_id: The account.
        at: When the password was replaced.
        keep: The session that stays, if any.

    Returns:
        The revocations that the caller passes to ``Revoker.push`` after the commit.
    """
    revoked: list[Revocation] = []
    for session_id in await sessions.end_all(connection, user_id, at, "password", keep=keep):
        revoked.append(revocation.of_session(user_id, session_id, at))
        await revocations.insert(connection, revoked[-1])
        event = SessionRevoked(event_id=new_event_id(), at_us=microseconds(at), user_id=user_id, session_id=session_id, reason="password")
        await put(connection, user_id, event, at)
    return revoked


async def prove_password(context: IdentityContext, user: User, password: str) -> None:
    """Require the current password of a person who is signed in.

    Raises:
        TooManyError: Too many failures.
        InvalidError: wrong_password.
    """
    attempt = await context.failures.reserve([FailureLimit(f"password:{user.user_id}")], context.now_s())
    if not await context.passwords.matches(user.password_hash, password, clients=(user.user_id,)):
        raise InvalidError("The current password is wrong.", code="wrong_password")
    await context.failures.release(attempt)


async def disable(context: IdentityContext, request: Request[Any, Any, Any], user_id: str, *, by: str | None = None) -> bool:
    """Disable an account. Its tokens and API keys end at once, and so do all keys of projects without another active owner.

    Args:
        context: The dependencies.
        request: The request, whose address is recorded.
        user_id: The account.
        by: The account of the administrator who does it, or the account itself; ``None``: an operator.

    Returns:
        False when no such active account exists.

    Raises:
        ForbiddenError: not_administrator, when another request was faster to remove that role from ``by``.
    """
    at = context.now()
    revoked = revocation.of_user(user_id, at)
    async with context.pool.acquire() as connection, connection.transaction():
        if by is not None and by != user_id:
            await lock_administrator(context, connection, by, user_id)
        if not await users.disable(connection, user_id, at):
            return False
        await sessions.end_all(connection, user_id, at, "disabled")
        await revocations.insert(connection, revoked)
        await put(connection, user_id, UserDisabled(event_id=new_event_id(), at_us=microseconds(at), user_id=user_id), at)
        await record(connection, request, Action.DISABLED, at, user_id=by, subject=user_id)
        await password_resets.void(connection, user_id)
        ended = await api_keys.revoke_of_account(connection, user_id, at)
        await record_ended_keys(connection, request, ended, at, user_id=by)
    context.outbox.wake()
    await announce_ended_keys(context, ended)
    await context.revoker.push([revoked])
    return True


async def ensure_machine(context: IdentityContext, request: Request[Any, Any, Any], name: str) -> tuple[str, str]:
    """Find the machine account of a name and the project that it created, or create them.

    A person who registered the same name keeps it and gets no access to this account.

    Returns:
        The ids of the user and the project.
    """
    user = await _machine_user(context, request, name)
    own = await projects.own_of_user(context.pool, user.user_id)
    if own is not None:
        return user.user_id, own
    async with context.pool.acquire() as connection, connection.transaction():
        return user.user_id, await add_project(connection, request, user.user_id, f"{name}'s project", context.now())


async def _machine_user(context: IdentityContext, request: Request[Any, Any, Any], name: str) -> User:
    existing = await users.machine(context.pool, name.lower())
    if existing is not None:
        return existing
    for username in (name, MACHINE_PREFIX + name):
        email = f"{username.lower()}@{validation.RESERVED_EMAIL_DOMAIN}"
        user = new_user(context, username, email, email, "machine")
        async with context.pool.acquire() as connection, connection.transaction():
            if await users.insert(connection, user):
                await add_account(connection, request, user)
        context.outbox.wake()
        existing = await users.machine(context.pool, name.lower())
        if existing is not None:
            return existing
    raise ConflictError("The email address of this machine account is taken.", code="email_taken")


ROUTES = [me]
