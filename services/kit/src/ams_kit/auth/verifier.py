"""The verifier of access tokens, for every route of every service."""

import time
from collections.abc import Callable

from ams_contracts.claims import AUDIENCE, AccessClaims
from ams_kit.auth.jwks import KeySource
from ams_kit.auth.principal import Principal, principal_from
from ams_kit.auth.revocation import RevocationSource
from ams_kit.auth.tokens import TokenError, key_id_of, read_claims
from ams_kit.errors import InvalidTokenError


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
            key = await self._keys.key(key_id_of(token))
            public_key = None if key is None else key.public_key
            claims = read_claims(token, public_key, issuer=self._issuer, audience=self._audience, now_s=self._now_s())
            if key is not None and not key.may_have_signed_at(claims.iat):
                raise TokenError("replaced key")  # noqa: TRY301  handled like every other rule
            return claims  # noqa: TRY300
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
