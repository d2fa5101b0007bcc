"""A primary and an asynchronous standby, from the embedded binaries."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from tests.installation import until
from tests.own_broker import free_ports

from ams_local.process import NOBODY_ID, Identity, server_identity, spawn
from ams_local.servers.postgres import Postgres, _place

REPLICATION = ("-c", "wal_level=replica", "-c", "max_wal_senders=4", "-c", "max_replication_slots=4", "-c", "hot_standby=on")
START_SECONDS = 60


class Pair:
    """Both servers; the standby is a copy of the primary and follows it."""

    def __init__(self, folder: Path) -> None:
        primary, standby = free_ports(2)
        self.primary = Postgres(data=folder / "primary", port=primary, password="of the superuser", fast_and_unsafe=True)
        self.standby = Postgres(data=folder / "standby", port=standby, password=self.primary.password, fast_and_unsafe=True)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.primary.prepare()
        self._start("primary", self.primary)
        identity = server_identity()
        binaries = Path(self.primary.command().argv[0]).parent
        copied = _place(self.standby.data, identity)
        copied.mkdir(mode=0o700)
        if identity is Identity.NOBODY:
            os.chown(copied, NOBODY_ID, NOBODY_ID)
        output = (folder / "copying.out").open("wb")
        copying = spawn(
            [
                str(binaries / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(primary), "-U", "postgres", "-D", str(copied),
                "-R", "-X", "stream", "-c", "fast",
            ],
            env={"PGPASSWORD": self.primary.password},
            output=output.fileno(),
            identity=identity,
        )  # fmt: skip
        assert copying.wait(START_SECONDS) == 0, (folder / "copying.out").read_text()
        self._start("standby", self.standby)

    @property
    def url(self) -> str:
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://postgres:{self.primary.password.replace(' ', '%20')}@{hosts}/postgres"

    def _start(self, name: str, server: Postgres) -> None:
        command = server.command()
        self.running[name] = spawn([*command.argv, *REPLICATION], identity=command.identity, death_signal=command.death_signal)

        def answers() -> bool:
            assert self.running[name].poll() is None, f"{name} has ended"
            return asyncio.run(server.answers())

        until(answers, START_SECONDS, f"the {name} answers")

    def kill_primary(self) -> None:
        """As when its machine fails: with all its processes."""
        os.killpg(self.running["primary"].pid, 9)
        self.running.pop("primary").wait()

    def kill_standby(self) -> None:
        """As when its machine fails."""
        os.killpg(self.running["standby"].pid, 9)
        self.running.pop("standby").wait()

    def promote_standby(self) -> None:
        async def promote() -> None:
            connection = await asyncpg.connect(self.standby.url(), timeout=10)
            try:
                assert await connection.fetchval("select pg_promote(true, 60)")
            finally:
                await connection.close()

        asyncio.run(promote())

    def stop(self) -> None:
        for process in self.running.values():
            os.killpg(process.pid, 9)
            process.wait()


@contextmanager
def standby_pair(folder: Path) -> Iterator[Pair]:
    """Both servers, until the block ends."""
    one = Pair(folder)
    try:
        yield one
    finally:
        one.stop()
