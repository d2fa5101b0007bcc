"""OTLP over gRPC under attack: what one client does on purpose must cost its neighbours nothing."""

import asyncio
import contextlib
import json
import socket
import sys
import uuid
from typing import Any

import grpc
import httpx
import msgspec
import pytest
from litestar import Litestar
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ams_contracts.claims import KeyGrant, Scope
from ams_kit.auth import KeyUse
from ams_kit.testing.serving import free_port
from ams_trace_ingest.intake.otlp_grpc import KEY_CALLS_MAX
from ams_trace_ingest.settings import IntakeSettings

ATTACKER, NEIGHBOUR = "ams_attacker_key", "ams_neighbour_key"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
STREAMS = 1_000
WAIT_SECONDS = 60
FLOOD = """
import asyncio, collections, json, sys
import grpc.aio

async def main(address, method, key, streams, kept):
    async with grpc.aio.insecure_channel(address) as channel:
        calls = [channel.stream_unary(method)(metadata=(("authorization", f"Bearer {key}"),)) for _ in range(streams)]
        codes = {asyncio.create_task(call.code()) for call in calls}
        ended = set()
        while len(ended) < streams - kept:
            now, codes = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
            ended |= now
        print(json.dumps(collections.Counter(one.result().name for one in ended)), flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])))
"""
"""Opens streams that send nothing, reports how those ended that do, and holds the others until it is killed."""


class Keys:
    """The exchange of the keys of two projects, as identity would answer it."""

    def __init__(self) -> None:
        self._projects = {ATTACKER: str(uuid.uuid4()), NEIGHBOUR: str(uuid.uuid4())}

    async def grant(self, api_key: str, use: KeyUse) -> KeyGrant:
        del use
        return KeyGrant(access_token="t", expires_in=600, project_id=self._projects[api_key], key_id=api_key, scopes=[Scope.INGEST])


@pytest.fixture
def keys() -> Any:
    return Keys()


@pytest.fixture
def settings(settings: IntakeSettings) -> IntakeSettings:
    return msgspec.structs.replace(settings, grpc_port=free_port())


@pytest.fixture
async def address(settings: IntakeSettings, client: httpx.AsyncClient) -> str:
    while (await client.get("/readyz")).status_code != 200:
        await asyncio.sleep(0.02)
    return f"127.0.0.1:{settings.grpc_port}"


async def export_of_neighbour(address: str) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes(range(1, 17)), span_id=b"12345678", name="chat", start_time_unix_nano=1_795_291_685_698_595_063
    )

    def export() -> bytes:
        with grpc.insecure_channel(address) as channel:
            send = channel.unary_unary(TRACES)
            return send(request.SerializeToString(), timeout=WAIT_SECONDS, metadata=(("authorization", f"Bearer {NEIGHBOUR}"),))

    assert await asyncio.to_thread(export) == b""  # nothing was rejected


async def test_a_thousand_silent_streams_of_a_key_leave_room_for_another_key(address: str, app: Litestar) -> None:
    arguments = ("-c", FLOOD, address, TRACES, ATTACKER, str(STREAMS), str(KEY_CALLS_MAX))
    flood = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert flood.stdout is not None
        codes = json.loads(await asyncio.wait_for(flood.stdout.readline(), WAIT_SECONDS))
        held = app.state.intake.budget.bytes_held

        await export_of_neighbour(address)
    finally:
        flood.kill()
        await flood.wait()

    assert set(codes) == {"RESOURCE_EXHAUSTED"}
    assert held <= app.state.intake.budget.bytes_max / 3
    async with asyncio.timeout(WAIT_SECONDS):
        while app.state.intake.budget.bytes_held:
            await asyncio.sleep(0.02)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NOT_GRPC = {
    "random bytes": b"\x93\x11\xfe" * 1_000,
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "half a preface": PREFACE[:10],
    "a preface without settings": PREFACE,
    "a frame that is too large": PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 100,
    "nothing": b"",
}


async def test_connections_that_do_not_speak_grpc_are_closed(address: str) -> None:
    host, port = address.split(":")
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.create_connection((host, int(port)))) for name in NOT_GRPC}
        for name, sent in NOT_GRPC.items():
            sockets[name].sendall(sent)

        await export_of_neighbour(address)

        for name, one in sockets.items():
            one.settimeout(WAIT_SECONDS)
            assert await asyncio.to_thread(until_closed, one), name


def until_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
