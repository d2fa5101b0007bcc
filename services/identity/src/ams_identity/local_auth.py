"""The auth kit of identity itself: the same verifier, guard and dependencies as in every service, with its own keys and tables as sources."""

from collections.abc import Callable

from ams_contracts.claims import Access
from ams_kit.auth import AccessSource, Verifier
from ams_kit.auth.jwks import KeySource
from ams_kit.auth.revocation import RevocationSource


class LocalAuth:
    """Implements what ``AuthMiddleware``, ``provide_access`` and ``internal_only`` expect in ``app.state.auth``."""

    def __init__(
        self,
        keys: KeySource,
        revocations: RevocationSource,
        access: AccessSource,
        *,
        service_secret: str,
        issuer: str,
        now_s: Callable[[], float],
    ) -> None:
        self.service_secret = service_secret
        self._access = access
        self.trusted_proxies = ()  # identity accepts no API keys
        self.verifier = Verifier(keys, revocations, issuer=issuer, now_s=now_s)

    async def access(self, user_id: str, project_id: str) -> Access | None:
        return await self._access.access(user_id, project_id)
