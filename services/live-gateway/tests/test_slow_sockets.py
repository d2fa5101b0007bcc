"""A slow client is served at its own pace, and closed when it stalls or stays behind for too long."""

import asyncio
import secrets
import socket
import struct
import time
from typing import Any

import msgspec
import pytest

from ams_contracts.topics import task_key
from ams_kit.bus import Record
from ams_live_gateway import protocol, sockets, subscriptions

BYTES_PER_READ = 1_024


class RawClient:
    """A websocket client that reads only as many bytes as the test requests."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._data = b""
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None

    @classmethod
    async def connect(cls, live: Any, project_id: str) -> "RawClient":
        end = socket.socket()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        end.setblocking(False)  # noqa: FBT003  the name of the argument is positional only
        loop = asyncio.get_running_loop()
        await loop.sock_connect(end, ("127.0.0.1", live.port))
        ticket = await live.ticket(project_id)
        request = (
            f"GET /api/live HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ams.v1, ticket.{ticket}\r\n\r\n"
        )
        await loop.sock_sendall(end, request.encode())
        client = cls(end)
        while b"\r\n\r\n" not in client._data:
            client._data += await loop.sock_recv(end, BYTES_PER_READ)
        head, _, client._data = client._data.partition(b"\r\n\r\n")
        assert b" 101 " in head.splitlines()[0]
        return client

    async def send(self, **message: Any) -> None:
        payload = msgspec.json.encode(message)
        await asyncio.get_running_loop().sock_sendall(self._end, struct.pack("!BBI", 0x81, 0x80 | len(payload), 0) + payload)

    async def read(self) -> None:
        """Read once, at most 1 KiB."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._end, BYTES_PER_READ), 10)
        self._data += data
        while (message := self._take()) is not None:
            opcode, payload = message
            if opcode == 1:
                self.frames += msgspec.json.decode(payload)
            elif opcode == 8:
                self.close_code = int.from_bytes(payload[:2], "big")

    def _take(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 10 and (len(data) < 2 or data[1] > 125 or len(data) < 2 + data[1]):
            return None
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + length:
            return None
        self._data = data[start + length :]
        return data[0] & 15, data[start : start + length]

    def numbers(self) -> list[int]:
        return [frame["batch"]["n"] for frame in self.frames if frame["op"] == "frame"]

    def close(self) -> None:
        self._end.close()


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small buffers: a client of 1 KiB/s would need minutes to fill the real ones."""
    monkeypatch.setattr(protocol, "SEND_BUFFER_BYTES", 4_096)
    monkeypatch.setattr(protocol, "WRITE_BUFFER_BYTES", 1_024)
    monkeypatch.setattr(sockets, "QUEUE_BYTES_MAX", 16 * 1_024)
    monkeypatch.setattr(subscriptions, "CHUNK_BYTES_MIN", 2_048)


async def read_slowly(client: RawClient, seconds: float) -> None:
    """1 KiB a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and client.close_code is None:
        await client.read()
        await asyncio.sleep(1)


async def test_a_client_that_reads_1_kib_a_second_gets_every_frame_once(live: Any, project_id: str, task_id: str) -> None:
    client = await RawClient.connect(live, project_id)
    await client.send(op="subscribe", id="1", task_id=task_id)
    while not client.frames:
        await client.read()
    for number in range(60):
        await live.publish(project_id, task_id, number, pad=1_000)

    await read_slowly(client, 16)  # longer than the maximum time without progress
    await live.publish(project_id, task_id, 60)
    assert client.close_code is None
    assert len(client.numbers()) < 40
    while len(client.numbers()) < 61:
        await client.read()

    assert client.numbers() == list(range(61))
    client.close()


async def test_a_client_that_stays_behind_is_closed(live: Any, project_id: str, task_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "SLOW_SECONDS_MAX", 3.0)
    client = await RawClient.connect(live, project_id)
    await client.send(op="subscribe", id="1", task_id=task_id)
    while not client.frames:
        await client.read()
    for number in range(60):
        await live.publish(project_id, task_id, number, pad=1_000)

    await read_slowly(client, 6)
    while client.close_code is None:
        await client.read()

    assert client.close_code == 4409
    client.close()


async def test_a_slow_client_gets_the_newest_change_of_each_listed_task(live: Any, project_id: str) -> None:
    client = await RawClient.connect(live, project_id)
    await client.send(op="subscribe", id="1", list=True)
    while not client.frames:
        await client.read()
    task_ids = [secrets.token_hex(16) for _ in range(20)]

    async def change(version: int) -> None:
        value = msgspec.json.encode({"version": version, "pad": "x" * 1_000})
        await live.log.publish([Record(topic=live.tasks, key=task_key(project_id, task_id), value=value) for task_id in task_ids])

    for version in range(10):
        await change(version)
        await asyncio.sleep(0.1)
    newest: dict[str, int] = {}
    async with asyncio.timeout(30):
        while sorted(newest) != sorted(task_ids) or set(newest.values()) != {9}:
            await client.read()
            newest = {frame["task_id"]: frame["change"]["version"] for frame in client.frames if frame["op"] == "task"}

    assert client.close_code is None
    assert len([frame for frame in client.frames if frame["op"] == "task"]) < 10 * len(task_ids)
    client.close()


async def test_pending_changes_of_one_client_are_limited(live: Any, project_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "LATE_TASKS_MAX", 10)
    client = await RawClient.connect(live, project_id)
    await client.send(op="subscribe", id="1", list=True)
    while not client.frames:
        await client.read()

    for _ in range(6):
        value = msgspec.json.encode({"pad": "x" * 1_000})
        keys = [task_key(project_id, secrets.token_hex(16)) for _ in range(20)]
        await live.log.publish([Record(topic=live.tasks, key=key, value=value) for key in keys])
        await asyncio.sleep(0.2)
    async with asyncio.timeout(15):
        while client.close_code is None:
            await client.read()

    assert client.close_code == 4409
    client.close()
