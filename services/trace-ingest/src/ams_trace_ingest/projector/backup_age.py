"""Compares the age of the newest backup with what the log keeps: a restored database is completed from the log, if that still has all later records."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from ams_kit.telemetry.metrics import BACKUP_BEGAN, LOG_RETENTION

CHECK_SECONDS = 600.0
AGE_SHARE_MAX = 0.5  # of the log's retention: time to notice, to repair and to restore
KEPT_DAYS = 400
NEWEST = "SELECT max(began_at) FROM public.backups"
FORGET = "DELETE FROM public.backups WHERE began_at < $1"

logger = structlog.get_logger(__name__)


class BackupAge:
    """Reports the age of the newest backup."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        log_retention_ms: Callable[[], Awaitable[int | None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._log_retention_ms = log_retention_ms
        self._now = now
        self._warned = False

    async def run(self) -> None:
        """Check at the start and every ten minutes. Errors propagate: the supervisor retries."""
        while True:
            await self.check()
            await asyncio.sleep(CHECK_SECONDS)

    async def check(self) -> bool:
        """Whether the newest backup is young enough. Says so in the log when that changes, and once at the start if it is not.

        Raises:
            LogUnavailableError: The log does not answer.
        """
        retention_ms = await self._log_retention_ms()
        async with self._pool.acquire(timeout=5) as connection:
            began_at: datetime | None = await connection.fetchval(NEWEST)
            await connection.execute(FORGET, self._now() - timedelta(KEPT_DAYS))
        BACKUP_BEGAN.set(0 if began_at is None else began_at.timestamp())
        LOG_RETENTION.set(float("inf") if retention_ms is None else retention_ms / 1_000)
        if began_at is None:
            self._warn("no backup is recorded; without one, accounts, keys and settings cannot be restored", began_at, retention_ms)
            return False
        if retention_ms is not None and self._now() - began_at > AGE_SHARE_MAX * timedelta(milliseconds=retention_ms):
            self._warn("the newest backup is older than half of what the log keeps", began_at, retention_ms)
            return False
        if self._warned:
            logger.info("the newest backup is young enough again", began_at=began_at.isoformat())
            self._warned = False
        return True

    def _warn(self, event: str, began_at: datetime | None, retention_ms: int | None) -> None:
        if not self._warned:
            logger.warning(event, began_at=None if began_at is None else began_at.isoformat(), log_retention_ms=retention_ms)
            self._warned = True
