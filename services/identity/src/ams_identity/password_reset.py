"""Choosing a new password by a link, from the administrator or by email."""

from typing import Any

import msgspec
from litestar import Request, post
from msgspec import Struct

from ams_identity.accounts import end_other_sessions, is_administrator, providers_prove_factor
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, context_of
from ams_identity.faults import refuse_faults
from ams_identity.link_secrets import hash_of
from ams_identity.own_factors import after_removing, announce_factors
from ams_identity.password_login import require_password_login
from ams_identity.password_rules import password_faults
from ams_identity.sessions import address_limit
from ams_identity.store import password_resets, users
from ams_identity.store.users import User
from ams_kit.errors import NotFoundError
from ams_kit.http.json_body import read_json, with_json_body


class ResetBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the link, and the password that replaces the forgotten one."""

    token: str
    new_password: str


_reset = msgspec.json.Decoder(ResetBody)


@post("/api/auth/password-reset", status_code=204, opt={"public": True}, security=[{}], operation_class=with_json_body(ResetBody))
async def reset_password(request: Request[Any, Any, Any]) -> None:
    """Replace a password by a link. Every session of the account ends; the link works once."""
    context = context_of(request)
    require_password_login(context)
    body = await read_json(request, _reset, bytes_max=BODY_BYTES_MAX)
    user = await _user_of_link(request, body.token)
    refuse_faults(
        await context.passwords.examine(
            lambda: password_faults(
                body.new_password,
                chars_min=context.policy.password_chars_min,
                username=user.username,
                email=user.email,
                field="new_password",
            )
        )
    )
    password_hash = await context.passwords.hash(body.new_password)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        proved_before = await providers_prove_factor(context, connection, user.user_id)
        taken = await password_resets.take(connection, user.user_id, hash_of(body.token), at)
        if not taken or not await users.reset_password(connection, user.user_id, password_hash):
            raise _not_found()
        if proved_before and not await providers_prove_factor(context, connection, user.user_id):
            await after_removing(connection, user.user_id, at)  # the account can be entered without a second factor now
        revoked = await end_other_sessions(connection, user.user_id, at, keep=None)
        await record(connection, request, Action.PASSWORD_RESET, at, user_id=user.user_id)
    await announce_factors(context, user.user_id)
    await context.revoker.push(revoked)


async def _user_of_link(request: Request[Any, Any, Any], token: str) -> User:
    """The account of a link. Wrong tokens count as failures of the address.

    Raises:
        NotFoundError: It was used or replaced, has expired, or never existed; its account is disabled, or its author administers no more.
    """
    context = context_of(request)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    found = await password_resets.find(context.pool, hash_of(token), context.now())
    if found is None:
        raise _not_found()
    user, author = await users.by_id(context.pool, found[0]), await users.by_id(context.pool, found[1])
    if user is None or author is None or not (author.user_id == user.user_id or is_administrator(context, author)):
        raise _not_found()
    await context.failures.release(attempt)
    return user


def _not_found() -> NotFoundError:
    return NotFoundError("This link was used already, was replaced, or has expired. Ask for another one.", code="reset_not_found")


ROUTES = [reset_password]
