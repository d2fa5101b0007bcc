"""Sign-in codes: valid once, for ten minutes. ``ams up`` prints a link with one, which opens the explorer signed in."""

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, Response, post
from msgspec import Struct

from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.link_secrets import hash_of, new_secret
from ams_identity.sessions import SignedIn, address_limit
from ams_identity.sign_in import SecondFactorNeeded, continue_sign_in
from ams_identity.store import signin_codes, users
from ams_kit.errors import NotFoundError, UnauthenticatedError
from ams_kit.http.json_body import read_json, with_json_body

CODES_MAX = 20  # of one account that are valid at a time; a further one replaces the oldest
CODE_LIFE = timedelta(minutes=10)


class RedeemBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The code from a sign-in link."""

    code: str


_redeem = msgspec.json.Decoder(RedeemBody)


@post("/api/auth/redeem", status_code=200, opt={"public": True}, security=[{}], operation_class=with_json_body(RedeemBody))
async def redeem(request: Request[Any, Any, Any]) -> Response[SignedIn | SecondFactorNeeded]:
    """Sign in with a code. An account with a second factor needs that, too."""
    context = context_of(request)
    body = await read_json(request, _redeem, bytes_max=BODY_BYTES_MAX)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    user_id = await signin_codes.use(context.pool, hash_of(body.code), context.now())
    user = await users.by_id(context.pool, user_id) if user_id is not None else None
    if user is None or user.disabled_at is not None:
        raise UnauthenticatedError("This link was used already, or has expired. Sign in, or create another link.", code="invalid_code")
    await context.failures.release(attempt)
    return await continue_sign_in(context, request, user)


async def create_code(context: IdentityContext, request: Request[Any, Any, Any], user_id: str) -> str:
    """Create a sign-in code for an account.

    Raises:
        NotFoundError: No such active account exists.
    """
    user = await users.by_id(context.pool, user_id)
    if user is None or user.disabled_at is not None:
        raise NotFoundError("There is no such account.")
    code, at = new_secret(), context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user_id)
        await signin_codes.delete_beyond(connection, user_id, at, kept=CODES_MAX - 1)
        await signin_codes.insert(connection, hash_of(code), user_id, at, at + CODE_LIFE)
        await record(connection, request, Action.CODE_CREATED, at, subject=user_id)
    return code


ROUTES = [redeem]
