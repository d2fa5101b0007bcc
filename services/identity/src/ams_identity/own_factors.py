"""The second factors of the caller's account: an authenticator app, recovery codes, and what follows from the first and the last factor."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from msgspec import Struct

from ams_contracts.claims import IdentityChanged, Role
from ams_contracts.identity_events import AccessChanged
from ams_identity import recovery_codes, totp
from ams_identity.accounts import end_other_sessions, user_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.failures import FailureLimit
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.proof import require_proof
from ams_identity.second_factor import PASSKEYS_MAX
from ams_identity.sessions import NO_STORE
from ams_identity.store import Executor, factors, passkeys, projects, users
from ams_identity.store.passkeys import Passkey
from ams_identity.store.revocations import Revocation
from ams_identity.store.users import User
from ams_kit.auth import principal_of
from ams_kit.errors import ConflictError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.sealing import seal, unseal


class PasskeyView(Struct, frozen=True, kw_only=True):
    """A passkey of the caller. ``last_used_at``: ``None`` before its first use."""

    passkey_id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class FactorList(Struct, frozen=True, kw_only=True):
    """The second factors of the caller's account.

    Attributes:
        app_since: When an authenticator app was added; ``None`` without one.
        passkeys: Oldest first.
        recovery_codes_left: How many were not used yet.
        passkeys_possible: Whether the installation has an https address with a host name, or localhost.
    """

    app_since: datetime | None
    passkeys: list[PasskeyView]
    recovery_codes_left: int
    passkeys_possible: bool


class AppEnrolment(Struct, frozen=True, kw_only=True):
    """A new secret for an authenticator app. It is no factor until a code confirms it.

    Attributes:
        secret: Base 32, to type.
        address: ``otpauth://``, to open on a phone.
        picture: The QR code of the address: a text per row, ``1`` for a dark module.
    """

    secret: str
    address: str
    picture: list[str]


class ConfirmBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A code that the app shows."""

    code: str


class RecoveryCodes(Struct, frozen=True):
    """Recovery codes, each valid once. Only this response contains them; ``codes`` is empty when the account has a set already."""

    codes: list[str]


_confirm = msgspec.json.Decoder(ConfirmBody)


def view_of_passkey(item: Passkey) -> PasskeyView:
    """What the owner of a passkey reads of it."""
    return PasskeyView(passkey_id=item.passkey_id, name=item.name, created_at=item.created_at, last_used_at=item.last_used_at)


@get("/api/users/me/factors")
async def list_factors(request: Request[Any, Any, Any]) -> Response[FactorList]:
    """The second factors of the caller's account."""
    context, user_id = context_of(request), principal_of(request).user_id
    app = await factors.totp_of(context.pool, user_id)
    found = await passkeys.of_user(context.pool, user_id, PASSKEYS_MAX)
    answer = FactorList(
        app_since=None if app is None else app.confirmed_at,
        passkeys=[view_of_passkey(item) for item in found],
        recovery_codes_left=await factors.recovery_codes_left(context.pool, user_id),
        passkeys_possible=context.policy.relying_party is not None,
    )
    return Response(answer, headers=NO_STORE)


async def person_with_proof(request: Request[Any, Any, Any]) -> User:
    """The caller, who may change the factors of the account now.

    Raises:
        ConflictError: machine_account.
        ForbiddenError: proof_required.
    """
    user = await user_of(request)
    if user.kind == "machine":
        raise ConflictError(
            "This is a machine account. Its sign-in links come from an operator, so it has no second factor.", code="machine_account"
        )
    await require_proof(request)
    return user


@post("/api/users/me/factors/app", status_code=200)
async def begin_app(request: Request[Any, Any, Any]) -> Response[AppEnrolment]:
    """Begin to add an authenticator app. Requires a recent proof."""
    context, user = context_of(request), await person_with_proof(request)
    secret = totp.new_secret()
    sealed = seal(context.factor_key, secret.encode(), user.user_id)
    if not await factors.put_totp(context.pool, user.user_id, sealed, context.now()):
        raise ConflictError("The account has an authenticator app. Remove it before you add another one.", code="app_exists")
    address = totp.address_of(secret, account=user.username, host=context.policy.host)
    return Response(AppEnrolment(secret=secret, address=address, picture=totp.picture_of(address)), headers=NO_STORE)


@post("/api/users/me/factors/app/confirm", status_code=200, operation_class=with_json_body(ConfirmBody))
async def confirm_app(request: Request[Any, Any, Any]) -> Response[RecoveryCodes]:
    """Add the authenticator app, by a code that it shows. The first factor brings recovery codes and ends the other sessions of the account."""
    context, user = context_of(request), await person_with_proof(request)
    body = await read_json(request, _confirm, bytes_max=BODY_BYTES_MAX)
    app = await factors.totp_of(context.pool, user.user_id)
    if app is None or app.confirmed_at is not None:
        raise ConflictError("No authenticator app is being added. Begin again.", code="no_enrolment")
    attempt = await context.failures.reserve([FailureLimit(f"password:{user.user_id}")], context.now_s())
    secret = unseal(context.factor_key, app.sealed_secret, user.user_id).decode()
    step = totp.step_of(secret, "".join(body.code.split()), now_s=context.now_s(), after=0)
    if step is None:
        raise InvalidError(
            "The code is wrong. Check the clock of the phone, and enter the code that the app shows now.", code="invalid_second_factor"
        )
    await context.failures.release(attempt)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        codes, revoked = await before_adding(connection, request, user.user_id, at)
        if not await factors.confirm_totp(connection, user.user_id, app.sealed_secret, step, at):
            raise ConflictError("No authenticator app is being added. Begin again.", code="no_enrolment")
        await record(connection, request, Action.APP_ADDED, at, user_id=user.user_id)
    await after_adding(context, revoked)
    return Response(RecoveryCodes(codes), headers=NO_STORE)


async def before_adding(
    connection: Executor, request: Request[Any, Any, Any], user_id: str, at: datetime
) -> tuple[list[str], list[Revocation]]:
    """What the first factor brings, in the transaction that adds it, after ``users.lock``: recovery codes, and the end of the sessions that began without a factor.

    Returns:
        The codes, and the revocations for ``after_adding``; both empty when the account has a factor already.
    """
    if await factors.has_any(connection, user_id):
        return [], []
    codes = await _replace_codes(connection, user_id, at)
    return codes, await end_other_sessions(connection, user_id, at, keep=principal_of(request).session_id)


async def after_adding(context: IdentityContext, revoked: list[Revocation]) -> None:
    """Notify the services, after the commit."""
    context.outbox.wake()
    await context.revoker.push(revoked)


async def _replace_codes(connection: Executor, user_id: str, at: datetime) -> list[str]:
    codes = recovery_codes.new_codes()
    hashes = [hashed for code in codes if (hashed := recovery_codes.hash_of(user_id, code)) is not None]
    await factors.replace_recovery_codes(connection, user_id, hashes, at)
    return codes


@delete("/api/users/me/factors/app")
async def remove_app(request: Request[Any, Any, Any]) -> None:
    """Remove the authenticator app. Requires a recent proof."""
    context, user = context_of(request), await person_with_proof(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        if not await factors.delete_totp(connection, user.user_id):
            raise NotFoundError("The account has no authenticator app.", code="factor_not_found")
        await record(connection, request, Action.APP_REMOVED, at, user_id=user.user_id)
        await after_removing(connection, user.user_id, at)
    await announce_factors(context, user.user_id)


async def after_removing(connection: Executor, user_id: str, at: datetime) -> None:
    """What follows from the removal of the last factor, in its transaction: no recovery codes, and no access to projects that require a factor."""
    if await factors.has_any(connection, user_id):
        return
    await factors.replace_recovery_codes(connection, user_id, [], at)
    for project_id, role in await projects.requiring_factor(connection, user_id):
        event = AccessChanged(event_id=new_event_id(), at_us=microseconds(at), project_id=project_id, user_id=user_id, role=Role(role))
        await put(connection, project_id, event, at)


async def announce_factors(context: IdentityContext, user_id: str) -> None:
    """Notify the services of a removed factor, after the commit."""
    context.outbox.wake()
    await context.revoker.announce(IdentityChanged(kind="access.changed", user_id=user_id))


@post("/api/users/me/factors/recovery-codes", status_code=200)
async def new_recovery_codes(request: Request[Any, Any, Any]) -> Response[RecoveryCodes]:
    """Replace all recovery codes. Requires a recent proof, and a factor."""
    context, user = context_of(request), await person_with_proof(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        if not await factors.has_any(connection, user.user_id):
            raise ConflictError("Add an authenticator app or a passkey first.", code="no_factor")
        codes = await _replace_codes(connection, user.user_id, at)
        await record(connection, request, Action.RECOVERY_CODES_REPLACED, at, user_id=user.user_id)
    return Response(RecoveryCodes(codes), headers=NO_STORE)


ROUTES = [list_factors, begin_app, confirm_app, remove_app, new_recovery_codes]
