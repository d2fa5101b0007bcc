"""A primary and an asynchronous standby. The primary dies under load, the standby is promoted: the log replays what it lacked."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client import Account
from tests.faults.account import settled_account
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX
from tests.installation import Platform, until
from tests.standby import Pair, standby_pair

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with standby_pair(tmp_path) as one:
        yield one


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
