"""Sessions: start, refresh, sign out."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import Cookie
from msgspec import Struct

from ams_contracts.claims import AUDIENCE, AccessClaims
from ams_contracts.identity_events import SessionRevoked
from ams_identity import revocation
from ams_identity.accounts import UserView, view_of
from ams_identity.addresses import address_bucket, client_address
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext, context_of
from ams_identity.devices import device_cookie
from ams_identity.failures import FailureLimit
from ams_identity.ids import random_text, uuid7
from ams_identity.origins import require_same_origin
from ams_identity.outbox import microseconds, new_event_id, put
from ams_identity.store import Executor, revocations, sessions, users
from ams_identity.store.revocations import Revocation
from ams_identity.store.sessions import Session
from ams_identity.store.users import User
from ams_identity.tokens import (
    ACCESS_SECONDS,
    SESSION_IDLE,
    RefreshToken,
    Refused,
    Reused,
    Rotated,
    WithinGrace,
    parse_refresh,
    refresh_token,
    rotate,
)
from ams_kit.auth import bearer_of
from ams_kit.errors import UnauthenticatedError
from ams_kit.http.openapi import NoContentOperation
from ams_kit.http.problems import Problem, headers_of, problem_of, problem_response

COOKIE = "ams_refresh"
COOKIE_PATH = "/api/auth"
SALT_CHARS = 16
JTI_CHARS = 22
USER_AGENT_CHARS_MAX = 256
NO_STORE = {"Cache-Control": "no-store"}


class SignedIn(Struct, frozen=True, kw_only=True):
    """An access token (in the body) and a refresh token (in the cookie ``ams_refresh``)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  a word of RFC 6750
    expires_in: int = ACCESS_SECONDS
    user: UserView


class RefreshRefusedError(UnauthenticatedError):
    """The refresh token is not valid. The response deletes the cookie."""

    code = "invalid_refresh_token"

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("Sign in again.")
        self.headers = headers


def answer_refresh_refused(_: Request[Any, Any, Any], error: RefreshRefusedError) -> Response[Problem]:
    """Litestar exception handler: returns the problem document and deletes the cookie."""
    return problem_response(problem_of(error), headers_of(error) | error.headers)


def address_limit(context: IdentityContext, request: Request[Any, Any, Any]) -> FailureLimit:
    """The limit of failures of a client address, over all accounts."""
    allowed = context.policy.login_failures_per_minute
    return FailureLimit(f"address:{address_bucket(client_address(request))}", failures_max=allowed, seconds=60, free=allowed)


async def start_session(
    context: IdentityContext,
    request: Request[Any, Any, Any],
    user: User,
    *,
    identity_id: str | None = None,
    proved_at: datetime | None = None,
) -> Response[SignedIn]:
    """Start a session for a user who has authenticated with every factor of the account.

    Args:
        context: The dependencies.
        request: The request that completed the sign-in.
        user: The account.
        identity_id: The identity at a provider by which the person signed in, if any.
        proved_at: When the person proved who they are; ``None``: now.
    """
    at = context.now()
    session = Session(
        session_id=uuid7(context.now_s()),
        user_id=user.user_id,
        salt=random_text(SALT_CHARS).encode(),
        generation=0,
        created_at=at,
        rotated_at=at,
        expires_at=at + SESSION_IDLE,
        proved_at=proved_at or at,
        identity_id=identity_id,
        address=_address_of(request),
        user_agent=user_agent_of(request),
    )
    revoked: list[Revocation] = []
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)  # so that sign-ins at the same time cannot pass the limit together
        for ended in await sessions.least_used(connection, user.user_id, at, kept=context.policy.sessions_per_account_max - 1):
            revoked += await end_session(context, connection, user.user_id, ended, reason="limit")
        await sessions.insert(connection, session)
        await record(connection, request, Action.SIGNED_IN, at, user_id=user.user_id, subject=session.session_id)
    context.outbox.wake()
    await context.revoker.push(revoked)
    response = await _signed_in_response(context, user, session, 0)
    response.cookies.append(device_cookie(context, request, user.user_id, COOKIE_PATH))
    return response


def _address_of(request: Request[Any, Any, Any]) -> str | None:
    address = client_address(request)
    return None if address is None else str(address)


def user_agent_of(request: Request[Any, Any, Any]) -> str | None:
    """What the client calls itself: the printable characters, at most ``USER_AGENT_CHARS_MAX``."""
    text = "".join(char for char in request.headers.get("user-agent", "") if char.isprintable())
    return text[:USER_AGENT_CHARS_MAX] or None


async def _signed_in_response(context: IdentityContext, user: User, session: Session, generation: int) -> Response[SignedIn]:
    now = int(context.now_s())
    claims = AccessClaims(
        iss=context.policy.issuer,
        aud=AUDIENCE,
        sub=user.user_id,
        sid=session.session_id,
        jti=random_text(JTI_CHARS),
        iat=now,
        exp=now + ACCESS_SECONDS,
    )
    answer = SignedIn(access_token=context.signing.sign(msgspec.structs.asdict(claims)), user=await view_of(context, user))
    token = refresh_token(context.refresh_key, session, generation)
    return Response(answer, headers=NO_STORE, cookies=[_cookie(context, token, int(SESSION_IDLE.total_seconds()))])


def _cookie(context: IdentityContext, value: str, max_age: int) -> Cookie:
    return Cookie(
        key=COOKIE, value=value, path=COOKIE_PATH, max_age=max_age, httponly=True, secure=context.policy.cookie_secure, samesite="strict"
    )


def _expired_cookie_header(context: IdentityContext) -> dict[str, str]:
    return {"Set-Cookie": _cookie(context, "", 0).to_header(header="")}


@post("/api/auth/refresh", status_code=200, opt={"public": True}, security=[{}])
async def refresh(request: Request[Any, Any, Any]) -> Response[SignedIn]:
    """Exchange the refresh cookie for a new access token and a new cookie.

    The old cookie stays valid for 10 s, because several tabs of one browser may refresh at the same time.
    """
    context = context_of(request)
    require_same_origin(request, context.policy.issuer)
    refused = RefreshRefusedError(_expired_cookie_header(context))
    token = parse_refresh(request.cookies.get(COOKIE, ""))
    if token is None:
        raise refused
    async with context.pool.acquire() as connection, connection.transaction():
        session = await sessions.lock(connection, token.session_id)
        if session is None:
            raise refused
        decision, revoked = await _apply(context, request, connection, session, token)
        user = await users.by_id(connection, session.user_id)
    await context.revoker.push(revoked)
    if not isinstance(decision, Rotated | WithinGrace) or user is None or user.disabled_at is not None:
        context.outbox.wake()
        raise refused
    return await _signed_in_response(context, user, session, decision.generation)


async def _apply(
    context: IdentityContext, request: Request[Any, Any, Any], connection: Executor, session: Session, token: RefreshToken
) -> tuple[Rotated | WithinGrace | Reused | Refused, list[Revocation]]:
    at = context.now()
    decision = rotate(session, token, context.refresh_key, at)
    if isinstance(decision, Rotated):
        await sessions.rotate(
            connection,
            session.session_id,
            decision.generation,
            at=at,
            expires_at=decision.expires_at,
            address=_address_of(request),
            user_agent=user_agent_of(request),
        )
    if not isinstance(decision, Reused):
        return decision, []
    await record(connection, request, Action.TOKEN_REUSED, at, user_id=session.user_id, subject=session.session_id, outcome="refused")
    return decision, await end_session(context, connection, session.user_id, session.session_id, reason="reuse")


async def end_session(
    context: IdentityContext,
    connection: Executor,
    user_id: str,
    session_id: str,
    *,
    reason: Literal["logout", "reuse", "limit"],
    token: AccessClaims | None = None,
) -> list[Revocation]:
    """End a session inside a transaction, which revokes its refresh token and its access tokens.

    Returns:
        The revocation that the caller passes to ``Revoker.push`` after the commit.
    """
    at = context.now()
    revoked = [revocation.of_session(user_id, session_id, at)]
    if token is not None:
        revoked.append(revocation.of_token(user_id, session_id, token.jti, token.exp))
    for item in revoked:
        await revocations.insert(connection, item)
    if await sessions.end(connection, session_id, at, reason):
        word = "logout" if reason == "limit" else reason  # the log has no word for the limit
        event = SessionRevoked(event_id=new_event_id(), at_us=microseconds(at), user_id=user_id, session_id=session_id, reason=word)
        await put(connection, user_id, event, at)
    return revoked


@post("/api/auth/logout", status_code=204, opt={"public": True}, security=[{}, {"bearer": []}], operation_class=NoContentOperation)
async def logout(request: Request[Any, Any, Any]) -> Response[None]:
    """End the session of the bearer token, of the cookie, or of both. Idempotent."""
    require_same_origin(request, context_of(request).policy.issuer)
    return Response(None, status_code=204, headers=await sign_out(request))


async def sign_out(request: Request[Any, Any, Any]) -> dict[str, str]:
    """End the session of the bearer token, of the cookie, or of both. Returns the headers of the answer, which delete the cookie."""
    context = context_of(request)
    claims = await _bearer_claims(request)
    token = parse_refresh(request.cookies.get(COOKIE, ""))
    revoked: list[Revocation] = []
    async with context.pool.acquire() as connection, connection.transaction():
        if claims is not None:
            revoked += await end_session(context, connection, claims.sub, claims.sid, reason="logout", token=claims)
        session = await sessions.lock(connection, token.session_id) if token is not None else None
        if (
            session is not None
            and token is not None
            and not isinstance(rotate(session, token, context.refresh_key, context.now()), Refused)
        ):
            revoked += await end_session(context, connection, session.user_id, session.session_id, reason="logout")
        if revoked:
            await record(connection, request, Action.SIGNED_OUT, context.now(), user_id=revoked[0].user_id, subject=revoked[0].session_id)
    context.outbox.wake()
    await context.revoker.push(revoked)
    return {**NO_STORE, **_expired_cookie_header(context)}


async def _bearer_claims(request: Request[Any, Any, Any]) -> AccessClaims | None:
    """The claims of the token in the header, revoked or not; ``None`` when the request has no such header."""
    if "authorization" not in request.headers:
        return None
    return await request.app.state.auth.verifier.claims(bearer_of(request.scope))


ROUTES = [refresh, logout]
