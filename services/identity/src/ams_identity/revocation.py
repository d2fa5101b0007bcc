"""Writes revocations: first to Postgres (the source of truth, in the caller's transaction), then to Redis (which every service reads), then to the channel.

A revocation is complete once Redis has it. When ``push`` fails, it retries for as long as another service may still have a valid lease (see
``ams_kit.auth.revocation``), so that no service accepts the token when the caller receives an answer, whatever it is. ``Revoker.run`` renews the lease twice
a second, only while Postgres holds no revocation that Redis lacks. When the run id of the server is not the one in the list, Redis may have lost its data (or
the last second of it), and the complete list is written again from Postgres.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

import asyncpg
import structlog
from redis.asyncio import Redis

from ams_contracts import codec
from ams_contracts.claims import IDENTITY_CHANNEL, AccessClaims, IdentityChanged
from ams_identity.store import revocations
from ams_identity.store.revocations import Revocation
from ams_identity.tokens import ACCESS_SECONDS
from ams_kit.auth.revocation import (
    CURRENT_FIELD,
    LEASE_SECONDS,
    REVOCATIONS_KEY,
    SERVER_FIELD,
    UNTIL_FOREVER_S,
    fields_of,
    microseconds_of,
    revocation_unknown,
    revoked_by,
    session_ended,
)
from ams_kit.auth.tokens import LEEWAY_SECONDS
from ams_kit.errors import UnavailableError
from ams_kit.retriable import UNAVAILABLE

RENEW_SECONDS = 0.5
IN_FLIGHT_SECONDS = 0.5  # a revocation that was committed so recently may be on its way to Redis: it does not stop the renewal of the lease
PUSH_SECONDS = LEASE_SECONDS + IN_FLIGHT_SECONDS  # after this long no service has a lease that was renewed after the commit
RETRY_SECONDS = 0.1
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


class PostgresRevocations:
    """The revocations in Postgres, for identity's own routes. An ``ams_kit.auth.revocation.RevocationSource`` that does not need Redis."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def check(self, claims: AccessClaims) -> None:
        try:
            untils = await revocations.untils(self._pool, fields_of(claims))
        except UNAVAILABLE as error:
            raise revocation_unknown() from error
        if any(revoked_by(str(until_s), claims.iat) for until_s in untils):
            raise session_ended()


class Revoker:
    """Writes the list that ``ams_kit.auth.revocation`` reads."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, *, now_s: Callable[[], float]) -> None:
        self._pool = pool
        self._redis = redis
        self._now_s = now_s

    async def push(self, items: Sequence[Revocation]) -> None:
        """Write committed revocations to Redis and publish them on the channel. While Redis is unavailable, retries for 3.5 s.

        Raises:
            UnavailableError: Redis is still unavailable, so no service accepts any token now. ``run`` pushes the revocations once it recovers, before it
                renews the lease.
        """
        if not items:
            return
        deadline = time.monotonic() + PUSH_SECONDS
        try:
            async with asyncio.timeout(PUSH_SECONDS):
                while time.monotonic() < deadline:  # the time limit alone does not suffice: the client may lose one cancellation
                    if await self._try_push(items):
                        return
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            logger.warning("revocations not pushed in time", revocations=len(items))
        raise UnavailableError("The session has ended, but not every service has been notified. Try again.", code="revocation_pending")

    async def _try_push(self, items: Sequence[Revocation]) -> bool:
        try:
            await self._push(items)
        except UNAVAILABLE as error:
            logger.warning("revocations not pushed, retrying", revocations=len(items), error_type=type(error).__name__)
            return False
        return True

    async def announce(self, changed: IdentityChanged) -> bool:
        """Publish a change, so that caches evict their entries.

        Returns:
            False when Redis is unavailable. The change then arrives over the log; without that, entries expire by their own lifetimes (5 s, 30 s).
        """
        try:
            await self._redis.publish(IDENTITY_CHANNEL, codec.encode(changed))
        except UNAVAILABLE as error:
            logger.warning("change not announced", kind=changed.kind, error_type=type(error).__name__)
            return False
        return True

    async def restore(self, run_id: str) -> None:
        """Write the complete list to a server, in one transaction, with a new lease.

        Args:
            run_id: Of the server. If it is another one by now, services do not use the list.
        """
        at_us = await self._server_time()
        items = await revocations.live(self._pool, int(self._now_s()))
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(REVOCATIONS_KEY, mapping={**_fields(items), SERVER_FIELD: run_id, CURRENT_FIELD: str(at_us)})
        await pipeline.execute()
        logger.info("revocation list restored", revocations=len(items))

    async def _server_time(self) -> int:
        return microseconds_of(await self._redis.time())

    async def _push(self, items: Sequence[Revocation]) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(REVOCATIONS_KEY, mapping=cast("dict[Any, Any]", _fields(items)))
        for item in items:
            pipeline.publish(IDENTITY_CHANNEL, _changed(item))
        await pipeline.execute()
        await revocations.mark_pushed(self._pool, items)

    async def run(self) -> None:
        """Keep the list in Redis complete until cancelled. Raises when Redis or Postgres is unavailable.

        After a failure the state of Redis is unknown, so the list is written again.
        """
        await self.restore(await self._run_id())
        cleaned_up_at = 0.0
        while True:
            await self.renew()
            now = time.monotonic()
            if now - cleaned_up_at >= CLEANUP_SECONDS:
                await self._delete_expired()
                cleaned_up_at = now
            await asyncio.sleep(RENEW_SECONDS)

    async def renew(self) -> None:
        """Renew the lease: push what Redis lacks, then state the time at which that was determined.

        Raises:
            RedisError: Redis is unavailable. The lease ends within 3 s of its last renewal.
        """
        run_id = await self._run_id()
        server: Any = await self._redis.hget(REVOCATIONS_KEY, SERVER_FIELD)  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async
        if server is None or server.decode("latin-1") != run_id:
            await self.restore(run_id)
        at_us = await self._server_time()
        while missing := await revocations.unpushed(self._pool, IN_FLIGHT_SECONDS):
            await self._push(missing)
        await self._redis.hset(REVOCATIONS_KEY, CURRENT_FIELD, str(at_us))  # pyright: ignore[reportGeneralTypeIssues]  see above

    async def _run_id(self) -> str:
        return (await self._redis.info("server"))["run_id"]

    async def _delete_expired(self) -> None:
        fields = await revocations.delete_expired(self._pool, int(self._now_s()))
        if fields:
            await self._redis.hdel(REVOCATIONS_KEY, *fields)  # pyright: ignore[reportGeneralTypeIssues]  see above
