"""Which tokens are revoked: one Redis hash, written by identity, asked at every request.

``HMGET ams:revocations epoch jti:<jti> sid:<sid> user:<user>`` is one round trip. A value is ``<until>:<expires>``: tokens of that subject
issued before ``until`` (seconds) are revoked, and after ``expires`` nobody needs to know. The field ``epoch`` lives in the same hash: when it is
missing, Redis has lost its memory, and its "not revoked" proves nothing until identity has filled the hash again from Postgres.
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
"""Revocations received over the channel since the last refresh. Beyond it the replica counts as too old to decide anything."""
ASK_AGAIN_SECONDS = 0.5  # after a failed question the replica answers this long without asking, so that a frozen Redis costs one timeout and not one per request

logger = structlog.get_logger(__name__)


def fields_of(claims: AccessClaims) -> tuple[str, str, str]:
    """The fields of the hash that can revoke a token."""
    return (f"jti:{claims.jti}", f"sid:{claims.sid}", f"user:{claims.sub}")


def revoked_by(value: str | bytes | None, issued_at_s: int) -> bool:
    """Whether a field's value revokes a token issued then. A value that cannot be read revokes."""
    if value is None:
        return False
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    until = text.partition(":")[0]
    return not until.isdecimal() or issued_at_s < int(until)


class RevocationList:
    """The list as a service reads it, with a local replica for the time in which Redis is away."""

    def __init__(self, redis: Redis, *, monotonic: Callable[[], float] = time.monotonic, now_s: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._monotonic = monotonic
        self._now_s = now_s
        self._replica: dict[str, str | bytes] = {}
        self._received: dict[str, str | bytes] = {}  # by the channel, since the replica was read
        self._replica_at = -1e9
        self._failed_at = -1e9
        self._wanted = asyncio.Event()

    def start(self, background: Background) -> None:
        """Keep the replica fresh until the background tasks are stopped."""
        background.spawn("revocation-replica", self._refresh_loop)

    @property
    def replica_age_seconds(self) -> float:
        """How old the local copy is; very old when there is none yet."""
        return self._monotonic() - self._replica_at

    async def check(self, claims: AccessClaims) -> None:
        """Let a token pass that is not revoked.

        Raises:
            InvalidTokenError: It is revoked.
            UnavailableError: Redis is away or has lost its memory, and the replica is older than 30 s.
        """
        names = fields_of(claims)
        known = await self._ask(names)
        if known is None:
            if self.replica_age_seconds > REPLICA_SECONDS:
                raise UnavailableError("Nobody can say right now whether this session was ended.", code="revocation_unknown")
            known = self._replica
        if any(revoked_by(known.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names):
            raise InvalidTokenError("This session was ended. Sign in again.", code="session_ended")

    def known_revoked(self, claims: AccessClaims) -> bool:
        """Whether a token is revoked as far as this process knows, without asking: by the channel, or by the replica of at most 5 s ago."""
        names = fields_of(claims)
        return any(revoked_by(self._replica.get(name), claims.iat) or revoked_by(self._received.get(name), claims.iat) for name in names)

    def on_event(self, changed: IdentityChanged) -> None:
        """Take a message of identity's channel into the replica."""
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
        """Read the replica again: messages may have been missed."""
        self._wanted.set()

    async def _ask(self, names: tuple[str, ...]) -> Mapping[str, str | bytes] | None:
        if self._monotonic() - self._failed_at < ASK_AGAIN_SECONDS:
            return None
        try:
            epoch, *values = cast("list[bytes | None]", await self._redis.hmget(REVOCATIONS_KEY, [EPOCH_FIELD, *names]))  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        except UNAVAILABLE as error:
            self._failed_at = self._monotonic()
            logger.warning("revocation list does not answer", error_type=type(error).__name__)
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
        heard = set(self._received)
        everything = cast("dict[bytes, bytes]", await self._redis.hgetall(REVOCATIONS_KEY))  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        if EPOCH_FIELD.encode() not in everything:
            raise UnavailableError("Redis has lost the revocation list; identity fills it again.")
        self._replica = {name.decode("latin-1"): value for name, value in everything.items()}
        self._received = {name: value for name, value in self._received.items() if name not in heard}
        self._replica_at = started_at
