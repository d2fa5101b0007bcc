"""All of it in one object, for ``app.state.auth``."""

from typing import Self

import httpx
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ams_contracts.claims import Access
from ams_kit.auth.access import AccessClient
from ams_kit.auth.api_keys import KeyClient
from ams_kit.auth.identity_events import IdentityEvents
from ams_kit.auth.jwks import JwksKeys
from ams_kit.auth.revocation import RevocationList
from ams_kit.auth.verifier import Verifier
from ams_kit.background import Background

IDENTITY_TIMEOUT_SECONDS = 2
REDIS_TIMEOUT_SECONDS = 1
REDIS_CONNECTIONS_MAX = 64


def open_redis(url: str) -> Redis:
    """A Redis client with short timeouts and no retries: callers decide what to do when it is unavailable. Connects at first use.

    When all connections are in use, a call waits for one: a burst of sign-ins is no outage.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=REDIS_TIMEOUT_SECONDS,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        socket_keepalive=True,
        health_check_interval=10,
        max_connections=REDIS_CONNECTIONS_MAX,
    )
    return Redis.from_pool(pool)


class AuthKit:
    """What a service needs to know who asks and what they may.

    Attributes:
        verifier: Of access tokens.
        keys: Exchanges API keys (intake).
        changes: ``subscribe(callback)`` to hear ``IdentityChanged`` messages.
        redis: The client of it all.
        service_secret: Of the tokens between services.
    """

    def __init__(self, http: httpx.AsyncClient, redis: Redis, *, service_secret: str, public_url: str, service: str) -> None:
        self.redis = redis
        self.service_secret = service_secret
        self.keys = KeyClient(http)
        self.changes = IdentityEvents(redis)
        self.revocations = RevocationList(redis)
        self.verifier = Verifier(JwksKeys(http), self.revocations, issuer=public_url.rstrip("/"))
        self._http = http
        self._access = AccessClient(http, service_secret, service)
        for on_event in (self.revocations.on_event, self._access.on_event, self.keys.on_event):
            self.changes.subscribe(on_event)
        for on_missed in (self.revocations.refresh_soon, self._access.expire_all, self.keys.expire_all):
            self.changes.on_missed_events(on_missed)

    def start(self, background: Background) -> None:
        """Listen to identity and keep the replicas fresh, until the background tasks are stopped.

        Args:
            background: Of the application. Stop it before ``close``.
        """
        self.changes.start(background)
        self.revocations.start(background)

    @classmethod
    def open(cls, identity_url: str, redis_url: str, service_secret: str, public_url: str, *, service: str = "service") -> Self:
        """Build everything. Connects nothing yet: neither identity nor Redis needs to be up.

        Args:
            identity_url: Internal base address of identity.
            redis_url: ``AMS_REDIS_URL``.
            service_secret: ``AMS_SERVICE_SECRET``.
            public_url: ``AMS_PUBLIC_URL``: the issuer of tokens.
            service: Name of this service in the tokens that it shows to others.
        """
        http = httpx.AsyncClient(
            base_url=identity_url, timeout=IDENTITY_TIMEOUT_SECONDS, trust_env=False, limits=httpx.Limits(max_connections=32)
        )
        return cls(http, open_redis(redis_url), service_secret=service_secret, public_url=public_url, service=service)

    async def access(self, user_id: str, project_id: str) -> Access | None:
        """What a user is in a project; ``None`` when they are nothing there.

        Raises:
            UnavailableError: Nobody can say right now.
        """
        return await self._access.access(user_id, project_id)

    async def close(self) -> None:
        """Close the clients."""
        await self._http.aclose()
        await self.redis.aclose()
