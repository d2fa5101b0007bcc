"""Verifies the tokens with which SDKs sign records of ``ams.inbound.v1``."""

import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ams_contracts.claims import INBOUND_AUDIENCE, IdentityChanged, InboundClaims, KeyState, Scope
from ams_kit.auth.api_keys import ID_CHARS
from ams_kit.auth.jwks import KeySource
from ams_kit.auth.service_tokens import service_token
from ams_kit.auth.tokens import ALGORITHM, LEEWAY_SECONDS, TIME_MAX_S, TokenError, key_id_of
from ams_kit.errors import InvalidTokenError, UnavailableError

IDENTITY = "identity"
STATE_SECONDS = 5
ENTRIES_MAX = 10_000

_SUBJECT = re.compile(rf"[0-9A-Za-z]{{{ID_CHARS}}}")
_claims = msgspec.json.Decoder(InboundClaims)
_state = msgspec.json.Decoder(KeyState)
_jws = jwt.PyJWS(algorithms=[ALGORITHM])


def read_inbound_claims(token: str, key: Ed25519PublicKey | None, *, issuer: str, at_s: float) -> InboundClaims:
    """Verify a token and return its claims.

    Args:
        token: As sent; ``key_id_of`` has checked its header.
        key: The public key of its ``kid``; ``None`` when there is none.
        issuer: The required value of ``iss``.
        at_s: The moment at which it must be valid, in seconds since the epoch.

    Raises:
        TokenError: The signature is wrong, a claim is missing or out of bounds, or the token is not valid at that moment (``expired``).
    """
    if key is None:
        raise TokenError("kid")
    try:
        claims = _claims.decode(_jws.decode(token, key, algorithms=[ALGORITHM]))
    except (jwt.InvalidTokenError, msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise TokenError("signature or claims") from error
    if claims.iss != issuer or claims.aud != INBOUND_AUDIENCE or _SUBJECT.fullmatch(claims.sub) is None:
        raise TokenError("issuer, audience or subject")
    if not 0 < claims.iat < claims.exp <= TIME_MAX_S or claims.iat > at_s + LEEWAY_SECONDS:
        raise TokenError("times")
    if claims.exp <= at_s - LEEWAY_SECONDS:
        raise TokenError("expired")
    return claims


class KeyStateSource(Protocol):
    """Knows which API keys are usable now."""

    async def state(self, key_id: str) -> KeyState | None:
        """Return the key; ``None`` when it is revoked or expired.

        Raises:
            UnavailableError: That cannot be determined now.
        """
        ...


class KeyStates:
    """Requests the state of API keys from identity, and caches it for 5 s or until identity publishes a revocation."""

    def __init__(
        self, http: httpx.AsyncClient, service_secret: str, service: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._secret = service_secret
        self._service = service
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, KeyState | None]] = {}
        self._changes = 0

    async def state(self, key_id: str) -> KeyState | None:
        known = self._known.get(key_id)
        now = self._monotonic()
        if known is not None and now - known[0] < STATE_SECONDS:
            return known[1]
        changes = self._changes
        state = await self._ask(key_id)
        if changes == self._changes:  # a revocation received during the request may be newer than its response
            self._known.pop(key_id, None)
            if len(self._known) >= ENTRIES_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[key_id] = (now, state)
        return state

    def on_event(self, changed: IdentityChanged) -> None:
        """Evict what a message of identity's channel may have changed."""
        if changed.kind in {"key.revoked", "project.deleted"}:
            self.expire_all()

    def expire_all(self) -> None:
        """Evict everything."""
        self._changes += 1
        self._known.clear()

    async def _ask(self, key_id: str) -> KeyState | None:
        headers = {"Authorization": f"Bearer {service_token(self._secret, IDENTITY, self._service)}"}
        try:
            response = await self._http.get(f"/internal/keys/{key_id}", headers=headers)
            if response.status_code == HTTPStatus.NOT_FOUND:
                return None
            response.raise_for_status()
            return _state.decode(response.content)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise UnavailableError("Identity does not answer, so the API key of a record cannot be checked.") from error


class InboundVerifier:
    """Accepts a token when identity signed it for ``ams.inbound.v1``, it was valid when the broker took the record, and its key is usable."""

    def __init__(self, keys: KeySource, states: KeyStateSource, *, issuer: str) -> None:
        self._keys = keys
        self._states = states
        self._issuer = issuer

    async def verify(self, token: str, at_s: float) -> KeyState:
        """Verify the token of a record.

        Args:
            token: As sent.
            at_s: The broker's timestamp of the record, in seconds since the epoch.

        Returns:
            The key that signed it.

        Raises:
            InvalidTokenError: Code ``unauthenticated``, ``expired`` or ``key_revoked``.
            UnavailableError: Identity does not answer.
        """
        try:
            key = await self._keys.key(key_id_of(token))
            claims = read_inbound_claims(token, None if key is None else key.public_key, issuer=self._issuer, at_s=at_s)
            if key is not None and not key.may_have_signed_at(claims.iat):
                raise TokenError("replaced key")  # noqa: TRY301  handled like every other rule
        except TokenError as error:
            expired = str(error) == "expired"
            raise InvalidTokenError("The token is not valid.", code="expired" if expired else "unauthenticated") from error
        state = await self._states.state(claims.sub)
        if state is None or state.project_id != claims.project_id or Scope.INGEST not in state.scopes:
            raise InvalidTokenError("The API key of the token was revoked, or it may not write.", code="key_revoked")
        return state
