"""The auth kit of identity itself: the same verifier, guard and dependencies as in every service, with its own keys and tables as sources."""

from collections.abc import Callable

from redis.asyncio import Redis

from ams_contracts.claims import Access
from ams_kit.auth import AccessSource, IdentityEvents, Verifier
from ams_kit.auth.jwks import KeySource
from ams_kit.auth.revocation import RevocationList
from ams_kit.background import Background


class LocalAuth:
    """Implements what ``AuthMiddleware``, ``provide_access`` and ``internal_only`` expect in ``app.state.auth``."""

    def __init__(
        self, redis: Redis, keys: KeySource, access: AccessSource, *, service_secret: str, issuer: str, now_s: Callable[[], float]
    ) -> None:
        self.service_secret = service_secret
        self._access = access
        self._changes = IdentityEvents(redis)
        self.revocations = RevocationList(redis)
        self.verifier = Verifier(keys, self.revocations, issuer=issuer, now_s=now_s)
        self._changes.subscribe(self.revocations.on_event)
        self._changes.on_missed_events(self.revocations.refresh_soon)

    async def access(self, user_id: str, project_id: str) -> Access | None:
        return await self._access.access(user_id, project_id)

    def start(self, background: Background) -> None:
        """Subscribe to events and keep the replica of the revocation list current, until the background tasks are stopped."""
        self._changes.start(background)
        self.revocations.start(background)
