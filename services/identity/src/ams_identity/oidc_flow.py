"""One round trip to an OpenID provider: state, nonce, PKCE verifier, the cookie of the browser. Nothing is stored before the answer: all of it is derived.

``state`` is a challenge (see ``challenges``) of ten minutes for one purpose at one provider. Its MAC covers a random cookie of the browser, so it is worth nothing in
another one. Nonce and verifier are derived from both and never leave the service.
"""

import hashlib
import hmac
import re
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie
from msgspec import UNSET, Struct, UnsetType

from ams_identity import challenges
from ams_identity.challenges import Challenge, Purpose
from ams_identity.context import IdentityContext, context_of
from ams_identity.ids import random_text
from ams_identity.oidc_provider import Provider, SignedInPerson
from ams_identity.second_factor import NONCE_CHARS, spend
from ams_identity.sessions import NO_STORE
from ams_kit.auth.encoding import encode_base64url
from ams_kit.errors import ForbiddenError, NotFoundError, UnauthenticatedError, UnavailableError

FLOW_SECONDS = 600
COOKIE = "ams_provider_sign_in"
COOKIE_PATH = "/api/auth/oidc"
BROWSER_CHARS = 32
ANSWER_BYTES_MAX = 16_384
CODE_CHARS_MAX = 8_192
DENIED = frozenset({"access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required"})
TEMPORARY = frozenset({"server_error", "temporarily_unavailable"})
_BROWSER = re.compile(rf"[0-9A-Za-z]{{{BROWSER_CHARS}}}")


class AnswerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters with which a provider sent the browser back, and the provider of the address that it was sent to.

    ``invitation`` is the token of an invitation's link, which a new account accepts.
    """

    provider: str
    state: str
    code: str | UnsetType = UNSET
    iss: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    invitation: str | UnsetType = UNSET


class ProviderAddress(Struct, frozen=True):
    """Where the browser goes next."""

    url: str


class Answer(Struct, frozen=True, kw_only=True):
    """A verified answer."""

    provider: Provider
    purpose: str
    signed_in: SignedInPerson


def provider_of(context: IdentityContext, provider_id: str) -> Provider:
    """A provider of the installation.

    Raises:
        NotFoundError: unknown_provider.
    """
    provider = context.providers.get(provider_id)
    if provider is None:
        raise NotFoundError("This installation has no such sign-in provider.", code="unknown_provider")
    return provider


async def begin(
    request: Request[Any, Any, Any], provider: Provider, purpose: Purpose, session_id: str = "", **more: str
) -> Response[ProviderAddress]:
    """Start a round trip.

    Args:
        request: The request of the page that sends the browser to the provider.
        provider: Which one.
        purpose: What the answer may be used for.
        session_id: The session that the answer belongs to; empty for a sign-in.
        more: Further parameters for the provider.
    """
    context = context_of(request)
    browser = _browser_of(request) or random_text(BROWSER_CHARS)  # one cookie for all tabs
    state = challenges.issue(
        context.challenge_key,
        purpose,
        provider.settings.id,
        expires_s=int(context.now_s()) + FLOW_SECONDS,
        nonce=random_text(NONCE_CHARS),
        binding=_binding(browser, session_id),
    )
    nonce, verifier = _derived(context, state, browser)
    url = await provider.authorization_url(state=state, nonce=nonce, verifier=verifier, more=more)
    return Response(ProviderAddress(url), headers=NO_STORE, cookies=[_cookie(context, browser, FLOW_SECONDS)])


async def finish(request: Request[Any, Any, Any], body: AnswerBody, purposes: tuple[Purpose, ...], session_id: str = "") -> Answer:
    """Verify a provider's answer, once.

    Raises:
        UnauthenticatedError: sign_in_expired | invalid_provider_answer.
        ForbiddenError: denied_by_provider | provider_error.
        NotFoundError, ConflictError, UnavailableError: See ``Provider.exchange``.
    """
    context, browser = context_of(request), _browser_of(request)
    provider = provider_of(context, body.provider)
    read = [_read(context, purpose, body.state, browser, session_id) for purpose in purposes] if browser else []
    found = next(((purpose, challenge) for purpose, challenge in zip(purposes, read, strict=False) if challenge is not None), None)
    if browser is None or found is None:
        raise UnauthenticatedError(
            "This sign-in took too long, or began in another browser. Sign in again, within ten minutes.", code="sign_in_expired"
        )
    purpose, challenge = found
    iss = body.iss if isinstance(body.iss, str) else None
    if challenge.subject != body.provider or not await provider.is_sender(iss):
        raise UnauthenticatedError(
            "The answer does not come from the provider that was asked. Sign in again.", code="invalid_provider_answer"
        )
    if not await spend(context, challenge):
        raise UnauthenticatedError("This sign-in was completed already. Sign in again.", code="sign_in_expired")
    if isinstance(body.error, str):
        raise _refusal(provider, body.error)
    if not isinstance(body.code, str) or not 0 < len(body.code) <= CODE_CHARS_MAX:
        raise UnauthenticatedError("The answer of the provider has no code. Sign in again.", code="invalid_provider_answer")
    nonce, verifier = _derived(context, body.state, browser)
    return Answer(provider=provider, purpose=purpose, signed_in=await provider.exchange(code=body.code, verifier=verifier, nonce=nonce))


def end_cookie(context: IdentityContext) -> Cookie:
    """Deletes the cookie of a round trip that is over."""
    return _cookie(context, "", 0)


def _read(context: IdentityContext, purpose: Purpose, state: str, browser: str, session_id: str) -> Challenge | None:
    return challenges.read(context.challenge_key, purpose, state, now_s=context.now_s(), binding=_binding(browser, session_id))


def _binding(browser: str, session_id: str) -> bytes:
    return f"{browser}.{session_id}".encode()


def _derived(context: IdentityContext, state: str, browser: str) -> tuple[str, str]:
    """Nonce and PKCE verifier of a state in a browser."""
    key = context.root.key("oidc")

    def derive(name: str) -> str:
        return encode_base64url(hmac.new(key, f"{name}.{state}.{browser}".encode(), hashlib.sha256).digest())

    return derive("nonce"), derive("verifier")


def _refusal(provider: Provider, error: str) -> ForbiddenError | UnavailableError:
    name = provider.settings.name
    if error in DENIED:
        return ForbiddenError(
            f"{name} did not sign you in: it was cancelled, or you are not allowed to use this application. Try again, or ask your administrator.",
            code="denied_by_provider",
        )
    if error in TEMPORARY:
        return UnavailableError(
            f"{name} cannot sign people in right now. Try again in a minute.", retry_after_seconds=10, code="provider_unavailable"
        )
    return ForbiddenError(
        f"{name} refused the request of this installation. Ask the administrator to check its settings.", code="provider_error"
    )


def _browser_of(request: Request[Any, Any, Any]) -> str | None:
    value = request.cookies.get(COOKIE, "")
    return value if _BROWSER.fullmatch(value) else None


def _cookie(context: IdentityContext, value: str, max_age: int) -> Cookie:
    # Strict suffices: the page that the provider leads to posts the answer itself
    return Cookie(
        key=COOKIE, value=value, path=COOKIE_PATH, max_age=max_age, httponly=True, secure=context.policy.cookie_secure, samesite="strict"
    )
