"""One open socket: its bounded queue, its subscriptions, its owner and until when."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ams_contracts.frames import CLOSE_SLOW, ServerMessage
from ams_kit.telemetry.metrics import LIVE_CLOSED
from ams_live_gateway.encoding import message_of
from ams_live_gateway.protocol import Wire
from ams_live_gateway.tickets import Grant

QUEUE_MESSAGES_MAX = 256
QUEUE_BYTES_MAX = 1024 * 1024
DRAIN_SECONDS_MAX = 10.0
MESSAGES_PER_SECOND = 20
MESSAGES_BURST = 120  # a client that comes back subscribes to everything at once
REQUEST_IDS_REMEMBERED = 1_024


class Socket:
    """The server's end of a websocket. Writing never waits: what a client does not take is queued, and the queue is bounded."""

    def __init__(self, wire: Wire, grant: Grant) -> None:
        self.wire = wire
        self.grant = grant
        self.subs: dict[str, object] = {}
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._credit = float(MESSAGES_BURST)
        self._credit_at = time.monotonic()
        self._ids: deque[str] = deque(maxlen=REQUEST_IDS_REMEMBERED)
        self._ids_known: set[str] = set()
        self.on_close: Callable[[Socket], None] | None = None
        wire.on_writable = self._pump

    # -- out -------------------------------------------------------------------------------------------------------

    def has_room(self, messages: int, size: int) -> bool:
        """Whether so much may be queued behind what the client has not taken yet."""
        return len(self._queue) + messages <= QUEUE_MESSAGES_MAX and self._queued_bytes + size <= QUEUE_BYTES_MAX

    def write(self, message: bytes) -> None:
        """Send a framed message, now or when the client keeps up again."""
        if not self._queue and self.wire.writable:
            self.wire.write(message)
            return
        if not self.wire.is_open:
            return
        self._queue.append(message)
        self._queued_bytes += len(message)
        self._drained.clear()
        if len(self._queue) > 2 * QUEUE_MESSAGES_MAX or self._queued_bytes > 4 * QUEUE_BYTES_MAX:
            self.close(CLOSE_SLOW, "too slow")

    def say(self, *messages: ServerMessage) -> None:
        """Send our own words."""
        self.write(message_of(*messages))

    async def drained(self) -> bool:
        """Wait until the client has taken what was queued. False when it is gone, or is closed for being too slow."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await self._drained.wait()
        except TimeoutError:
            self.close(CLOSE_SLOW, "too slow: subscribe again after the last position that you saw")
            return False
        return self.wire.is_open

    def close(self, code: int, reason: str = "") -> None:
        """End it. What is queued is dropped: the client resumes after the last position that it saw."""
        if self.wire.is_open:
            LIVE_CLOSED.labels(str(code)).inc()
            self._queue.clear()
            self._queued_bytes = 0
            self.wire.close(code, reason)
        self._drained.set()
        if self.on_close is not None:
            self.on_close(self)

    def _pump(self) -> None:
        while self._queue and self.wire.writable:
            message = self._queue.popleft()
            self._queued_bytes -= len(message)
            self.wire.write(message)
        if not self._queue:
            self._drained.set()

    # -- in --------------------------------------------------------------------------------------------------------

    def may_speak(self, at: float) -> bool:
        """Whether the client keeps to 20 messages a second (with bursts).

        Args:
            at: Monotonic seconds.
        """
        self._credit = min(MESSAGES_BURST, self._credit + (at - self._credit_at) * MESSAGES_PER_SECOND) - 1
        self._credit_at = at
        return self._credit >= 0

    def is_new(self, request_id: str) -> bool:
        """Whether a request's id was not used on this socket before."""
        if request_id in self._ids_known:
            return False
        if len(self._ids) == REQUEST_IDS_REMEMBERED:
            self._ids_known.discard(self._ids[0])
        self._ids.append(request_id)
        self._ids_known.add(request_id)
        return True
