"""A broker of one's own, to be stopped, frozen and killed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ams_local.servers.kafka import Kafka


def free_ports(count: int) -> list[int]:
    """Ports that are free now, each another one: all are held until the last is found."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


class OwnBroker:
    """An embedded broker that no other test uses."""

    def __init__(self, data: Path) -> None:
        port, controller_port = free_ports(2)
        self.kafka = Kafka(data=data, port=port, controller_port=controller_port)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    async def start(self) -> None:
        await asyncio.to_thread(self.kafka.prepare)
        command = self.kafka.command()
        self.process = subprocess.Popen(command.argv, cwd=command.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        async with asyncio.timeout(60):
            while not await self.kafka.answers():
                await asyncio.sleep(0.1)

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncGenerator[OwnBroker]:
    broker = OwnBroker(tmp_path / "kafka")
    await broker.start()
    yield broker
    broker.kill()
