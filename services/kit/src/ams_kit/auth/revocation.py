"""The revocation list of access tokens: one Redis hash, written by identity and read for every request.

``HMGET ams:revocations epoch jti:<jti> sid:<sid> user:<user>`` is one round trip. A value is ``<until>:<expires>``: tokens of that subject
issued before ``until`` (seconds) are revoked, and the entry can be deleted after ``expires``. The field ``epoch`` is in the same hash: when it
is missing, Redis has lost its data, and a missing entry proves nothing until identity has restored the hash from Postgres.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import cast

import structlog
from redis.asyncio import Redis

from ams_contracts.claims import AccessClaims, IdentityChanged
from ams_kit.background import Background
from ams_kit.errors import InvalidTokenError, UnavailableError
from ams_kit.retriable import UNAVAILABLE

REVOCATIONS_KEY = "ams:revocations"
EPOCH_FIELD = "epoch"
UNTIL_FOREVER_S = 99_999_999_999
REPLICA_SECONDS = 30
REPLICA_REFRESH_SECONDS = 5
RECEIVED_MAX = 10_000
"""Revocations received over the channel since the last refresh. Beyond it the replica counts as too old to use."""
ASK_AGAIN_SECONDS = (
    0.5  # how long the replica answers alone after a failed request, so that a frozen Redis does not cost one timeout per request
)

logger = structlog.get_logger(__name__)


def fields_of(claims: AccessClaims) -> tuple[str, str, str]:
    """Return the fields of the hash that can revoke a token."""
    return (f"jti:{claims.jti}", f"sid:{claims.sid}", f"user:{claims.sub}")


def revoked_by(value: str | bytes | None, issued_at_s: int) -> bool:
    """Whether a field's value revokes a token that was issued at ``issued_at_s``. A malformed value revokes."""
    if value is None:
        return False
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    until = text.partition(":")[0]
    return not until.isdecimal() or issued_at_s < int(until)


class RevocationList:
    """Reads the revocation list, with a local replica for outages of Redis."""

    def __init__(self, redis: Redis, *, monotonic: Callable[[], float] = time.monotonic, now_s: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._monotonic = monotonic
        self._now_s = now_s
        self._replica: dict[str, str | bytes] = {}
        self._received: dict[str, str | bytes] = {}  # over the channel, since the last refresh of the replica
        self._replica_at = -1e9
        self._failed_at = -1e9
        self._wanted = asyncio.Event()

    def start(self, background: Background) -> None:
        """Refresh the replica until the background tasks stop."""
        background.spawn("revocation-replica", self._refresh_loop)

    @property
    def replica_age_seconds(self) -> float:
        """The age of the replica; a very large number when there is none yet."""
        return self._monotonic() - self._replica_at

    async def check(self, claims: AccessClaims) -> None:
        """Check that a token is not revoked.

        Raises:
            InvalidTokenError: The token is revoked.
            UnavailableError: Redis is unavailable or has lost its data, and the replica is older than 30 s.
        """
        names = fields_of(claims)
        known = await self._ask(names)
        if known is None:
            if self.replica_age_seconds > REPLICA_SECONDS:
                raise UnavailableError(
                    "The revocation list is unavailable, so the session cannot be verified. Try again.", code="revocation_unknown"
                )
            known = self._replica
        if any(revoked_by(known.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names):
            raise InvalidTokenError("This session was ended. Sign in again.", code="session_ended")

    def known_revoked(self, claims: AccessClaims) -> bool:
        """Whether a token is revoked according to the channel or the replica, without a request to Redis."""
        names = fields_of(claims)
        return any(revoked_by(self._replica.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names)

    def on_event(self, changed: IdentityChanged) -> None:
        """Add a revocation from identity's channel to the local state."""
        if changed.kind != "session.revoked":
            return
        forever = f"{UNTIL_FOREVER_S}:0"
        if changed.jti:
            self._received[f"jti:{changed.jti}"] = forever
        if changed.session_id:
            self._received[f"sid:{changed.session_id}"] = forever
        if changed.user_id and not changed.jti and not changed.session_id:
            self._received[f"user:{changed.user_id}"] = f"{int(self._now_s()) + 1}:0"
        if len(self._received) > RECEIVED_MAX:
            self._received.clear()
            self._replica_at = -1e9
        self._wanted.set()

    def refresh_soon(self) -> None:
        """Refresh the replica at once, because messages may have been missed."""
        self._wanted.set()

    async def _ask(self, names: tuple[str, ...]) -> Mapping[str, str | bytes] | None:
        if self._monotonic() - self._failed_at < ASK_AGAIN_SECONDS:
            return None
        try:
            epoch, *values = cast("list[bytes | None]", await self._redis.hmget(REVOCATIONS_KEY, [EPOCH_FIELD, *names]))  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        except UNAVAILABLE as error:
            self._failed_at = self._monotonic()
            logger.warning("reading the revocation list failed", error_type=type(error).__name__)
            return None
        if epoch is None:
            return None
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    async def _refresh_loop(self) -> None:
        while True:
            self._wanted.clear()
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REPLICA_REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Read the complete list into the replica.

        Raises:
            RedisError: Redis is unavailable. The replica stays as old as it is.
            UnavailableError: Redis has lost its data.
        """
        started_at = self._monotonic()
        received_before = set(self._received)
        everything = cast("dict[bytes, bytes]", await self._redis.hgetall(REVOCATIONS_KEY))  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        if EPOCH_FIELD.encode() not in everything:
            raise UnavailableError("Redis has lost the revocation list. Identity restores it.")
        self._replica = {name.decode("latin-1"): value for name, value in everything.items()}
        self._received = {name: value for name, value in self._received.items() if name not in received_before}
        self._replica_at = started_at
