"""uvicorn's websocket protocol, extended for many sockets: writes encoded bytes, limits pings and fragments, and aborts clients that do not close.

Websocket frames of a server are not masked, so all sockets share a frame's bytes: no encoding, task switch or copy per socket.
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
SEND_BUFFER_BYTES = 64 * 1024  # the kernel's buffer would grow to megabytes, which hides that a client does not read
WRITE_BUFFER_BYTES = 32 * 1024  # beyond it, frames stay in the socket's own queue, which can be dropped when the socket is closed
CLOSE_TIMEOUT_SECONDS = 10.0
POLICY_VIOLATION = 1008


class SocketWriter:
    """The sending side of an open socket, in the extensions of the ASGI scope as ``WRITER_EXTENSION``."""

    def __init__(self, protocol: "LiveProtocol") -> None:
        self._protocol = protocol
        self.on_writable: Callable[[], None] | None = None

    @property
    def writable(self) -> bool:
        """Whether the client keeps up. While it does not, written bytes accumulate in memory."""
        return self._protocol.writable.is_set() and self.is_open

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes that the kernel has not accepted yet."""
        return self._protocol.transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed the socket yet."""
        protocol = self._protocol
        return protocol.handshake_complete and not protocol.close_sent and not protocol.disconnected and not protocol.transport.is_closing()

    def write(self, message: bytes) -> None:
        """Write an encoded message."""
        if self.is_open:
            self._protocol.transport.write(message)

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame after the written messages. Aborts the connection when the client has not answered after 10 s."""
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
    """The protocol class that uvicorn uses; see the module."""

    writer: SocketWriter | None = None
    _pings = 0
    _pings_since = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        """Limit the kernel's send buffer, so that a client that does not read is noticed."""
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Add the writer to the scope before the application's task runs."""
        super().handle_connect(event)
        if self.response.status_code == 101:  # noqa: PLR2004  Switching Protocols: only then there is a scope
            self.writer = SocketWriter(self)
            extensions: dict[str, Any] = self.scope.get("extensions") or {}
            extensions[WRITER_EXTENSION] = self.writer

    def handle_cont(self, event: Frame) -> None:
        """Limit the number of fragments of a message: empty fragments do not count towards its size limit."""
        if self._exceeds_limit(len(self.frames) >= FRAGMENTS_MAX, "too many fragments"):
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Limit pings, because the library answers each of them."""
        now = time.monotonic()
        if now - self._pings_since > 1:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._exceeds_limit(self._pings > PINGS_PER_SECOND_MAX, "too many pings"):
            return
        super().handle_ping()

    def _exceeds_limit(self, exceeded: bool, reason: str) -> bool:
        """Close a socket that exceeds a limit, and keep reading until the client answers: a connection reset would lose the close frame.

        Returns:
            Whether to drop the frame.
        """
        if exceeded and self.writer is not None:
            self.writer.close(POLICY_VIOLATION, reason)
        return self.close_sent

    def resume_writing(self) -> None:
        """Notify the socket that its client keeps up again."""
        super().resume_writing()
        if self.writer is not None and self.writer.on_writable is not None:
            self.writer.on_writable()
