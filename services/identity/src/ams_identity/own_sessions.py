"""The sessions of the caller's account: list them, end one, all others, or all."""

from datetime import datetime
from typing import Any

from litestar import Request, delete, get
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema
from litestar.params import FromPath
from msgspec import Struct

from ams_identity.audit import Action, record
from ams_identity.context import context_of
from ams_identity.sessions import end_session
from ams_identity.store import sessions
from ams_identity.store.revocations import Revocation
from ams_kit.auth import is_uuid, principal_of
from ams_kit.errors import BadRequestError, NotFoundError


class AccountSession(Struct, frozen=True, kw_only=True):
    """A session.

    Attributes:
        session_id: UUID text.
        current: Whether the caller's token belongs to it.
        created_at: When the person signed in.
        last_used_at: When it last received an access token; each is valid for 10 minutes.
        expires_at: When it ends unless it is used.
        address: Of the client at the last use; ``None`` for sessions from before addresses were stored.
        user_agent: What the client called itself at the last use, at most 256 characters.
    """

    session_id: str
    current: bool
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None


class AccountSessions(Struct, frozen=True):
    """The active sessions of an account, the last used first."""

    items: list[AccountSession]
    next_cursor: str | None = None


@get("/api/users/me/sessions")
async def list_sessions(request: Request[Any, Any, Any]) -> AccountSessions:
    """List the active sessions of the caller's account."""
    context, principal = context_of(request), principal_of(request)
    found = await sessions.active(context.pool, principal.user_id, context.now(), context.policy.sessions_per_account_max)
    return AccountSessions(
        [
            AccountSession(
                session_id=item.session_id,
                current=item.session_id == principal.session_id,
                created_at=item.created_at,
                last_used_at=item.rotated_at,
                expires_at=item.expires_at,
                address=item.address,
                user_agent=item.user_agent,
            )
            for item in found
        ]
    )


@delete("/api/users/me/sessions/{session:str}")
async def end_one(request: Request[Any, Any, Any], session: FromPath[str]) -> None:
    """End one session of the caller's account. Its tokens end at once."""
    context, principal = context_of(request), principal_of(request)
    async with context.pool.acquire() as connection, connection.transaction():
        found = await sessions.lock(connection, session) if is_uuid(session) else None
        if found is None or found.user_id != principal.user_id or found.ended_at is not None:
            raise NotFoundError("There is no such session.", code="session_not_found")
        revoked = await end_session(context, connection, principal.user_id, session, reason="logout")
        await record(connection, request, Action.SIGNED_OUT, context.now(), user_id=principal.user_id, subject=session)
    context.outbox.wake()
    await context.revoker.push(revoked)


class EndSessionsOperation(Operation):
    """Adds ``keep`` to the OpenAPI document."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        schema = Schema(type=OpenAPIType.STRING, enum=["current"])
        self.parameters = [*(self.parameters or []), Parameter(name="keep", param_in="query", required=False, schema=schema)]


@delete("/api/users/me/sessions", operation_class=EndSessionsOperation)
async def end_many(request: Request[Any, Any, Any]) -> None:
    """End all sessions of the caller's account; with ``?keep=current`` all others."""
    context, principal = context_of(request), principal_of(request)
    parameters = list(request.query_params.multi_items())
    if parameters not in ([], [("keep", "current")]):
        raise BadRequestError("Send keep=current, or no parameter.", code="unknown_parameter")
    keep = principal.session_id if parameters else None
    revoked: list[Revocation] = []
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        for item in await sessions.lock_active(connection, principal.user_id, keep=keep):
            revoked += await end_session(context, connection, principal.user_id, item, reason="logout")
            await record(connection, request, Action.SIGNED_OUT, at, user_id=principal.user_id, subject=item)
    context.outbox.wake()
    await context.revoker.push(revoked)


ROUTES = [list_sessions, end_one, end_many]
