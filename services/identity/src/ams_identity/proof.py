"""Step-up: a dangerous action requires that the person proved within five minutes who they are, by signing in or by a proof of its own.

An account with a second factor proves that; another one proves its password. A machine account has neither, and its sign-in links are made by an operator: nothing is
asked of it.
"""

from datetime import timedelta
from typing import Any, Literal

import msgspec
from litestar import Request, Response, post
from msgspec import UNSET, Struct, UnsetType

from ams_identity import second_factor
from ams_identity.accounts import prove_password, user_of
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext, context_of
from ams_identity.failures import FailureLimit
from ams_identity.second_factor import PASSKEY_BODY_BYTES_MAX, PasskeyRequest
from ams_identity.sessions import NO_STORE
from ams_identity.store import factors, identities, sessions
from ams_identity.store.users import User
from ams_kit.auth import principal_of
from ams_kit.errors import ForbiddenError, InvalidError
from ams_kit.http.json_body import read_json, with_json_body

FRESH = timedelta(minutes=5)
ProofMethod = Literal["password", "totp", "recovery_code", "passkey", "provider"]


class ProofBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One proof: the password, a code (of the app, or a recovery code), or the answer of a passkey with the token of its request."""

    password: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    credential: dict[str, Any] | UnsetType = UNSET
    token: str | UnsetType = UNSET


class ProofOptions(Struct, frozen=True, kw_only=True):
    """How the caller can prove who they are.

    Attributes:
        methods: Empty for an account with neither a password nor a factor: signing in again is its proof. ``provider``: signing in at a linked provider.
        passkey: What a browser needs to ask for a passkey; ``None`` without one.
    """

    methods: list[ProofMethod]
    passkey: PasskeyRequest | None


_proof = msgspec.json.Decoder(ProofBody)


async def require_proof(request: Request[Any, Any, Any]) -> None:
    """Require that the caller proved within five minutes who they are.

    Raises:
        ForbiddenError: proof_required, with the field ``methods``.
    """
    context, principal = context_of(request), principal_of(request)
    user = await user_of(request)
    if user.kind == "machine":
        return
    proved_at = await sessions.proved_at(context.pool, principal.session_id)
    if proved_at is not None and context.now() - proved_at <= FRESH:
        return
    methods = await _methods_of(context, user)
    sentence = "This requires that you confirm who you are." if methods else "Sign in again, then repeat this within five minutes."
    raise ForbiddenError(sentence, code="proof_required", methods=methods)


async def require_password_or_proof(request: Request[Any, Any, Any], user: User, password: str) -> None:
    """Require the current password and, of an account with a second factor or where passwords do not count, a proof within five minutes.

    Raises:
        InvalidError: wrong_password.
        ForbiddenError: proof_required.
        TooManyError: Too many failures.
    """
    context = context_of(request)
    by_password = user.password_hash is not None and context.policy.password_login
    if not by_password or await factors.has_any(context.pool, user.user_id):
        await require_proof(request)
    if by_password:
        await prove_password(context, user, password)


async def _methods_of(context: IdentityContext, user: User) -> list[ProofMethod]:
    found: list[ProofMethod] = [*await second_factor.methods_of(context, user.user_id)]
    if not found and user.password_hash is not None and context.policy.password_login:
        found.append("password")
    if not found and await identities.of_user(context.pool, user.user_id):
        found.append("provider")
    return found


@post("/api/users/me/proof/options", status_code=200)
async def proof_options(request: Request[Any, Any, Any]) -> Response[ProofOptions]:
    """How the caller can confirm who they are."""
    context, principal = context_of(request), principal_of(request)
    user = await user_of(request)
    token = second_factor.issue(context, "passkey-proof", user.user_id, principal.session_id.encode())
    options = ProofOptions(
        methods=await _methods_of(context, user), passkey=await second_factor.passkey_request(context, token, user.user_id)
    )
    return Response(options, headers=NO_STORE)


@post("/api/users/me/proof", status_code=204, operation_class=with_json_body(ProofBody))
async def prove(request: Request[Any, Any, Any]) -> None:
    """Confirm who the caller is. Dangerous actions are possible in this session for the next five minutes."""
    context, principal = context_of(request), principal_of(request)
    body = await read_json(request, _proof, bytes_max=PASSKEY_BODY_BYTES_MAX)
    user = await user_of(request)
    if sum(value is not UNSET for value in (body.password, body.code, body.credential)) != 1:
        raise InvalidError("Send one of password, code, and credential with its token.", code="one_proof")
    if isinstance(body.password, str):
        if "password" not in await _methods_of(context, user):
            raise InvalidError("This account has a second factor. Confirm with that.", code="second_factor_required")
        await prove_password(context, user, body.password)
    else:
        await _prove_factor(context, request, user, body)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await sessions.set_proved(connection, principal.session_id, at)
        await record(connection, request, Action.PROVED, at, user_id=user.user_id, subject=principal.session_id)


async def _prove_factor(context: IdentityContext, request: Request[Any, Any, Any], user: User, body: ProofBody) -> None:
    attempt = await context.failures.reserve([FailureLimit(f"password:{user.user_id}")], context.now_s())
    if isinstance(body.credential, dict):
        session_id = principal_of(request).session_id.encode()
        challenge = second_factor.read(context, "passkey-proof", body.token if isinstance(body.token, str) else "", session_id)
        if challenge is None or await second_factor.accept_passkey(context, challenge, body.credential, user.user_id) is None:
            raise InvalidError("The passkey is not one of this account, or took too long. Try again.", code="invalid_passkey")
    else:
        used = await second_factor.accept_code(context, user.user_id, body.code if isinstance(body.code, str) else "")
        if used is None:
            raise InvalidError("The code is wrong or was used already. Enter the next one.", code="invalid_second_factor")
        if used == "recovery_code":
            await record(context.pool, request, Action.RECOVERY_CODE_USED, context.now(), user_id=user.user_id)
    await context.failures.release(attempt)


ROUTES = [proof_options, prove]
