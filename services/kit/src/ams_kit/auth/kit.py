"""The authentication clients of a service in one object, for ``app.state.auth``."""

from typing import Any, Self

import httpx
from litestar import Request
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ams_contracts.claims import Access, AuditAction
from ams_kit.auth.access import AccessClient
from ams_kit.auth.api_keys import KeyClient
from ams_kit.auth.audit import AuditClient
from ams_kit.auth.identity_events import IdentityEvents
from ams_kit.auth.identity_log import IdentityLog
from ams_kit.auth.inbound import InboundVerifier, KeyStates
from ams_kit.auth.jwks import JwksKeys
from ams_kit.auth.revocation import RevocationList, ServerWatch
from ams_kit.auth.verifier import Verifier
from ams_kit.background import Background
from ams_kit.bus import Kafka
from ams_kit.http.client_address import address_of, parse_networks
from ams_kit.telemetry.tracing import watch_http

IDENTITY_TIMEOUT_SECONDS = 2
REDIS_TIMEOUT_SECONDS = 1
REDIS_CONNECTIONS_MAX = 64


def open_redis(url: str, server: ServerWatch | None = None) -> Redis:
    """Build a Redis client with short timeouts and no retries: callers decide what to do when Redis is unavailable. Connects on first use.

    When all connections are in use, a call waits for one, so that a burst of sign-ins does not look like an outage.

    Args:
        url: ``AMS_REDIS_URL``.
        server: Watches to which server the client connects; ``RevocationList`` needs it.
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
        **({} if server is None else {"redis_connect_func": server.on_connect}),
    )
    return Redis.from_pool(pool)


class AuthKit:
    """The clients with which a service authenticates callers and reads their roles.

    Attributes:
        verifier: Verifies access tokens.
        keys: Exchanges API keys for grants.
        inbound: Verifies the tokens of records of ``ams.inbound.v1``.
        changes: Delivers ``IdentityChanged`` messages; call ``subscribe(callback)``.
        redis: The Redis client that all of them share; ``close`` closes it.
        service_secret: Signs the tokens between services.
        trusted_proxies: Networks whose ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        redis_url: str,
        *,
        service_secret: str,
        public_url: str,
        service: str,
        kafka: Kafka | None = None,
        trusted_proxies: str = "",
    ) -> None:
        self.trusted_proxies = parse_networks(trusted_proxies)
        server = ServerWatch()
        self.redis = redis = open_redis(redis_url, server)
        self.service_secret = service_secret
        self.keys = KeyClient(http, service_secret=service_secret, service=service)
        self.changes = IdentityEvents(redis)
        self.revocations = RevocationList(redis, server)
        self.verifier = Verifier(JwksKeys(http), self.revocations, issuer=public_url.rstrip("/"))
        self._key_states = KeyStates(http, service_secret, service)
        self.inbound = InboundVerifier(JwksKeys(http), self._key_states, issuer=public_url.rstrip("/"))
        self._http = http
        self._access = AccessClient(http, service_secret, service)
        self._audit = AuditClient(http, service_secret, service)
        for on_event in (self.revocations.on_event, self._access.on_event, self.keys.on_event, self._key_states.on_event):
            self.changes.subscribe(on_event)
        for on_missed in (self.revocations.refresh_soon, self._access.expire_all, self.keys.expire_all, self._key_states.expire_all):
            self.changes.on_missed_events(on_missed)
        self._log = None if kafka is None else IdentityLog(kafka, self.changes.deliver)

    async def start(self, background: Background) -> None:
        """Listen to identity and refresh the replicas, until the background tasks stop. Connects in the background.

        Args:
            background: The application's background tasks. Stop them before ``close``.
        """
        self.changes.start(background)
        self.revocations.start(background)
        if self._log is not None:
            await self._log.start(background)

    @classmethod
    def open(
        cls,
        identity_url: str,
        redis_url: str,
        service_secret: str,
        public_url: str,
        *,
        service: str = "service",
        kafka: Kafka | None = None,
        trusted_proxies: str = "",
    ) -> Self:
        """Build the clients without connecting: neither identity nor Redis needs to be up.

        Args:
            identity_url: The internal base address of identity.
            redis_url: ``AMS_REDIS_URL``.
            service_secret: ``AMS_SERVICE_SECRET``.
            public_url: ``AMS_PUBLIC_URL``, the issuer of tokens.
            service: The name of this service in the tokens that it sends to other services.
            kafka: The log, over which identity's changes also arrive; ``None``: over the Redis channel alone.
            trusted_proxies: ``AMS_TRUSTED_PROXIES``.

        Raises:
            ValueError: ``trusted_proxies`` is no list of networks.
        """
        http = httpx.AsyncClient(
            base_url=identity_url, timeout=IDENTITY_TIMEOUT_SECONDS, trust_env=False, limits=httpx.Limits(max_connections=32)
        )
        watch_http(http)
        return cls(
            http,
            redis_url,
            service_secret=service_secret,
            public_url=public_url,
            service=service,
            kafka=kafka,
            trusted_proxies=trusted_proxies,
        )

    async def access(self, user_id: str, project_id: str) -> Access | None:
        """Return a user's role in a project; ``None`` when they have none.

        Raises:
            UnavailableError: The role cannot be determined now.
        """
        return await self._access.access(user_id, project_id)

    async def audit(self, request: Request[Any, Any, Any], action: AuditAction, access: Access, subject: str) -> None:
        """Add an entry to the audit log: what the caller of a request did in a project.

        Call it as the last step of the transaction of the action, so that no action is without an entry.

        Raises:
            UnavailableError: Identity does not answer.
        """
        client = address_of(request.scope, self.trusted_proxies)
        await self._audit.record(action, access, subject, None if client is None else str(client))

    async def close(self) -> None:
        """Close the clients."""
        await self._http.aclose()
        await self.redis.aclose()
