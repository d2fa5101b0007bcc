"""``python -m tests.server_host SOCKET``: starts Postgres, Valkey and Kafka for a test run, each when it is first asked for.

One per run: pytest's first process starts it, every xdist worker asks it. It ends with that process, however that ends, and takes the
servers and their data along.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ams_local.process import spawn
from ams_local.servers.base import free_port
from ams_local.servers.kafka import Kafka
from ams_local.servers.postgres import Postgres
from ams_local.servers.valkey import Valkey

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 5


class Host:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._password = secrets.token_hex(8)
        self._running: dict[str, str] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._turn = asyncio.Lock()

    def _server(self, name: str) -> tuple[Postgres | Valkey | Kafka, str]:
        data = self._folder / name
        if name == "postgres":
            server = Postgres(data=data, port=free_port(), password=self._password, fast_and_unsafe=True, connections_max=300)
            return server, server.url()
        if name == "redis":
            valkey = Valkey(data=data, port=free_port(), password=self._password)
            return valkey, valkey.url
        kafka = Kafka(data=data, port=free_port(), controller_port=free_port())
        return kafka, kafka.bootstrap

    async def address(self, name: str) -> str:
        async with self._turn:
            if name not in self._running:
                server, address = self._server(name)
                server.prepare()
                command = server.command()
                with (self._folder / f"{name}.log").open("ab") as output:
                    child = spawn(
                        command.argv,
                        env=command.env,
                        cwd=command.cwd,
                        output=output,
                        identity=command.identity,
                        death_signal=command.death_signal,
                    )
                self._children.append(child)
                async with asyncio.timeout(START_TIMEOUT_SECONDS):
                    while not await server.answers():
                        if child.poll() is not None:
                            raise RuntimeError((self._folder / f"{name}.log").read_text(errors="replace")[-500:])
                        await asyncio.sleep(0.05)
                self._running[name] = address
            return self._running[name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        try:
            answer = f"ok {await self.address(name)}"
        except Exception as error:  # noqa: BLE001  the test that asked reports it
            answer = f"error {type(error).__name__}: {error}"
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    def stop(self) -> None:
        for child in self._children:
            child.send_signal(signal.SIGQUIT if b"postgres" in Path(f"/proc/{child.pid}/cmdline").read_bytes() else signal.SIGKILL)
        for child in self._children:
            child.wait(STOP_TIMEOUT_SECONDS)


async def main(address: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = Path(tempfile.mkdtemp(prefix="ams-test-servers-"))
    host = Host(folder)
    server = await asyncio.start_unix_server(host.serve, address)
    try:
        await stop.wait()
    finally:
        server.close()
        host.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    os._exit(0)
