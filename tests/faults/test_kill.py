"""Every process of the platform is killed while agents send: nothing that was acknowledged is lost or duplicated, and no answer is wrong."""

import os
import time

import pytest
from tests.client import Account
from tests.faults.account import check_account, positions_in
from tests.faults.follower import Follower
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX, RECOVERY_SECONDS_WANTED, kill, ready_again, until_served
from tests.installation import Platform, until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]
STOP_SECONDS_MAX = 12  # 10 there
STEADY_SPANS = 600
PROCESSES = ("identity", "intake", "projector", "trace-query", "live-gateway", "kafka", "postgres", "valkey", "caddy")


def test_every_process_in_turn_and_the_supervisor_are_killed_under_load(own: Platform) -> None:
    project = Account(own.url).project()
    seconds: dict[str, float] = {}
    load = Load(project)
    with Follower(project, load.watched) as follower, load:
        until_served(load, follower, RECOVERY_SECONDS_MAX)
        began, count = time.monotonic(), load.ledger.count
        until(lambda: load.ledger.count > count + STEADY_SPANS, RECOVERY_SECONDS_MAX, "a steady load")
        rate = (load.ledger.count - count) / (time.monotonic() - began)

        for name in PROCESSES:
            began = time.monotonic()
            pid = kill(own, name)
            until(lambda name=name, pid=pid: ready_again(own, name, pid), RECOVERY_SECONDS_MAX, f"{name} is back")
            until_served(load, follower, RECOVERY_SECONDS_MAX)
            seconds[name] = time.monotonic() - began

        began = time.monotonic()
        own.remember()
        own.process.kill()
        own.process.wait()
        until(lambda: own.left() == [], 5, "no process is left")
        own.start()
        until_served(load, follower, RECOVERY_SECONDS_MAX)
        seconds["supervisor"] = time.monotonic() - began

        began = time.monotonic()
        assert own.stop() == 0
        seconds["stop"] = time.monotonic() - began
        assert own.left() == []
        own.start()
        until_served(load, follower, RECOVERY_SECONDS_MAX)

        load.stop()
        check_ledger(project, load)
        log = check_account(own)
        in_log = positions_in(log, load.watched)
        until(lambda: follower.positions[-1] == in_log[-1], 10, "the follower has read to the end")

    slowest = max(seconds, key=lambda name: seconds[name])
    print(
        f"\n{load.ledger.count} spans acknowledged, {rate:.0f}/s before the first kill, sent again for {dict(load.ledger.again)}, longest refusal {load.ledger.longest_refusal_seconds:.1f} s; "
        f"slowest: {slowest} (wanted: {RECOVERY_SECONDS_WANTED} s); seconds: { {name: round(one, 1) for name, one in seconds.items()} }; "
        f"{len(follower.frames)} frames over {follower.connections} connections; load average {os.getloadavg()[0]:.1f}"
    )
    assert load.ledger.wrong == []
    assert follower.positions == in_log
    assert [frame["op"] for frame in follower.others if frame["op"] != "stale"] == []
    assert seconds["stop"] < STOP_SECONDS_MAX
    assert own.stop() == 0
    assert own.left() == []


@pytest.mark.long
def test_what_a_killed_postgres_took_back_is_projected_again_though_nobody_sends_any_more(own: Platform) -> None:
    project = Account(own.url).project()
    with Load(project) as load:
        until(lambda: load.ledger.count > 100, 60, "some load")
    task_id = load.canary()
    until(lambda: any(task["task_id"] == task_id for task in project.items("tasks")), 30, "the last span is projected")

    pid = kill(own, "postgres")

    until(lambda: ready_again(own, "postgres", pid), RECOVERY_SECONDS_MAX, "postgres is back")
    check_ledger(project, load)
    check_account(own)
    assert load.ledger.wrong == []
