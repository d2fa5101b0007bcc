"""What the gateway spends on a delivery, against a bare websocket server that forwards the same records, in the same run.

``python -m tests.load.bench_live_fanout [--sockets 200] [--seconds 8]`` with ``AMS_TEST_KAFKA`` and ``AMS_TEST_REDIS_URL`` set. One JSON
line per server and load, and one with the ratio of deliveries per CPU second of the server's process. The bare one is ``websockets`` with
its ``broadcast``, fed by bare aiokafka: a message per record, no tickets, no ring, no positions. Loads: ``dense`` (200 records/s of one task:
the gateway sends at most every 50 ms, so it packs them), ``sparse`` (15 records/s: each record is a message of its own).
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer
from websockets.asyncio.server import broadcast, serve

from ams_contracts.claims import AUDIENCE, Access, AccessClaims, Role
from ams_contracts.topics import Topic, task_key
from ams_kit.auth import AuthKit, open_redis
from ams_kit.bus import Log, Record, create_topics
from ams_kit.service import run
from ams_kit.testing.revocations import kept_complete
from ams_live_gateway.app import make_app
from ams_live_gateway.protocol import LiveProtocol
from ams_live_gateway.settings import Settings
from ams_live_gateway.tickets import Grant, Tickets

PUBLIC_URL = "http://localhost:8080"
LOADS = {"dense": 200, "sparse": 15}  # records per second
RECORD_BYTES = 1_400
MARK = b'"sent":'
TARGET = 0.7
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


# -- the two servers, each in a process of its own ---------------------------------------------------------------------


def serve_gateway(bootstrap: str, redis_url: str, name: str, port: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        parameters = request.url.params
        return httpx.Response(
            200, content=msgspec.json.encode(Access(user_id=parameters["user_id"], project_id=parameters["project_id"], role=Role.VIEWER))
        )

    def make_auth(settings: Settings) -> AuthKit:
        http = httpx.AsyncClient(base_url="http://identity", transport=httpx.MockTransport(answer))
        return AuthKit(http, redis_url, service_secret="s" * 32, public_url=PUBLIC_URL, service="live-gateway")

    settings = Settings(
        public_url=PUBLIC_URL,
        kafka_bootstrap=bootstrap,
        redis_url=redis_url,
        identity_url="",
        service_secret="s" * 32,
        live_sockets_per_user=100_000,
    )
    steps, tasks = topics(name)
    run(
        "live-gateway",
        lambda: make_app(settings, make_auth=make_auth, steps=steps, tasks=tasks),
        host="127.0.0.1",
        port=port,
        log_level="ERROR",
        websocket_protocol=LiveProtocol,
    )


def serve_bare(bootstrap: str, name: str, port: int) -> None:
    async def main() -> None:
        open_ones: set[Any] = set()

        async def handler(connection: Any) -> None:
            open_ones.add(connection)
            await connection.wait_closed()

        consumer = AIOKafkaConsumer(topics(name)[0].name, bootstrap_servers=bootstrap, group_id=None)
        await consumer.start()
        async with serve(handler, "127.0.0.1", port, compression=None):
            async for record in consumer:
                broadcast(open_ones, record.value.decode())

    uvloop.run(main())


def topics(name: str) -> tuple[Topic, Topic]:
    return Topic(name=f"{name}.steps", version=1, partitions=1), Topic(name=f"{name}.tasks", version=1, partitions=1, compacted=True)


# -- the clients -------------------------------------------------------------------------------------------------------


class Viewer(asyncio.Protocol):
    """Speaks just enough of RFC 6455 to open a socket, and counts records as they come."""

    def __init__(self, port: int, protocols: str, hello: bytes | None) -> None:
        self._port = port
        self._protocols = protocols
        self._hello = hello
        self._rest = b""
        self.is_open = asyncio.get_running_loop().create_future()
        self.records = 0
        self.latencies: list[float] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            f"GET /api/live HTTP/1.1\r\nHost: localhost:{self._port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{self._protocols}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.is_open.done():
            head, end, data = (self._rest + data).partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.is_open.set_exception(RuntimeError(head.decode()))
                return
            if self._hello is not None:
                self.transport.write(masked(self._hello))
            self._rest = b""
            self.is_open.set_result(None)
        data = self._rest + data
        found = data.count(MARK)
        self.records += found
        self._rest = data[-(len(MARK) - 1) :]
        if self.latencies is not None and found:
            number = data.rpartition(MARK)[2][:18]
            if len(number) == 18:
                self.latencies.append(time.time() - int(number.split(b",")[0].strip(b'"')) / 1e6)


def masked(payload: bytes) -> bytes:
    length = len(payload)
    assert length < 65_536
    header = bytes((0x81, 0x80 | length)) if length < 126 else bytes((0x81, 0x80 | 126)) + length.to_bytes(2, "big")
    return header + b"\0\0\0\0" + payload


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


async def viewers(server: str, port: int, count: int, key: tuple[str, str], redis_url: str) -> list[Viewer]:
    redis = open_redis(redis_url)
    tickets = Tickets(redis)
    project_id, task_id = key
    hello = json.dumps({"op": "subscribe", "id": "1", "task_id": task_id}).encode() if server == "gateway" else None
    made: list[Viewer] = []
    for _ in range(count):
        protocols = ""
        if server == "gateway":
            now = int(time.time())
            claims = AccessClaims(
                iss=PUBLIC_URL,
                aud=AUDIENCE,
                sub=str(uuid.uuid4()),
                sid=str(uuid.uuid4()),
                jti=secrets.token_hex(8),
                iat=now,
                exp=now + 3_600,
            )
            protocols = f"Sec-WebSocket-Protocol: ams.v1, ticket.{await tickets.issue(Grant(project_id, claims))}\r\n"
        _, viewer = await asyncio.get_running_loop().create_connection(
            lambda protocols=protocols: Viewer(port, protocols, hello), "127.0.0.1", port
        )
        await viewer.is_open
        made.append(viewer)
    await redis.aclose()
    return made


async def measure(server: str, load: str, arguments: argparse.Namespace, bootstrap: str, redis_url: str) -> dict[str, Any]:
    name = f"fanout-{secrets.token_hex(5)}"
    steps, tasks = topics(name)
    await create_topics(bootstrap, topics=[steps, tasks])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.load.bench_live_fanout", "--serve", server, bootstrap, redis_url, name, str(port)]
    )
    try:
        await until_open(server, port)
        project_id, task_id = str(uuid.uuid4()), secrets.token_hex(16)
        everyone = await viewers(server, port, arguments.sockets, (project_id, task_id), redis_url)
        log = await Log.open(bootstrap, "bench")
        key = task_key(project_id, task_id)
        await publish(log, steps, key)  # a first one, so that all paths are warm and every viewer is subscribed
        await until_records(everyone, 1)
        everyone[0].latencies = []
        before, started_at = cpu_seconds(process.pid), time.perf_counter()
        records = int(arguments.seconds * LOADS[load])
        sending: set[asyncio.Task[None]] = set()
        for number in range(records):
            await asyncio.sleep(max(0, started_at + number / LOADS[load] - time.perf_counter()))
            sending.add(asyncio.create_task(publish(log, steps, key)))
        await asyncio.gather(*sending)
        await until_records(everyone, records + 1)
        seconds, spent = time.perf_counter() - started_at, cpu_seconds(process.pid) - before
        latencies = sorted(everyone[0].latencies)
        for viewer in everyone:
            viewer.transport.abort()
        await log.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    deliveries = records * len(everyone)
    return {
        "bench": "live_fanout", "server": server, "load": load, "sockets": len(everyone), "records_per_second": round(records / seconds), "deliveries": deliveries,
        "cpu_seconds": round(spent, 2), "deliveries_per_cpu_second": round(deliveries / max(spent, 0.01)),
        "p50_ms": round(latencies[len(latencies) // 2] * 1_000, 1), "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1_000, 1),
    }  # fmt: skip


async def publish(log: Log, topic: Topic, key: bytes) -> None:
    value = b'{"sent":%d,"pad":"%s"}' % (int(time.time() * 1e6), b"x" * RECORD_BYTES)
    await log.publish([Record(topic=topic, key=key, value=value)], timeout_seconds=20)


async def until_open(server: str, port: int) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{port}/readyz")
                if server == "bare" or answer.status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def until_records(everyone: list[Viewer], count: int) -> None:
    async with asyncio.timeout(120):
        while any(viewer.records < count for viewer in everyone):
            await asyncio.sleep(0.02)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    bootstrap = os.environ["AMS_TEST_KAFKA"]
    redis_url = os.environ["AMS_TEST_REDIS_URL"].rpartition("/")[0] + "/7"  # a database of our own: the list of revocations has one name
    redis = open_redis(redis_url)
    async with kept_complete(redis):
        for load in LOADS:
            bare = await measure("bare", load, arguments, bootstrap, redis_url)
            gateway = await measure("gateway", load, arguments, bootstrap, redis_url)
            ratio = gateway["deliveries_per_cpu_second"] / bare["deliveries_per_cpu_second"]
            for line in (
                bare,
                gateway,
                {"bench": "live_fanout", "load": load, "ratio": round(ratio, 2), "target": TARGET, "reached": ratio >= TARGET},
            ):
                print(json.dumps(line), flush=True)
    await redis.aclose()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        server, bootstrap, redis_url, name, port = sys.argv[2:]
        if server == "gateway":
            serve_gateway(bootstrap, redis_url, name, int(port))
        else:
            serve_bare(bootstrap, name, int(port))
    else:
        uvloop.run(main())
