"""The verifier of access tokens, for every route of every service."""

import time
from collections.abc import Callable
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ams_contracts.claims import AUDIENCE, AccessClaims, ShareClaims
from ams_kit.auth.jwks import KeySource
from ams_kit.auth.principal import Principal, SharePrincipal, principal_from, share_principal_from
from ams_kit.auth.revocation import RevocationSource
from ams_kit.auth.tokens import TokenError, key_id_of, read_claims, read_share_claims
from ams_kit.errors import InvalidTokenError

Claims = TypeVar("Claims", bound=AccessClaims)


class Verifier:
    """Accepts a token when identity signed it for our audience, it is valid now, and it is not revoked."""

    def __init__(
        self,
        keys: KeySource,
        revocations: RevocationSource,
        *,
        issuer: str,
        audience: str = AUDIENCE,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._revocations = revocations
        self._issuer = issuer
        self._audience = audience
        self._now_s = now_s

    async def claims(self, token: str) -> AccessClaims:
        """Verify a token and return its claims, without a check whether it is revoked.

        Raises:
            InvalidTokenError: The token is not valid.
            UnavailableError: Identity's keys are not known.
        """
        try:
            return await self._read(
                token, lambda key: read_claims(token, key, issuer=self._issuer, audience=self._audience, now_s=self._now_s())
            )
        except TokenError as error:
            raise InvalidTokenError("The token is not valid. Sign in again.") from error

    async def verify(self, token: str) -> Principal:
        """Verify a token and return its principal.

        Raises:
            InvalidTokenError: The token is not valid, or it is revoked.
            UnavailableError: Identity's keys or the revocation list are not available.
        """
        claims = await self.claims(token)
        await self._revocations.check(claims)
        return principal_from(claims)

    async def share_claims(self, token: str) -> ShareClaims:
        """Verify the token of a visitor of a public link and return its claims, without a check whether it is revoked.

        Raises:
            InvalidTokenError: The token is not valid.
            UnavailableError: Identity's keys are not known.
        """
        try:
            return await self._read(token, lambda key: read_share_claims(token, key, issuer=self._issuer, now_s=self._now_s()))
        except TokenError as error:
            raise InvalidTokenError("The token is not valid. Open the link again.") from error

    async def verify_share(self, token: str) -> SharePrincipal:
        """Verify the token of a visitor of a public link and return its principal.

        Raises:
            InvalidTokenError: The token is not valid, or its link was revoked.
            UnavailableError: Identity's keys or the revocation list are not available.
        """
        claims = await self.share_claims(token)
        await self._revocations.check(claims)
        return share_principal_from(claims)

    async def _read(self, token: str, read: Callable[[Ed25519PublicKey | None], Claims]) -> Claims:
        """Read the claims with the key that the token names.

        Raises:
            TokenError: The token is not valid, or its key was replaced before it says that it was signed.
        """
        key = await self._keys.key(key_id_of(token))
        claims = read(None if key is None else key.public_key)
        if key is not None and not key.may_have_signed_at(claims.iat):
            raise TokenError("replaced key")
        return claims
