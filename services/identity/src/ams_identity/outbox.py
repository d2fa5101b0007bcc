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
from ams_contracts.identity_events import AccessChanged, IdentityEvent, KeyRevoked, ProjectDeleted, SessionRevoked, UserDisabled
from ams_contracts.topics import IDENTITY
from ams_identity.store import Executor, outbox
from ams_kit.bus import Log, Record
from ams_kit.errors import UnavailableError
from ams_kit.telemetry.metrics import OUTBOX_EVENTS

EVENTS_MAX = 50_000
"""Events that may wait for the log, some 20 MB: then changes that have an event are refused."""
ENDS_MAX = 60_000
"""The same for events that end somebody's access. They have room when nothing else has."""
BATCH_MAX = 100
IDLE_SECONDS = 2.0
PAUSE_SECONDS = 2.0
RETRY_SECONDS = 30
PUBLISH_SECONDS = 4.0  # shorter than the 8 s that the surrounding transaction may last

logger = structlog.get_logger(__name__)


class OutboxFullError(UnavailableError):
    """Retry later: the log has been unavailable for so long that no further change can be recorded for it."""

    code = "outbox_full"


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

    Raises:
        OutboxFullError: ``EVENTS_MAX`` events wait already (``ENDS_MAX`` for one that ends access); roll the change back.
    """
    events_max = ENDS_MAX if _ends_access(event) else EVENTS_MAX
    if not await outbox.insert(database, key.encode(), codec.encode(event), at, events_max=events_max):
        raise OutboxFullError(
            "The log has been unavailable for too long to record more changes. Nothing was changed. Try again when it is back.",
            retry_after_seconds=RETRY_SECONDS,
        )


def _ends_access(event: IdentityEvent) -> bool:
    return isinstance(event, _ENDS) or (isinstance(event, AccessChanged) and event.role is None)


_ENDS = (UserDisabled, SessionRevoked, ProjectDeleted, KeyRevoked)


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

    async def measure(self) -> None:
        """Export how many events wait."""
        OUTBOX_EVENTS.set(await outbox.count(self._pool))

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
            await self.measure()
            while await self.publish(self._log):
                pass
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
