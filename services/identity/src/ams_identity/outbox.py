"""The transactional outbox: an event is committed together with its change, and a background task publishes it to ``ams.identity.v1``.

Delivery is at least once, in the order of the commits per publisher. While the log is unavailable, events wait in the table and identity keeps working.
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
PUBLISH_SECONDS = 4.0  # shorter than the 8 s that the surrounding transaction may last

logger = structlog.get_logger(__name__)


def new_event_id() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


def microseconds(at: datetime) -> int:
    """A time in microseconds since the epoch, as events store it."""
    return int(at.timestamp() * 1_000_000)


async def put(database: Executor, key: str, event: IdentityEvent, at: datetime) -> None:
    """Add an event, inside the transaction of its change.

    Args:
        database: The connection of that transaction.
        key: Id of the event's subject; events with the same key stay in order.
        event: The event.
        at: The current time.
    """
    await outbox.insert(database, key.encode(), codec.encode(event), at)


class Outbox:
    """Publishes the events in the table. Call ``wake`` after a commit; it also checks the table every 2 s."""

    def __init__(self, pool: asyncpg.Pool, open_log: Callable[[], Awaitable[Log]]) -> None:
        self._pool = pool
        self._open_log = open_log
        self._log: Log | None = None
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Notify the publisher that an event was committed."""
        self._wake.set()

    async def close(self) -> None:
        """Disconnect from the log. ``run`` must have ended."""
        if self._log is not None:
            await self._log.close()

    async def publish(self, log: Log) -> int:
        """Publish the oldest events and delete them from the table. Returns their number.

        Raises:
            LogUnavailableError: The events stay in the table.
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
        """Publish events until cancelled. Raises when the log or the database is unavailable; the events stay in the table."""
        if self._log is None:
            self._log = await self._open_log()
        while True:
            self._wake.clear()
            while await self.publish(self._log):
                pass
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
