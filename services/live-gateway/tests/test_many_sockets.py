"""A thousand sockets, fifty of which never read: the others get every record, and the fifty are closed."""

import asyncio
import secrets
import socket
import uuid
from typing import Any

import msgspec
import pytest

SOCKETS = 1_000
NEVER_READ = 50
RECORDS = 150
MARK = b'"n":'


def masked(payload: bytes) -> bytes:
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


class Viewer(asyncio.Protocol):
    """Opens a socket, follows a task, and counts records. The ``websockets`` client would take minutes for a thousand sockets."""

    def __init__(self, port: int, ticket: str, task_id: str) -> None:
        self._hello = masked(msgspec.json.encode({"op": "subscribe", "id": "1", "task_id": task_id}).ljust(200))
        self._request = (
            f"GET /api/live HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ams.v1, ticket.{ticket}\r\n\r\n"
        ).encode()
        self._seen = b""
        self._rest = b""
        self.following = asyncio.get_running_loop().create_future()
        self.records = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.following.done():
            self._seen += data
            if self._hello and b"\r\n\r\n" in self._seen:
                self.transport.write(self._hello)
                self._hello = b""
            if b'"subscribed"' not in self._seen:
                return
            data = self._seen.partition(b'"subscribed"')[2]
            self.following.set_result(None)
        data = self._rest + data
        self.records += data.count(MARK)
        self._rest = data[-(len(MARK) - 1) :]


@pytest.mark.parametrize("live", [{"live_sockets_per_user": SOCKETS}], indirect=True)
@pytest.mark.timeout(180)
async def test_clients_that_never_read_do_not_delay_the_others(live, project_id: str, task_id: str) -> None:
    claims = live.claims(str(uuid.uuid4()))
    viewers: list[Viewer] = []
    for number in range(SOCKETS):
        raw = socket.socket()
        raw.setblocking(False)  # noqa: FBT003  socket's own signature
        if number < NEVER_READ:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", live.port))
        ticket = await live.ticket(project_id, claims=claims)
        _, viewer = await asyncio.get_running_loop().create_connection(lambda ticket=ticket: Viewer(live.port, ticket, task_id), sock=raw)
        await viewer.following
        viewers.append(viewer)
    for viewer in viewers[:NEVER_READ]:
        viewer.transport.pause_reading()

    async with live.client(project_id) as last:
        await last.subscribe(task_id)
        for first in range(0, RECORDS, 10):
            await live.publish(project_id, task_id, *range(first, first + 10), pad=4_000)
        await last.steps(RECORDS)

        async with asyncio.timeout(60):
            while any(viewer.records < RECORDS for viewer in viewers[NEVER_READ:]):
                await asyncio.sleep(0.05)
            while len(live.app.state.hub.sockets) > SOCKETS - NEVER_READ + 1:
                await live.publish(project_id, secrets.token_hex(16), 0)
                await asyncio.sleep(0.2)

    assert {viewer.records for viewer in viewers[NEVER_READ:]} == {RECORDS}
    for viewer in viewers:
        viewer.transport.abort()
