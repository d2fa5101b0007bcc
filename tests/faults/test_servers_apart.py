"""Kafka, Postgres and Valkey that were started apart: the platform uses them, starts none of its own, and leaves them running."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client import Account
from tests.faults.account import settled_account
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX, kill, ready_again
from tests.installation import Platform, until
from tests.servers import HOST_VARIABLE, ask_host, begin_host, end_host

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(240)]
EMBEDDED = {"kafka", "postgres", "valkey"}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Addresses of servers that nobody else uses: the platform makes topics, databases and roles by their real names."""
    monkeypatch.setenv(HOST_VARIABLE, "")  # begin_host sets it, and afterwards it is what it was
    host = begin_host()
    try:
        yield {name: ask_host(name) for name in ("kafka", "postgres", "redis")}
    finally:
        end_host(host)


def test_servers_of_ones_own_are_used_and_none_is_started(tmp_path: Path, servers: dict[str, str]) -> None:
    platform = Platform(tmp_path / "data", *(part for name, address in servers.items() for part in (f"--{name}", address)))
    try:
        platform.start()
        assert not EMBEDDED & set(platform.processes())
        project = Account(platform.url).project()
        with Load(project) as load:
            until(lambda: load.ledger.count > 100, 60, "some load")
            pid = kill(platform, "projector")
            until(lambda: ready_again(platform, "projector", pid), RECOVERY_SECONDS_MAX, "the projector is back")
            load.canary()
        check_ledger(project, load)
        database = servers["postgres"].rpartition("/")[0] + "/ams_traces"
        asyncio.run(settled_account(servers["kafka"], database, platform.port_of("projector")))
        assert load.ledger.wrong == []
        assert not any((platform.data / name).exists() for name in EMBEDDED)

        assert platform.stop() == 0
        assert platform.left() == []
        assert {name: ask_host(name) for name in servers} == servers

        platform.start()  # once more on what is there
        check_ledger(project, load)
    finally:
        platform.stop()
