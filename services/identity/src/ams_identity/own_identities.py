"""The identities of the caller's account at OpenID providers: list, link, unlink, confirm by signing in again, and sign out at the provider."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath
from msgspec import Struct

from ams_identity import group_roles, validation
from ams_identity.accounts import providers_prove_factor, user_of
from ams_identity.audit import Action, record
from ams_identity.context import BODY_BYTES_MAX, IdentityContext, context_of
from ams_identity.failures import FailureLimit
from ams_identity.oidc_accounts import add_identity, id_token_of, notify_linked, second_factor_counts
from ams_identity.oidc_flow import ANSWER_BYTES_MAX, Answer, AnswerBody, ProviderAddress, begin, end_cookie, finish, provider_of
from ams_identity.oidc_provider import Provider
from ams_identity.oidc_sign_in import proved_at
from ams_identity.oidc_tokens import LEEWAY_SECONDS
from ams_identity.origins import require_same_origin
from ams_identity.own_factors import after_removing, announce_factors, person_with_proof
from ams_identity.proof import FRESH
from ams_identity.sessions import NO_STORE, sign_out
from ams_identity.store import factors, identities, sessions, users
from ams_identity.store.identities import IDENTITIES_MAX, Identity
from ams_identity.store.users import User
from ams_identity.ways_in import require_way_in
from ams_kit.auth import is_uuid, principal_of
from ams_kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from ams_kit.http.json_body import read_json, with_json_body


class IdentityView(Struct, frozen=True, kw_only=True):
    """A linked identity.

    Attributes:
        provider: The id of the provider; ``None`` when the installation no longer has it.
        name: Of the provider, for people.
        email: What the provider last said.
    """

    identity_id: str
    provider: str | None
    name: str
    email: str | None
    created_at: datetime
    last_used_at: datetime


class IdentityList(Struct, frozen=True):
    """The linked identities of an account, oldest first."""

    items: list[IdentityView]
    next_cursor: str | None = None


class OwnProviderBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The provider, and what for: to link it, or to confirm who the caller is."""

    provider: str
    purpose: Literal["link", "proof"]


class Confirmed(Struct, frozen=True, kw_only=True):
    """What was done: ``linked`` is ``None`` after a confirmation."""

    linked: IdentityView | None


class SignOutAddress(Struct, frozen=True):
    """Where the session at the provider ends; ``None``: nowhere."""

    url: str | None


_own_provider = msgspec.json.Decoder(OwnProviderBody)
_answer = msgspec.json.Decoder(AnswerBody)


def _view(context: IdentityContext, item: Identity) -> IdentityView:
    provider = _provider_of(context, item)
    return IdentityView(
        identity_id=item.identity_id,
        provider=None if provider is None else provider.settings.id,
        name=item.issuer if provider is None else provider.settings.name,
        email=item.email,
        created_at=item.created_at,
        last_used_at=item.last_used_at,
    )


def _provider_of(context: IdentityContext, item: Identity) -> Provider | None:
    return next((provider for provider in context.providers.values() if provider.settings.issuer == item.issuer), None)


@get("/api/users/me/identities")
async def list_identities(request: Request[Any, Any, Any]) -> Response[IdentityList]:
    """List the identities by which the caller's account can be entered."""
    context = context_of(request)
    found = await identities.of_user(context.pool, principal_of(request).user_id)
    return Response(IdentityList([_view(context, item) for item in found]), headers=NO_STORE)


@post("/api/auth/oidc/own/start", status_code=200, operation_class=with_json_body(OwnProviderBody))
async def start_own(request: Request[Any, Any, Any]) -> Response[ProviderAddress]:
    """Begin to link a provider to the caller's account, which requires a recent proof; or to confirm by a linked one who the caller is."""
    context, session_id = context_of(request), principal_of(request).session_id
    body = await read_json(request, _own_provider, bytes_max=BODY_BYTES_MAX)
    provider = provider_of(context, body.provider)
    if body.purpose == "proof":
        user = await user_of(request)
        # the provider asks again, though it remembers the person
        more = {"prompt": "login", "max_age": str(int(FRESH.total_seconds()))}
        if await _linked(context, user, provider) is None:
            raise ConflictError(f"{provider.settings.name} is not linked to your account.", code="not_linked")
        return await begin(request, provider, "oidc-proof", session_id, **more)
    user = await person_with_proof(request)
    if await _linked(context, user, provider) is not None:
        raise ConflictError(f"{provider.settings.name} is linked to your account already. Unlink it first.", code="already_linked")
    return await begin(request, provider, "oidc-link", session_id)


async def _linked(context: IdentityContext, user: User, provider: Provider) -> Identity | None:
    found = await identities.of_user(context.pool, user.user_id)
    return next((item for item in found if item.issuer == provider.settings.issuer), None)


@post("/api/auth/oidc/own/callback", status_code=200, operation_class=with_json_body(AnswerBody))
async def finish_own(request: Request[Any, Any, Any]) -> Response[Confirmed]:
    """Complete what ``own/start`` began, in the same session. Failures count with those of the password."""
    context, user, session_id = context_of(request), await user_of(request), principal_of(request).session_id
    body = await read_json(request, _answer, bytes_max=ANSWER_BYTES_MAX)
    attempt = await context.failures.reserve([FailureLimit(f"password:{user.user_id}")], context.now_s())
    try:
        answer = await finish(request, body, ("oidc-link", "oidc-proof"), session_id)
    except UnavailableError:
        await context.failures.release(attempt)
        raise
    linked = await _link(request, user, answer) if answer.purpose == "oidc-link" else None
    if answer.purpose == "oidc-proof":
        await _prove(request, user, answer, session_id)
    await context.failures.release(attempt)
    return Response(Confirmed(linked=linked), headers=NO_STORE, cookies=[end_cookie(context)])


async def _link(request: Request[Any, Any, Any], user: User, answer: Answer) -> IdentityView:
    context, settings, person = context_of(request), answer.provider.settings, answer.signed_in.person
    async with context.pool.acquire() as connection, connection.transaction():
        await identities.lock(connection, settings.issuer, person.subject)
        await users.lock(connection, user.user_id)
        if await identities.find(connection, settings.issuer, person.subject) is not None:
            raise ConflictError(
                f"This person at {settings.name} is linked to an account already. Sign in with it, or choose another one there.",
                code="identity_taken",
            )
        if len(await identities.of_user(connection, user.user_id)) >= IDENTITIES_MAX:
            raise ConflictError("The account has too many linked identities. Unlink one first.", code="too_many_identities")
        at = context.now()
        proved_before = await providers_prove_factor(context, connection, user.user_id)
        identity = await add_identity(connection, request, settings, person, user.user_id)
        lost_factor = proved_before and not await providers_prove_factor(context, connection, user.user_id)
        if lost_factor:  # the account can be entered without a second factor now
            await after_removing(connection, user.user_id, at)
        same_address = person.email_verified and validation.email_key(person.email or "") == user.email_key
        if same_address and await users.verify_email(connection, user.user_id, user.email_key, at):
            await record(connection, request, Action.EMAIL_VERIFIED, at, user_id=user.user_id)
    if lost_factor:
        await announce_factors(context, user.user_id)
    notify_linked(context, user, settings)
    return _view(context, identity)


async def _prove(request: Request[Any, Any, Any], user: User, answer: Answer, session_id: str) -> None:
    context, person = context_of(request), answer.signed_in.person
    identity = await identities.find(context.pool, answer.provider.settings.issuer, person.subject)
    if identity is None or identity.user_id != user.user_id:
        raise ForbiddenError("Another person signed in at the provider. Sign in there as yourself.", code="another_person")
    if not second_factor_counts(answer.provider.settings, person) and await factors.has_any(context.pool, user.user_id):
        raise InvalidError("This account has a second factor. Confirm with that.", code="second_factor_required")
    at = context.now()
    proved = proved_at(context, person)
    if (at - proved).total_seconds() > FRESH.total_seconds() + LEEWAY_SECONDS:
        raise ForbiddenError(
            f"{answer.provider.settings.name} did not ask you to sign in again. Sign out there, then repeat this.",
            code="proof_required",
            methods=[],
        )
    async with context.pool.acquire() as connection, connection.transaction():
        await sessions.set_proved(connection, session_id, at)
        await record(connection, request, Action.PROVED, at, user_id=user.user_id, subject=session_id)


@post("/api/auth/oidc/own/end", status_code=200)
async def sign_out_with_provider(request: Request[Any, Any, Any]) -> Response[SignOutAddress]:
    """Sign out: end the caller's session here, then say where the one ends at the provider by which it began (RP-initiated logout).

    A provider that does not answer delays only the answer, by at most two seconds; the address is then ``None``.
    """
    context = context_of(request)
    require_same_origin(request, context.policy.issuer)
    identity = await identities.of_session(context.pool, principal_of(request).session_id)
    headers = await sign_out(request)
    provider = None if identity is None else _provider_of(context, identity)
    url = None
    if identity is not None and provider is not None:
        url = await provider.end_session_url(id_token_of(context, identity), f"{context.policy.issuer}/signin")
    return Response(SignOutAddress(url), headers=headers)


@delete("/api/users/me/identities/{identity:str}")
async def unlink(request: Request[Any, Any, Any], identity: FromPath[str]) -> None:
    """Unlink a provider: the roles that its groups gave end. Requires a recent proof, and another way to sign in."""
    context, user = context_of(request), await person_with_proof(request)
    at = context.now()
    async with context.pool.acquire() as connection, connection.transaction():
        await users.lock(connection, user.user_id)  # two requests at once do not remove the last two ways in
        found = await identities.delete(connection, user.user_id, identity) if is_uuid(identity) else None
        if found is None:
            raise NotFoundError("There is no such linked identity.", code="identity_not_found")
        await require_way_in(context, connection, user.user_id)
        changes = await group_roles.apply(connection, request, user.user_id, found.issuer, {})
        provider = _provider_of(context, found)
        await record(
            connection,
            request,
            Action.IDENTITY_UNLINKED,
            at,
            user_id=user.user_id,
            subject="unknown" if provider is None else provider.settings.id,
        )
        if not await factors.has_any(connection, user.user_id):
            await after_removing(connection, user.user_id, at)
    await announce_factors(context, user.user_id)
    await group_roles.announce(context, changes)


ROUTES = [list_identities, start_own, finish_own, sign_out_with_provider, unlink]
