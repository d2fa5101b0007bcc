"""Writes revocations: first to Postgres (the source of truth, in the caller's transaction), then to Redis (which every service reads), then to the channel.

A revocation is complete once Redis has it: a request whose ``push`` fails gets a 503, and ``Revoker.run`` pushes it as soon as Redis is available.
``Revoker.run`` also checks the epoch of the list and the run id of the server. When either changed, Redis may have lost its data (or the last
second of it), and the complete list is written again from Postgres.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

import asyncpg
import structlog
from redis.asyncio import Redis

from ams_contracts import codec
from ams_contracts.claims import IDENTITY_CHANNEL, IdentityChanged
from ams_identity.store import revocations
from ams_identity.store.revocations import Revocation
from ams_identity.tokens import ACCESS_SECONDS
from ams_kit.auth.revocation import EPOCH_FIELD, REVOCATIONS_KEY, UNTIL_FOREVER_S
from ams_kit.auth.tokens import LEEWAY_SECONDS
from ams_kit.errors import UnavailableError
from ams_kit.retriable import UNAVAILABLE

EPOCH_CHECK_SECONDS = 0.5
RETRY_UNPUSHED_SECONDS = 5
CLEANUP_SECONDS = 60
MARGIN_SECONDS = 60  # a revocation outlives the last token by this much, because the clocks of machines differ

logger = structlog.get_logger(__name__)


def of_token(user_id: str, session_id: str, jti: str, expires_at_s: int) -> Revocation:
    """Revoke one access token."""
    until = expires_at_s + LEEWAY_SECONDS + MARGIN_SECONDS
    return Revocation(field=f"jti:{jti}", until_s=UNTIL_FOREVER_S, expires_at_s=until, user_id=user_id, session_id=session_id, jti=jti)


def of_session(user_id: str, session_id: str, at: datetime) -> Revocation:
    """Revoke every access token of a session."""
    return Revocation(
        field=f"sid:{session_id}", until_s=UNTIL_FOREVER_S, expires_at_s=_last_expiry(at), user_id=user_id, session_id=session_id
    )


def of_user(user_id: str, at: datetime) -> Revocation:
    """Revoke every access token that was issued to a user until now."""
    return Revocation(field=f"user:{user_id}", until_s=int(at.timestamp()) + 1, expires_at_s=_last_expiry(at), user_id=user_id)


def _last_expiry(at: datetime) -> int:
    return int(at.timestamp()) + ACCESS_SECONDS + LEEWAY_SECONDS + MARGIN_SECONDS


def _fields(items: Sequence[Revocation]) -> dict[str, str]:
    return {item.field: f"{item.until_s}:{item.expires_at_s}" for item in items}


def _changed(item: Revocation) -> bytes:
    return codec.encode(IdentityChanged(kind="session.revoked", user_id=item.user_id, session_id=item.session_id, jti=item.jti))


class Revoker:
    """Writes the list that ``ams_kit.auth.revocation`` reads."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, *, now_s: Callable[[], float]) -> None:
        self._pool = pool
        self._redis = redis
        self._now_s = now_s
        self._run_id: str | None = None

    async def push(self, items: Sequence[Revocation]) -> None:
        """Write committed revocations to Redis and publish them on the channel.

        Raises:
            UnavailableError: Redis is unavailable. ``run`` pushes them once it recovers; until then the caller must not report success.
        """
        if not items:
            return
        try:
            await self._write(items)
        except UNAVAILABLE as error:
            raise UnavailableError(
                "The session has ended, but not every service has been notified. Try again.", code="revocation_pending"
            ) from error
        await revocations.mark_pushed(self._pool, [item.field for item in items])

    async def announce(self, changed: IdentityChanged) -> bool:
        """Publish a change, so that caches evict their entries.

        Returns:
            False when Redis is unavailable. The entries then expire by their own lifetimes (5 s, 30 s).
        """
        try:
            await self._redis.publish(IDENTITY_CHANNEL, codec.encode(changed))
        except UNAVAILABLE as error:
            logger.warning("change not announced", kind=changed.kind, error_type=type(error).__name__)
            return False
        return True

    async def restore(self) -> None:
        """Write the complete list and a new epoch to Redis, in one transaction."""
        items = await revocations.live(self._pool, int(self._now_s()))
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(REVOCATIONS_KEY, mapping={**_fields(items), EPOCH_FIELD: secrets.token_hex(8)})
        await pipeline.execute()
        logger.info("revocation list restored", revocations=len(items))

    async def _write(self, items: Sequence[Revocation]) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(REVOCATIONS_KEY, mapping=cast("dict[Any, Any]", _fields(items)))
        for item in items:
            pipeline.publish(IDENTITY_CHANNEL, _changed(item))
        await pipeline.execute()

    async def run(self) -> None:
        """Keep the list in Redis equal to Postgres until cancelled. Raises when one of them is unavailable.

        After a failure the state of Redis is unknown, so the list is written again.
        """
        self._run_id = None
        unpushed_at = cleaned_up_at = 0.0
        while True:
            now = time.monotonic()
            await self._check_epoch()
            if now - unpushed_at >= RETRY_UNPUSHED_SECONDS:
                await self.push(await revocations.unpushed(self._pool))
                unpushed_at = now
            if now - cleaned_up_at >= CLEANUP_SECONDS:
                await self._delete_expired()
                cleaned_up_at = now
            await asyncio.sleep(EPOCH_CHECK_SECONDS)

    async def _check_epoch(self) -> None:
        run_id = (await self._redis.info("server"))["run_id"]
        epoch: Any = await self._redis.hget(REVOCATIONS_KEY, EPOCH_FIELD)  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        if epoch is None or run_id != self._run_id:
            await self.restore()
            self._run_id = run_id

    async def _delete_expired(self) -> None:
        fields = await revocations.delete_expired(self._pool, int(self._now_s()))
        if fields:
            await self._redis.hdel(REVOCATIONS_KEY, *fields)  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
