"""The transactional outbox: events are committed with what they tell of, and brought to ``ams.identity.v1`` by a background task.

At least once, in the order of commit per publisher. While the log is away they wait in the table, and identity works on.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
import structlog

from ams_contracts import codec
from ams_contracts.identity_events import IdentityEvent
from ams_contracts.topics import IDENTITY
from ams_identity.store import Executor, outbox
from ams_kit.bus import Log, Record

BATCH_MAX = 100
IDLE_SECONDS = 2.0
PAUSE_SECONDS = 2.0
PUBLISH_SECONDS = 4.0  # inside a transaction that may last 8 s

logger = structlog.get_logger(__name__)


def new_event_id() -> str:
    """32 hex digits by chance."""
    return secrets.token_hex(16)


def microseconds(at: datetime) -> int:
    """A moment as events write it."""
    return int(at.timestamp() * 1_000_000)


async def put(database: Executor, key: str, event: IdentityEvent, at: datetime) -> None:
    """Add an event, inside the transaction of what it tells of.

    Args:
        database: The connection of that transaction.
        key: Id of what the event is about: events of one key stay in order.
        event: What happened.
        at: When.
    """
    await outbox.insert(database, key.encode(), codec.encode(event), at)


class Outbox:
    """Publishes what waits. Wake it after a commit; it also looks every 2 s."""

    def __init__(self, pool: asyncpg.Pool, open_log: Callable[[], Awaitable[Log]]) -> None:
        self._pool = pool
        self._open_log = open_log
        self._log: Log | None = None
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed."""
        self._wake.set()

    async def close(self) -> None:
        """Disconnect from the log. ``run`` must have ended."""
        if self._log is not None:
            await self._log.close()

    async def publish(self, log: Log) -> int:
        """Bring the oldest events to the log and forget them. Returns how many.

        Raises:
            LogUnavailableError: They stay.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await outbox.lock(connection):
                return 0
            pending = await outbox.oldest(connection, BATCH_MAX)
            if pending:
                await log.publish(
                    [Record(topic=IDENTITY, key=item.key, value=item.value) for item in pending], timeout_seconds=PUBLISH_SECONDS
                )
                await outbox.delete(connection, [item.outbox_id for item in pending])
            return len(pending)

    async def run(self) -> None:
        """Publish what waits until cancelled. Raises when the log or the database is unavailable; the events stay in the table."""
        if self._log is None:
            self._log = await self._open_log()
        while True:
            self._wake.clear()
            while await self.publish(self._log):
                pass
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
