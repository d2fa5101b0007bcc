"""Links by email: verifying an address, and replacing a forgotten password. Only where the installation has a mail server."""

import contextlib
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, post
from msgspec import Struct

from ams_identity import challenges
from ams_identity.accounts import user_of
from ams_identity.addresses import address_bucket, client_address
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.failures import FailureLimit
from ams_identity.ids import random_text
from ams_identity.link_secrets import hash_of, new_secret
from ams_identity.mail import Mail
from ams_identity.password_login import require_password_login
from ams_identity.second_factor import NONCE_CHARS
from ams_identity.sessions import address_limit
from ams_identity.sign_in import find_user
from ams_identity.store import identities, password_resets, users
from ams_identity.store.users import User
from ams_kit.auth import is_uuid
from ams_kit.errors import ConflictError, NotFoundError, TooManyError, UnavailableError
from ams_kit.http.json_body import read_json, with_json_body

VERIFICATION_LIFE = timedelta(hours=24)
RESET_LIFE = timedelta(hours=1)
MAILS_PER_HOUR = 3  # of one kind to one account
REQUESTS_PER_MINUTE = 20  # of one client address


class ResetRequestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A username or an email address."""

    login: str


class VerificationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of a link."""

    token: str


class Requested(Struct, frozen=True):
    """What was done, in a sentence for the person. It does not say whether there is such an account."""

    detail: str


_request = msgspec.json.Decoder(ResetRequestBody)
_verification = msgspec.json.Decoder(VerificationBody)


def _require_mail(context: IdentityContext) -> None:
    if not context.mailer.enabled:
        raise ConflictError("This installation sends no email. Ask its administrator for a link.", code="no_email")


@post(
    "/api/auth/password-reset/request",
    status_code=202,
    opt={"public": True},
    security=[{}],
    operation_class=with_json_body(ResetRequestBody),
)
async def request_reset(request: Request[Any, Any, Any]) -> Requested:
    """Send a link that replaces a forgotten password, to the verified address of an account. The answer is the same without such an account.

    An account that only providers open gets a message that says so instead: a password would be a way around them. An administrator's link sets one.
    """
    context = context_of(request)
    require_password_login(context)
    body = await read_json(request, _request, bytes_max=BODY_BYTES_MAX)
    _require_mail(context)
    await context.throttle.count([(f"reset:{address_bucket(client_address(request))}", REQUESTS_PER_MINUTE)])
    context.mailer.submit(lambda: _reset_mail(request, body.login.strip()))
    return Requested("If this account exists and its email address is verified, a link is on its way. It works once, for an hour.")


async def _reset_mail(request: Request[Any, Any, Any], login: str) -> Mail | None:
    context = context_of(request)
    user = await find_user(context, login)
    if user is None or user.kind != "person" or user.disabled_at is not None or user.email_verified_at is None:
        return None
    try:
        await _count_mail(context, "reset", user)
    except TooManyError:
        return None
    providers = await _providers_of(context, user)
    if user.password_hash is None and providers:
        text = (
            f"Somebody asked for a new password of the account {user.username} at {context.policy.issuer}.\n\n"
            f"The account has no password. Sign in with {' or '.join(providers)}:\n{context.policy.issuer}/signin\n\n"
            "If it was not you, nothing has to be done.\n"
        )
        return Mail(to=user.email, subject="How to sign in", text=text)
    token, at = new_secret(), context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)
        current = await users.by_id(connection, user.user_id)
        if current is None or current.email_key != user.email_key:  # the address was changed since, which voided its links
            return None
        await password_resets.put(
            connection, user_id=user.user_id, token_hash=hash_of(token), created_by=user.user_id, at=at, expires_at=at + RESET_LIFE
        )
        await record(connection, request, Action.RESET_CREATED, at, subject=user.user_id)
    text = (
        f"Somebody asked for a new password of the account {user.username} at {context.policy.issuer}.\n\n"
        f"Choose one here, within an hour:\n{context.policy.issuer}/reset#{token}\n\n"
        "If it was not you, nothing has to be done: the password stays as it is.\n"
    )
    return Mail(to=user.email, subject="Choose a new password", text=text)


async def _providers_of(context: IdentityContext, user: User) -> list[str]:
    """The names of the installation's providers that the account is linked to."""
    linked = {item.issuer for item in await identities.of_user(context.pool, user.user_id)}
    return [provider.settings.name for provider in context.providers.values() if provider.settings.issuer in linked]


@post("/api/users/me/email/verification", status_code=202)
async def request_verification(request: Request[Any, Any, Any]) -> Requested:
    """Send a link that verifies the email address of the caller's account."""
    context, user = context_of(request), await user_of(request)
    _require_mail(context)
    if user.email_verified_at is not None:
        raise ConflictError("The email address is verified already.", code="already_verified")
    await send_verification(context, user)
    return Requested("A link is on its way. It works for a day.")


async def send_verification(context: IdentityContext, user: User) -> None:
    """Send the link that verifies the address of an account.

    Raises:
        TooManyError: The account received three within an hour.
        UnavailableError: The queue is full.
    """
    await _count_mail(context, "verify", user)
    expires_s = int((context.now() + VERIFICATION_LIFE).timestamp())
    token = challenges.issue(
        context.challenge_key,
        "verify-email",
        user.user_id,
        expires_s=expires_s,
        nonce=random_text(NONCE_CHARS),
        binding=user.email_key.encode(),
    )
    text = (
        f"Confirm that this is the email address of the account {user.username} at {context.policy.issuer}, within a day:\n"
        f"{context.policy.issuer}/verify-email#{token}\n\n"
        "If you do not know this account, nothing has to be done.\n"
    )
    context.mailer.send(Mail(to=user.email, subject="Confirm your email address", text=text))


async def _count_mail(context: IdentityContext, kind: str, user: User) -> None:
    limit = FailureLimit(f"mail:{kind}:{user.user_id}", failures_max=MAILS_PER_HOUR, seconds=3_600, free=MAILS_PER_HOUR)
    await context.failures.reserve([limit], context.now_s())


async def announce_address(context: IdentityContext, user: User, *, previous: User | None = None) -> None:
    """After an account was registered or its address changed: send the link that verifies it, and a notice to the earlier address.

    The change is done, so a full queue or a reached limit does not refuse it; the link can be requested later.
    """
    if not context.mailer.enabled:
        return
    with contextlib.suppress(TooManyError, UnavailableError):
        if previous is not None:
            text = f"The email address of the account {user.username} at {context.policy.issuer} was changed. If it was not you, ask the administrator.\n"
            context.mailer.send(Mail(to=previous.email, subject="Your account was changed", text=text))
        await send_verification(context, user)


@post("/api/auth/verify-email", status_code=204, opt={"public": True}, security=[{}], operation_class=with_json_body(VerificationBody))
async def verify_email(request: Request[Any, Any, Any]) -> None:
    """Verify an email address by the token of a link. Wrong tokens count as failures of the address."""
    context = context_of(request)
    body = await read_json(request, _verification, bytes_max=BODY_BYTES_MAX)
    attempt = await context.failures.reserve([address_limit(context, request)], context.now_s())
    subject = challenges.subject_of(body.token)
    user = await users.by_id(context.pool, subject) if is_uuid(subject) else None
    known = user is not None and user.disabled_at is None
    binding = user.email_key.encode() if user is not None else b""
    if not known or challenges.read(context.challenge_key, "verify-email", body.token, now_s=context.now_s(), binding=binding) is None:
        raise NotFoundError(
            "This link has expired, or is for an earlier address. Ask for another one on your account page.", code="link_not_found"
        )
    await context.failures.release(attempt)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        if await users.verify_email(connection, subject, binding.decode(), at):
            await record(connection, request, Action.EMAIL_VERIFIED, at, user_id=subject)


ROUTES = [request_reset, request_verification, verify_email]
