"""A primary and an asynchronous standby. The primary dies under load, the standby is promoted: the log replays what it lacked."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.client import Account
from tests.faults.account import settled_account
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX
from tests.installation import Platform, until
from tests.own_broker import free_ports

from ams_local.process import NOBODY_ID, Identity, server_identity, spawn
from ams_local.servers.postgres import Postgres, _place

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]
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


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one = Pair(tmp_path)
    try:
        yield one
    finally:
        one.stop()


def test_a_promoted_standby_gets_what_it_lacked_from_the_log(pair: Pair, tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", "--postgres", pair.url)
    try:
        platform.start()
        project = Account(platform.url).project()
        with Load(project) as load:
            until(lambda: load.ledger.count > 500, RECOVERY_SECONDS_MAX, "some load")
            pair.kill_primary()
            time.sleep(1)  # events are accepted that no table has yet
            began = time.monotonic()
            pair.promote_standby()
            task_id = load.canary()
            until(
                lambda: any(task["task_id"] == task_id for task in project.items("tasks")), RECOVERY_SECONDS_MAX, "the new primary serves"
            )
            recovered_seconds = time.monotonic() - began
        check_ledger(project, load)
        asyncio.run(
            settled_account(f"127.0.0.1:{platform.port_of('kafka')}", pair.standby.url("ams_traces"), platform.port_of("projector"))
        )
        print(
            f"\n{load.ledger.count} spans acknowledged, sent again for {dict(load.ledger.again)}; {recovered_seconds:.1f} s from the promotion "
            f"until a new span was listed; load average {os.getloadavg()[0]:.1f}"
        )
        assert load.ledger.wrong == []
    finally:
        platform.stop()
