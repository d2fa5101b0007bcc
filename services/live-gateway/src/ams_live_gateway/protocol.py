"""uvicorn's websocket protocol with what a gateway to many sockets needs: bytes written as they are, a limit on pings and fragments, and a hard end.

A server's websocket frames are not masked, so one frame's bytes serve every socket: no encoding, no task switch and no copy per socket.
"""

import socket as sockets
import time
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

WRITER_EXTENSION = "ams.wire"
PINGS_PER_SECOND_MAX = 20
FRAGMENTS_MAX = 256
SEND_BUFFER_BYTES = 64 * 1024  # of the kernel: it would grow to megabytes, in which a client that does not read hides
WRITE_BUFFER_BYTES = 32 * 1024  # above it we queue, where it can be dropped when the client is given up
CLOSE_TIMEOUT_SECONDS = 10.0
POLICY_VIOLATION = 1008


class SocketWriter:
    """The sending end of an open socket. Found in the ASGI scope's extensions under ``WRITER_EXTENSION``."""

    def __init__(self, protocol: "LiveProtocol") -> None:
        self._protocol = protocol
        self.on_writable: Callable[[], None] | None = None

    @property
    def writable(self) -> bool:
        """Whether the client keeps up. What is written while it does not piles up in memory."""
        return self._protocol.writable.is_set() and self.is_open

    @property
    def buffered_bytes(self) -> int:
        """What the kernel has not accepted yet."""
        return self._protocol.transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it yet."""
        protocol = self._protocol
        return protocol.handshake_complete and not protocol.close_sent and not protocol.disconnected and not protocol.transport.is_closing()

    def write(self, message: bytes) -> None:
        """Write a framed message."""
        if self.is_open:
            self._protocol.transport.write(message)

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye behind what was written. A client that has not answered after 10 s is cut off."""
        protocol = self._protocol
        if not self.is_open:
            return
        protocol.stop_keepalive()
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        protocol.conn.send_close(code, reason)
        protocol.transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        if protocol.read_paused:
            protocol.read_paused = False
            protocol.transport.resume_reading()
        protocol.close_timer = protocol.loop.call_later(CLOSE_TIMEOUT_SECONDS, protocol.transport.abort)


class LiveProtocol(WebSocketsSansIOProtocol):
    """See the module."""

    writer: SocketWriter | None = None
    _pings = 0
    _pings_since = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what the kernel buffers for a client that does not read."""
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Put the wire into the scope, before the application's task runs."""
        super().handle_connect(event)
        if self.response.status_code == 101:  # noqa: PLR2004  Switching Protocols: only then there is a scope
            self.writer = SocketWriter(self)
            extensions: dict[str, Any] = self.scope.get("extensions") or {}
            extensions[WRITER_EXTENSION] = self.writer

    def handle_cont(self, event: Frame) -> None:
        """Limit the fragments of a message: empty ones never reach the limit of its size."""
        if self._exceeds_limit(len(self.frames) >= FRAGMENTS_MAX, "too many fragments"):
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Limit the pings: the library answers each one."""
        now = time.monotonic()
        if now - self._pings_since > 1:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._exceeds_limit(self._pings > PINGS_PER_SECOND_MAX, "too many pings"):
            return
        super().handle_ping()

    def _exceeds_limit(self, exceeded: bool, reason: str) -> bool:
        """Close a socket that exceeds a limit, and continue reading until the client answers: a reset would lose the close frame.

        Returns:
            Whether the frame is to be dropped.
        """
        if exceeded and self.writer is not None:
            self.writer.close(POLICY_VIOLATION, reason)
        return self.close_sent

    def resume_writing(self) -> None:
        """Note that the client of the socket keeps up again."""
        super().resume_writing()
        if self.writer is not None and self.writer.on_writable is not None:
            self.writer.on_writable()
