"""An open socket: its bounded queue, its subscriptions, its credential and the expiry of that."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ams_contracts.frames import CLOSE_SLOW, ServerMessage
from ams_kit.telemetry.metrics import LIVE_CLOSED
from ams_live_gateway.encoding import encode_messages
from ams_live_gateway.protocol import SocketWriter
from ams_live_gateway.tickets import Grant

QUEUE_MESSAGES_MAX = 256
QUEUE_BYTES_MAX = 1024 * 1024
STALL_SECONDS_MAX = 10.0  # time without progress: the client accepted no byte
SLOW_SECONDS_MAX = 300.0  # time behind the log, although the client accepts bytes
PROGRESS_CHECK_SECONDS = 0.5
MESSAGES_PER_SECOND = 20
MESSAGES_BURST = 120  # a client that reconnects sends all its subscriptions at once
REQUEST_IDS_REMEMBERED = 1_024


class Socket:
    """The server side of a websocket. Writing does not wait: messages that the client does not accept yet are queued, and the queue is bounded."""

    def __init__(self, writer: SocketWriter, grant: Grant) -> None:
        self.writer = writer
        self.grant = grant
        self.subs: dict[str, object] = {}
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._written_bytes = 0
        self._sent_bytes = 0
        self._progress_at = time.monotonic()
        self._is_drained = asyncio.Event()
        self._is_drained.set()
        self._tokens = float(MESSAGES_BURST)
        self._tokens_at = time.monotonic()
        self._request_ids: deque[str] = deque(maxlen=REQUEST_IDS_REMEMBERED)
        self._request_ids_known: set[str] = set()
        self.on_close: Callable[[Socket], None] | None = None
        writer.on_writable = self._flush_queue

    # -- out -------------------------------------------------------------------------------------------------------

    def has_room(self, messages: int, size: int) -> bool:
        """Whether the queue has room for so many bytes."""
        return len(self._queue) + messages <= QUEUE_MESSAGES_MAX and self._queued_bytes + size <= QUEUE_BYTES_MAX

    def write(self, message: bytes) -> None:
        """Send an encoded message, now or when the client keeps up again."""
        self._written_bytes += len(message)
        if not self._queue and self.writer.writable:
            self.writer.write(message)
            return
        if not self.writer.is_open:
            return
        if not self._queue:
            self._progress_at = time.monotonic()
        self._queue.append(message)
        self._queued_bytes += len(message)
        self._is_drained.clear()
        if len(self._queue) > 2 * QUEUE_MESSAGES_MAX or self._queued_bytes > 4 * QUEUE_BYTES_MAX:
            self.close_slow()

    def send(self, *messages: ServerMessage) -> None:
        """Encode and send a message of the server."""
        self.write(encode_messages(*messages))

    @property
    def is_drained(self) -> bool:
        """Whether the queue is empty, so that the next message is written directly."""
        return self._is_drained.is_set()

    def is_stalled(self, at: float) -> bool:
        """Whether the client has accepted nothing for ``STALL_SECONDS_MAX``. Call it at least every second while something is queued.

        Args:
            at: Monotonic seconds.
        """
        sent = self._written_bytes - self._queued_bytes - self.writer.buffered_bytes
        if sent > self._sent_bytes or self.is_drained:
            self._sent_bytes, self._progress_at = sent, at
        return at - self._progress_at > STALL_SECONDS_MAX

    async def wait_drained(self, until: float | None = None) -> bool:
        """Wait until the client has accepted what was queued, however slowly, as long as it accepts something.

        Args:
            until: Monotonic seconds after which the client is too slow; ``None`` means no limit.

        Returns:
            False when the socket is closed, by the client or for being too slow.
        """
        while not self.is_drained:
            try:
                async with asyncio.timeout(PROGRESS_CHECK_SECONDS):
                    await self._is_drained.wait()
            except TimeoutError:
                now = time.monotonic()
                if self.is_stalled(now) or (until is not None and now > until):
                    self.close_slow()
        return self.writer.is_open

    def close_slow(self) -> None:
        """Close the socket of a client that does not keep up."""
        self.close(CLOSE_SLOW, "too slow: subscribe again after the last position that you received")

    def close(self, code: int, reason: str = "") -> None:
        """Close the socket and drop the queue: the client resumes after the last position that it received."""
        if self.writer.is_open:
            LIVE_CLOSED.labels(str(code)).inc()
            self._queue.clear()
            self._queued_bytes = 0
            self.writer.close(code, reason)
        self._is_drained.set()
        if self.on_close is not None:
            self.on_close(self)

    def _flush_queue(self) -> None:
        while self._queue and self.writer.writable:
            message = self._queue.popleft()
            self._queued_bytes -= len(message)
            self.writer.write(message)
        if not self._queue:
            self._is_drained.set()

    # -- in --------------------------------------------------------------------------------------------------------

    def within_rate_limit(self, at: float) -> bool:
        """Count a message, and return whether the client stays within 20 messages per second (with bursts).

        Args:
            at: Monotonic seconds.
        """
        self._tokens = min(MESSAGES_BURST, self._tokens + (at - self._tokens_at) * MESSAGES_PER_SECOND) - 1
        self._tokens_at = at
        return self._tokens >= 0

    def is_new_request_id(self, request_id: str) -> bool:
        """Record a request's id, and return whether it is new on this socket."""
        if request_id in self._request_ids_known:
            return False
        if len(self._request_ids) == REQUEST_IDS_REMEMBERED:
            self._request_ids_known.discard(self._request_ids[0])
        self._request_ids.append(request_id)
        self._request_ids_known.add(request_id)
        return True
