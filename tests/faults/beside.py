"""A second process of a service beside the platform's own: the same command and environment on another port, as an operator scales out."""

import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

import httpx
import msgspec
from tests.installation import Platform, environment, until

from ams_local import plan
from ams_local.data import Secrets
from ams_local.servers.base import LOOPBACK, free_port

READY_SECONDS = 60
STOP_SECONDS = 10


def surroundings(platform: Platform) -> plan.Surroundings:
    """Of a platform with servers of its own, as its supervisor has them."""
    ports = json.loads((platform.data / "ports.json").read_bytes())
    secrets = msgspec.json.decode((platform.data / "secrets.json").read_bytes(), type=Secrets)
    return plan.Surroundings(
        public_url=platform.url,
        log_level="INFO",
        kafka=f"{LOOPBACK}:{ports['kafka']}",
        redis_url=f"redis://:{secrets.valkey_password}@{LOOPBACK}:{ports['valkey']}/0",
        admin_url="",
        database=plan.Database(hosts=f"{LOOPBACK}:{ports['postgres']}"),
        ports=ports,
        secrets=secrets,
    )


class Second:
    """Another process of one service; as a block, it is ready when the block begins and ended after it."""

    def __init__(self, platform: Platform, name: str) -> None:
        self._service = next(service for service in plan.services(surroundings(platform)) if service.name == name)
        self._log = platform.data / "logs" / f"second-{name}.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        module = self._service.target.partition(".")[0]
        ports = {name: str(free_port()) for name in ("AMS_GRPC_PORT",) if name in self._service.environ}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *self._service.argv],
                env={**environment(), **self._service.environ, "AMS_PORT": str(self.port), **ports},
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until(self._is_ready, READY_SECONDS, f"a second {self._service.name} is ready")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.send_signal(signal.SIGCONT)
        try:
            self.stop()
        finally:
            self.process.kill()
            self.process.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(errors="replace")[-2_000:]
        try:
            return httpx.get(f"http://{LOOPBACK}:{self.port}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def freeze(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def thaw(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
