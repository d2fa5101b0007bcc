"""From a verified person at a provider to an account: the one that is linked, the one with the same verified address, or a new one.

Issuer and subject are the identity. An address only leads to an account whose own address is verified, too: a person who registered another one's address gets nothing.
"""

import contextlib
import re
import unicodedata
from typing import Any

import msgspec
from litestar import Request
from msgspec import Struct

from ams_contracts.claims import IdentityChanged
from ams_identity import group_roles, oidc_settings, validation
from ams_identity.accounts import add_account, end_other_sessions, new_user, providers_prove_factor
from ams_identity.audit import Action, record
from ams_identity.context import IdentityContext, context_of
from ams_identity.group_roles import RoleChanges
from ams_identity.ids import random_text, uuid7
from ams_identity.invitations import join, open_invitation
from ams_identity.mail import Mail
from ams_identity.members import announce_change
from ams_identity.oidc_provider import Provider, SignedInPerson
from ams_identity.oidc_settings import Issuer
from ams_identity.oidc_tokens import Person
from ams_identity.own_factors import after_removing
from ams_identity.registration import is_first, require_open
from ams_identity.store import Executor, factors, identities, users
from ams_identity.store.identities import Identity
from ams_identity.store.invitations import Invitation
from ams_identity.store.revocations import Revocation
from ams_identity.store.users import User
from ams_kit.errors import ConflictError, ForbiddenError, UnavailableError
from ams_kit.sealing import seal, unseal

USERNAME_BASE_CHARS = 56
USERNAME_ATTEMPTS = 5
SUFFIX_CHARS = 4


class Entered(Struct, frozen=True, kw_only=True):
    """An account that a person entered by a provider. ``second_factor``: whether the provider's word counts as one."""

    user: User
    identity: Identity
    second_factor: bool


class _Work(Struct, kw_only=True):
    """A sign-in in its transaction, and what follows the commit."""

    connection: Executor
    request: Request[Any, Any, Any]
    settings: Issuer
    signed_in: SignedInPerson
    invitation: Invitation | None
    roles: RoleChanges | None = None
    revoked: list[Revocation] = msgspec.field(default_factory=list[Revocation])
    factor_changed: bool = False
    linked: bool = False
    joined: str | None = None


async def enter(request: Request[Any, Any, Any], provider: Provider, signed_in: SignedInPerson, invitation_token: str | None) -> Entered:
    """The account of a person. Makes or links it where the rules allow that, and applies the provider's groups.

    Raises:
        ForbiddenError: email_domain | email_not_verified | registration_closed | invitation_required | account_disabled.
        ConflictError: link_required | other_identity.
    """
    context, settings, person = context_of(request), provider.settings, signed_in.person
    _require_domain(settings, person)
    invitation = None
    if invitation_token is not None and await identities.find(context.pool, settings.issuer, person.subject) is None:
        invitation = await open_invitation(request, invitation_token)
    async with context.pool.acquire() as connection, connection.transaction():
        work = _Work(connection=connection, request=request, settings=settings, signed_in=signed_in, invitation=invitation)
        await identities.lock(connection, settings.issuer, person.subject)
        identity = await identities.find(connection, settings.issuer, person.subject)
        if identity is None:
            user = await _user_without_identity(work)
            proved_before = await providers_prove_factor(context, connection, user.user_id)
            identity = await add_identity(connection, request, settings, person, user.user_id)
        else:
            user = await users.by_id(connection, identity.user_id)
            proved_before = await providers_prove_factor(context, connection, identity.user_id)
        if user is not None and user.disabled_at is None:
            entered = await _enter(work, user, identity, proved_before=proved_before)
        else:
            entered = None
    if entered is None:
        subject = f"provider:{settings.id}"
        await record(
            context.pool, request, Action.SIGN_IN_FAILED, context.now(), user_id=identity.user_id, subject=subject, outcome="refused"
        )
        raise _disabled()
    await _announce(context, entered.user, work)
    return entered


def _disabled() -> ForbiddenError:
    return ForbiddenError("This account is disabled. Ask the administrator of this installation.", code="account_disabled")


def _require_domain(settings: Issuer, person: Person) -> None:
    """People outside of the allowed domains do not enter, also with an account that is linked."""
    if not settings.email_domains:
        return
    domain = (person.email or "").rpartition("@")[2].lower()
    if domain not in settings.email_domains or not _is_verified(settings, person):
        raise ForbiddenError(
            f"People sign in with {settings.name} here who have a verified address at {', '.join(settings.email_domains)}. Choose another account there.",
            code="email_domain",
        )


def _is_verified(settings: Issuer, person: Person) -> bool:
    return person.email is not None and (person.email_verified or settings.trust_email)


def second_factor_counts(settings: Issuer, person: Person) -> bool:
    """Whether the provider says that the person used a second factor, and its settings count that."""
    return not person.factors.isdisjoint(settings.second_factor_values)


async def _user_without_identity(work: _Work) -> User:
    connection, settings, person = work.connection, work.settings, work.signed_in.person
    key = validation.email_key(person.email or "")
    if person.email is None or key is None or not _is_verified(settings, person) or validation.email_faults(person.email):
        raise ForbiddenError(
            f"{settings.name} has no verified email address of you. Verify your address there, then sign in again.",
            code="email_not_verified",
        )
    existing = await users.by_email(connection, key)
    if existing is None:
        return await _new_account(work, key)
    if existing.kind != "person" or existing.email_verified_at is None:
        raise ConflictError(
            f"An account with this address exists, and its address is not verified. Sign in to it, and link {settings.name} on its account page.",
            code="link_required",
        )
    if existing.disabled_at is not None:
        raise _disabled()
    if any(item.issuer == settings.issuer for item in await identities.of_user(connection, existing.user_id)):
        # providers give the address of somebody who left to somebody new
        raise ConflictError(
            f"The account with this address belongs to another person at {settings.name}. Ask the administrator of this installation.",
            code="other_identity",
        )
    work.linked = True
    return existing


async def _new_account(work: _Work, email_key: str) -> User:
    context, connection, person, invitation = context_of(work.request), work.connection, work.signed_in.person, work.invitation
    email = person.email or ""
    first = context.policy.admin_email_key is None and await is_first(connection)
    if not first and context.policy.provider_registration != "open":
        mode = "closed" if context.policy.provider_registration == "closed" else context.policy.registration
        await require_open(context, connection, email_key, mode=mode, invited=invitation is not None)
    for username in usernames_for(person):
        user = msgspec.structs.replace(new_user(context, username, email, email_key), administrator=first)
        if await users.insert(connection, user):
            break
    else:
        raise UnavailableError("No username is free for this account. Try again.")
    await users.verify_email(connection, user.user_id, email_key, user.created_at)
    await add_account(connection, work.request, user)
    if invitation is not None:
        await join(connection, work.request, invitation, user.user_id, user.created_at)
        work.joined = invitation.project_id
    return await users.by_id(connection, user.user_id) or user


def usernames_for(person: Person) -> list[str]:
    """Usernames to try, best first: the name at the provider, or that of the address, with a random end where it is taken or reserved."""
    source = (person.username or person.email or "").partition("@")[0]
    plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode()
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)[:USERNAME_BASE_CHARS].strip("._-")
    found = [base] if not validation.username_faults(base) else []
    return found + [f"{base or 'person'}-{random_text(SUFFIX_CHARS).lower()}" for _ in range(USERNAME_ATTEMPTS)]


async def add_identity(connection: Executor, request: Request[Any, Any, Any], settings: Issuer, person: Person, user_id: str) -> Identity:
    """Link a person at a provider to an account, in a transaction after ``identities.lock``."""
    at = context_of(request).now()
    identity = Identity(
        user_id=user_id,
        identity_id=uuid7(at.timestamp()),
        issuer=settings.issuer,
        subject=person.subject,
        email=person.email,
        second_factor=second_factor_counts(settings, person),
        created_at=at,
        last_used_at=at,
    )
    await identities.insert(connection, identity)
    await record(connection, request, Action.IDENTITY_LINKED, at, user_id=user_id, subject=settings.id)
    return identity


async def _enter(work: _Work, user: User, identity: Identity, *, proved_before: bool) -> Entered:
    context, connection, settings, person = context_of(work.request), work.connection, work.settings, work.signed_in.person
    at = context.now()
    second_factor = second_factor_counts(settings, person)
    await identities.use(
        connection,
        identity.identity_id,
        email=person.email,
        second_factor=second_factor,
        sealed_id_token=seal(context.root.key("id token"), work.signed_in.id_token.encode(), identity.identity_id),
        at=at,
    )
    proves_now = await providers_prove_factor(context, connection, user.user_id)
    if proves_now and not proved_before and not await factors.has_any(connection, user.user_id):
        # as for a first factor of one's own: sessions that began without one end
        work.revoked = await end_other_sessions(connection, user.user_id, at, keep=None)
    if proved_before and not proves_now:
        await after_removing(connection, user.user_id, at)
        work.factor_changed = True
    if person.groups is not None:
        work.roles = await group_roles.apply(
            connection, work.request, user.user_id, settings.issuer, oidc_settings.roles_of(settings, person.groups)
        )
    return Entered(user=user, identity=identity, second_factor=second_factor)


async def _announce(context: IdentityContext, user: User, work: _Work) -> None:
    context.outbox.wake()
    await context.revoker.push(work.revoked)
    if work.factor_changed:
        await context.revoker.announce(IdentityChanged(kind="access.changed", user_id=user.user_id))
    if work.joined is not None:
        await announce_change(context, work.joined, user.user_id)
    if work.roles is not None:
        await group_roles.announce(context, work.roles)
    if work.linked:
        notify_linked(context, user, work.settings)


def notify_linked(context: IdentityContext, user: User, settings: Issuer) -> None:
    """Send a notice that an account can be entered by a provider now. Nothing depends on it, so a full queue drops it."""
    if not context.mailer.enabled:
        return
    text = (
        f"The account {user.username} at {context.policy.issuer} can be entered with {settings.name} from now on. "
        "If it was not you, unlink it on the account page, and ask the administrator.\n"
    )
    with contextlib.suppress(UnavailableError):
        context.mailer.send(Mail(to=user.email, subject="Your account was linked", text=text))


def id_token_of(context: IdentityContext, identity: Identity) -> str | None:
    """The last ID token of an identity."""
    if identity.sealed_id_token is None:
        return None
    return unseal(context.root.key("id token"), identity.sealed_id_token, identity.identity_id).decode()
