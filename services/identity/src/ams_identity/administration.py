"""What the administrator of the installation may do: list accounts, disable and enable them, make links that reset a password, and remove lost second factors."""

from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath
from msgspec import Struct

from ams_identity.accounts import disable, is_administrator, require_administration, user_of
from ams_identity.audit import Action, record
from ams_identity.context import context_of
from ams_identity.link_secrets import hash_of, new_secret
from ams_identity.own_factors import after_removing, announce_factors
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.password_login import require_password_login
from ams_identity.projects import UUID_PATTERN
from ams_identity.proof import require_proof
from ams_identity.sessions import NO_STORE
from ams_identity.store import factors, password_resets, users
from ams_identity.store.users import Kind, User
from ams_kit.auth import is_uuid
from ams_kit.errors import ConflictError, NotFoundError

RESET_LIFE = timedelta(hours=24)


class Account(Struct, frozen=True, kw_only=True):
    """An account, as an administrator sees it. ``disabled_at``: ``None`` while it is active."""

    user_id: str
    username: str
    email: str
    kind: Kind
    administrator: bool
    created_at: datetime
    disabled_at: datetime | None


class AccountList(Struct, frozen=True):
    """Accounts that were not deleted, oldest first."""

    items: list[Account]
    next_cursor: str | None


class ResetLink(Struct, frozen=True, kw_only=True):
    """A link that replaces a password once. Only this response contains it; its token is in the fragment, which is not sent to any server."""

    link: str
    expires_at: datetime


async def require_administrator(request: Request[Any, Any, Any]) -> User:
    """The caller, who administers the installation.

    Raises:
        ForbiddenError: not_administrator.
    """
    user = await user_of(request)
    require_administration(context_of(request), user)
    return user


async def account_of(request: Request[Any, Any, Any], user_id: str) -> User:
    """An account that was not deleted.

    Raises:
        NotFoundError: user_not_found.
    """
    found = await users.by_id(context_of(request).pool, user_id) if is_uuid(user_id) else None
    if found is None or found.deleted_at is not None:
        raise NotFoundError("There is no such account.", code="user_not_found")
    return found


@get("/api/users", operation_class=PagedOperation)
async def list_accounts(request: Request[Any, Any, Any]) -> Response[AccountList]:
    """List the accounts of the installation (``limit``, ``cursor``). Requires its administrator."""
    await require_administrator(request)
    context = context_of(request)
    page = page_of(request, UUID_PATTERN)
    found = await users.page(context.pool, after=page.after, limit=page.limit + 1)
    items = [
        Account(
            user_id=user.user_id,
            username=user.shown_name,
            email=user.email,
            kind=user.kind,
            administrator=is_administrator(context, user),
            created_at=user.created_at,
            disabled_at=user.disabled_at,
        )
        for user in found[: page.limit]
    ]
    return Response(AccountList(items, cursor_after([user.user_id for user in found], page.limit)), headers=NO_STORE)


@post("/api/users/{user:str}/disable", status_code=204)
async def disable_account(request: Request[Any, Any, Any], user: FromPath[str]) -> None:
    """Disable an account: its sessions, tokens and API keys end. Idempotent. Requires the administrator of the installation."""
    administrator = await require_administrator(request)
    account = await account_of(request, user)
    if account.user_id == administrator.user_id:
        raise ConflictError("You cannot disable your own account.", code="own_account")
    await disable(context_of(request), request, account.user_id, by=administrator.user_id)


@post("/api/users/{user:str}/enable", status_code=204)
async def enable_account(request: Request[Any, Any, Any], user: FromPath[str]) -> None:
    """Enable a disabled account. It signs in again; keys that ended stay revoked. Idempotent. Requires the administrator of the installation."""
    administrator = await require_administrator(request)
    account = await account_of(request, user)
    context = context_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        if await users.enable(connection, account.user_id):
            await record(connection, request, Action.ENABLED, context.now(), user_id=administrator.user_id, subject=account.user_id)


@post("/api/users/{user:str}/password-reset")
async def create_reset(request: Request[Any, Any, Any], user: FromPath[str]) -> Response[ResetLink]:
    """Make a link with which a person chooses a new password. It replaces an earlier one. Requires the administrator of the installation and a recent proof."""
    administrator = await require_administrator(request)
    require_password_login(context_of(request))
    account = await account_of(request, user)
    if account.kind != "person":
        raise ConflictError("This is the account of a program, which has no password.", code="machine_account")
    if account.disabled_at is not None:
        raise ConflictError("The account is disabled. Enable it first.", code="account_disabled")
    await require_proof(request)
    context = context_of(request)
    at, token = context.now(), new_secret()
    expires_at = at + RESET_LIFE
    async with context.pool.acquire() as connection, connection.transaction():
        await password_resets.put(
            connection, user_id=account.user_id, token_hash=hash_of(token), created_by=administrator.user_id, at=at, expires_at=expires_at
        )
        await record(connection, request, Action.RESET_CREATED, at, user_id=administrator.user_id, subject=account.user_id)
    return Response(ResetLink(link=f"{context.policy.issuer}/reset#{token}", expires_at=expires_at), headers=NO_STORE)


@delete("/api/users/{user:str}/factors")
async def remove_factors(request: Request[Any, Any, Any], user: FromPath[str]) -> None:
    """Remove every second factor of an account whose person lost all of them, with the recovery codes. Idempotent.

    Requires the administrator of the installation and a recent proof.
    """
    administrator = await require_administrator(request)
    account = await account_of(request, user)
    await require_proof(request)
    context = context_of(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, account.user_id)
        if await factors.delete_all(connection, account.user_id):
            await record(connection, request, Action.FACTORS_REMOVED, at, user_id=administrator.user_id, subject=account.user_id)
            await after_removing(connection, account.user_id, at)
    await announce_factors(context, account.user_id)


ROUTES = [list_accounts, disable_account, enable_account, create_reset, remove_factors]
