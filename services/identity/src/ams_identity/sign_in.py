"""Signing in: with a password, then the second factor of accounts that have one; or with a passkey, which is both."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from msgspec import UNSET, Struct, UnsetType

from ams_identity import challenges, second_factor
from ams_identity.addresses import address_bucket, client_address
from ams_identity.audit import Action, record
from ams_identity.challenges import NOBODY
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.devices import known_device
from ams_identity.failures import FailureLimit, name_of_unknown
from ams_identity.password_login import require_password_login
from ams_identity.second_factor import CHALLENGE_SECONDS, PASSKEY_BODY_BYTES_MAX, Method, PasskeyRequest
from ams_identity.sessions import NO_STORE, SignedIn, address_limit, start_session
from ams_identity.store import identities, users
from ams_identity.store.users import User
from ams_identity.validation import login_key
from ams_kit.auth import is_uuid
from ams_kit.errors import InvalidError, NotFoundError, TooManyError, UnauthenticatedError, UnavailableError
from ams_kit.http.json_body import read_json, with_json_body

ACCOUNT_ATTEMPTS_PER_MINUTE = 30  # successes and failures: a session lasts for weeks, so even a program needs few sign-ins
ADDRESS_ATTEMPTS_PER_MINUTE = 300  # many people of an office share one address


class LoginBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Credentials. ``login`` is a username or an email address; ``username`` and ``email`` are accepted instead of it."""

    password: str
    login: str | UnsetType = UNSET
    username: str | UnsetType = UNSET
    email: str | UnsetType = UNSET


class SecondFactorBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The second step: the token of the first, and either a code (of the app, or a recovery code) or the answer of a passkey."""

    token: str
    code: str | UnsetType = UNSET
    credential: dict[str, Any] | UnsetType = UNSET


class PasskeyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of a passkey, and the token of the request for it."""

    token: str
    credential: dict[str, Any]


class SecondFactorNeeded(Struct, frozen=True, kw_only=True):
    """The first step is done. Nothing of the account is usable before ``POST /api/auth/second-factor`` received the second.

    Attributes:
        second_factor_token: Sent back with the second step; valid once, for ``expires_in`` seconds.
        methods: How the account can prove its second factor.
        passkey: What a browser needs to ask for a passkey; ``None`` without one. Its token is ``second_factor_token``.
    """

    second_factor_token: str
    methods: list[Method]
    passkey: PasskeyRequest | None
    expires_in: int = CHALLENGE_SECONDS


_login = msgspec.json.Decoder(LoginBody)
_second_factor = msgspec.json.Decoder(SecondFactorBody)
_passkey = msgspec.json.Decoder(PasskeyBody)


@post(["/api/auth/login", "/api/login"], status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(LoginBody))
async def login(request: Request[Any, Any, Any]) -> Response[SignedIn | SecondFactorNeeded]:
    """Sign in with a password. An account with a second factor gets a token for the second step instead of a session."""
    context = context_of(request)
    require_password_login(context)
    body = await read_json(request, _login, bytes_max=BODY_BYTES_MAX)
    name = next((name for name in (body.login, body.username, body.email) if name is not UNSET), None)
    if name is None:
        raise InvalidError("The username is missing. Send a username or an email address as login.")
    name = name.strip()  # the keyboards of phones add a space after a completed word
    address = f"address:{address_bucket(client_address(request))}"
    await context.throttle.count([(f"signin:{address}", ADDRESS_ATTEMPTS_PER_MINUTE)])
    user = await find_user(context, name)
    account = f"user:{user.user_id}" if user is not None else name_of_unknown(login_key(name) or name)
    await context.throttle.count([(f"signin:{account}", ACCOUNT_ATTEMPTS_PER_MINUTE)])
    attempt = await context.failures.reserve(_failure_limits(context, request, user, account), context.now_s())
    try:
        password_matches = await context.passwords.matches(user.password_hash if user else None, body.password, clients=(account, address))
    except (TooManyError, UnavailableError):
        await context.failures.release(attempt)  # no password was verified
        raise
    if not password_matches or user is None or user.disabled_at is not None:
        await record(context.pool, request, Action.SIGN_IN_FAILED, context.now(), user_id=user.user_id if user else None, outcome="refused")
        raise UnauthenticatedError("The username or the password is wrong.", code="invalid_credentials")
    await context.failures.release(attempt)
    return await continue_sign_in(context, request, await _rehashed_if_outdated(context, user, body.password))


def _failure_limits(context: IdentityContext, request: Request[Any, Any, Any], user: User | None, account: str) -> list[FailureLimit]:
    """The limits of an attempt: of its address, and of the account or, on a device that has signed in to it, of the device."""
    device = known_device(request, user.user_id) if user is not None else None
    return [address_limit(context, request), FailureLimit(f"device:{device.device_id}" if device is not None else account)]


async def find_user(context: IdentityContext, name: str) -> User | None:
    """The account with a username or an email address, as typed."""
    key = login_key(name)
    if key is None:
        return None
    find = users.by_email if "@" in key else users.by_username
    return await find(context.pool, key)


async def _rehashed_if_outdated(context: IdentityContext, user: User, password: str) -> User:
    if user.password_hash is None:
        return user
    renewed = await context.passwords.renewed(user.password_hash, password)
    if renewed is None or not await users.set_password(context.pool, user.user_id, renewed, user.password_hash):
        return user
    return msgspec.structs.replace(user, password_hash=renewed)


async def continue_sign_in(context: IdentityContext, request: Request[Any, Any, Any], user: User) -> Response[Any]:
    """After the first factor: start a session (``SignedIn``) or, for an account with a second factor, ask for that (``SecondFactorNeeded``)."""
    methods = await second_factor.methods_of(context, user.user_id)
    if not methods:
        return await start_session(context, request, user)
    return (await ask_second_factor(context, user, methods))[0]


async def ask_second_factor(context: IdentityContext, user: User, methods: list[Method]) -> tuple[Response[SecondFactorNeeded], bytes]:
    """Ask for the second factor of an account. Returns the answer to the first step, and the digest of the challenge that the second completes."""
    token = second_factor.issue(context, "second-factor", user.user_id, _binding(user))
    passkey = await second_factor.passkey_request(context, token, user.user_id)
    needed = SecondFactorNeeded(second_factor_token=token, methods=methods, passkey=passkey)
    return Response(needed, headers=NO_STORE), challenges.digest_of(token)


def _binding(user: User) -> bytes:
    """A new password voids the first step of a sign-in with the old one."""
    return (user.password_hash or "").encode()


@post("/api/auth/second-factor", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(SecondFactorBody))
async def prove_second_factor(request: Request[Any, Any, Any]) -> Response[SignedIn]:
    """The second step of signing in. Failures count with those of the password."""
    context = context_of(request)
    body = await read_json(request, _second_factor, bytes_max=PASSKEY_BODY_BYTES_MAX)
    if (body.code is UNSET) == (body.credential is UNSET):
        raise InvalidError("Send either a code or the credential of a passkey.", code="one_proof")
    subject = challenges.subject_of(body.token)
    user = await users.by_id(context.pool, subject) if is_uuid(subject) else None
    challenge = second_factor.read(context, "second-factor", body.token, _binding(user)) if user is not None else None
    if user is None or user.disabled_at is not None or challenge is None:
        await context.failures.reserve([address_limit(context, request)], context.now_s())
        raise UnauthenticatedError("This sign-in took too long, or was completed already. Sign in again.", code="sign_in_expired")
    attempt = await context.failures.reserve(_failure_limits(context, request, user, f"user:{user.user_id}"), context.now_s())
    used = await _used_factor(context, user, body, challenge)
    if used is None:
        await record(
            context.pool, request, Action.SIGN_IN_FAILED, context.now(), user_id=user.user_id, subject="second_factor", outcome="refused"
        )
        raise UnauthenticatedError("The code is wrong or was used already. Enter the next one.", code="invalid_second_factor")
    await context.failures.release(attempt)
    if used == "recovery_code":
        await record(context.pool, request, Action.RECOVERY_CODE_USED, context.now(), user_id=user.user_id)
    identity = await identities.of_second_step(context.pool, user.user_id, challenge.digest)
    return await start_session(context, request, user, identity_id=None if identity is None else identity.identity_id)


async def _used_factor(context: IdentityContext, user: User, body: SecondFactorBody, challenge: challenges.Challenge) -> Method | None:
    if isinstance(body.credential, dict):
        return "passkey" if await second_factor.accept_passkey(context, challenge, body.credential, user.user_id) else None
    used = await second_factor.accept_code(context, user.user_id, body.code if isinstance(body.code, str) else "")
    return used if used is not None and await second_factor.spend(context, challenge) else None


@post("/api/auth/passkey/options", status_code=200, opt={"public": True}, security=[{}])
async def passkey_options(request: Request[Any, Any, Any]) -> Response[PasskeyRequest]:
    """Ask for a passkey of any account; the person chooses one, and types no name."""
    context = context_of(request)
    require_password_login(context)
    await context.throttle.count([(f"signin:address:{address_bucket(client_address(request))}", ADDRESS_ATTEMPTS_PER_MINUTE)])
    asked = await second_factor.passkey_request(context, second_factor.issue(context, "passkey-sign-in", NOBODY))
    if asked is None:
        raise NotFoundError(
            "Passkeys require an https address with a host name, or localhost. Sign in with a password.", code="no_passkeys"
        )
    return Response(asked, headers=NO_STORE)


@post("/api/auth/passkey", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(PasskeyBody))
async def sign_in_with_passkey(request: Request[Any, Any, Any]) -> Response[SignedIn]:
    """Sign in with a passkey. It verifies its user, so no second factor follows. Failures count for the address."""
    context = context_of(request)
    require_password_login(context)
    body = await read_json(request, _passkey, bytes_max=PASSKEY_BODY_BYTES_MAX)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    challenge = second_factor.read(context, "passkey-sign-in", body.token)
    passkey = None if challenge is None else await second_factor.accept_passkey(context, challenge, body.credential)
    user = None if passkey is None else await users.by_id(context.pool, passkey.user_id)
    if user is None or user.disabled_at is not None:
        subject = user.user_id if user is not None else None
        await record(context.pool, request, Action.SIGN_IN_FAILED, context.now(), user_id=subject, subject="passkey", outcome="refused")
        raise UnauthenticatedError(
            "This passkey is not known here, or took too long. Try again, or sign in another way.", code="invalid_passkey"
        )
    await context.failures.release(attempt)
    return await start_session(context, request, user)


ROUTES = [login, prove_second_factor, passkey_options, sign_in_with_passkey]
