"""Every process of the platform is killed while agents send: nothing that was acknowledged is lost or doubled, and nobody is told a lie."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.client import Account, Project, eventually
from tests.faults.account import check_account
from tests.faults.follower import Follower
from tests.faults.load import TOKENS_IN, TOKENS_OUT, Load
from tests.installation import Platform, until

from ams_contracts.topics import STEPS

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]
RECOVERY_SECONDS_MAX = 45  # 15 on a machine that does nothing else
STOP_SECONDS_MAX = 12  # 10 there
PROCESSES = ("identity", "intake", "projector", "trace-query", "live-gateway", "kafka", "postgres", "valkey", "caddy")
SAMPLE_TASKS = 5


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Platform]:
    """A platform that the test may ill-treat."""
    one = Platform(tmp_path / "data")
    try:
        yield one.start()
    finally:
        one.stop()


def kill(platform: Platform, name: str) -> int:
    pid = int(platform.processes()[name]["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def ready_again(platform: Platform, name: str, killed: int) -> bool:
    now = platform.processes()
    return now[name]["pid"] not in {0, killed} and all(one["state"] == "ready" for one in now.values())


def until_served(load: Load, follower: Follower, seconds: float) -> None:
    """Until a span that is posted now is acknowledged and readable, and one of the watched task has arrived live."""
    frames = len(follower.frames)
    task_id = load.canary()

    def readable() -> bool:
        try:
            return load.project.http.get(f"/api/traces/{load.project.id}/tasks/{task_id}").status_code == 200
        except httpx.TransportError:
            return False

    until(readable, seconds, "a new span is readable")
    until(lambda: len(follower.frames) > frames, seconds, "a new frame arrives")


def check_ledger(project: Project, load: Load) -> None:
    """Each acknowledged step is there once, each total is right."""
    wanted = load.ledger.steps
    tasks = eventually(
        lambda: {task["task_id"]: task for task in project.items("tasks")},
        lambda found: all(task_id in found and found[task_id]["steps"] >= len(steps) for task_id, steps in wanted.items()),
        60,
    )
    lost = {task_id: len(steps) - tasks.get(task_id, {"steps": 0})["steps"] for task_id, steps in wanted.items()}
    assert not any(missing > 0 for missing in lost.values()), f"lost: {sum(filter(lambda n: n > 0, lost.values()))} of {load.ledger.count}"
    for task_id, steps in wanted.items():
        task = tasks[task_id]
        skeleton = project.get(f"tasks/{task_id}/skeleton")
        there = skeleton["columns"]["step_id"]
        assert len(there) == len(set(there)) == task["steps"]
        assert steps <= set(there)
        calls = task["steps"] - sum(skeleton["types"][kind] == "agent" for kind in skeleton["columns"]["type"])
        assert (task["input_tokens"], task["output_tokens"]) == (calls * TOKENS_IN, calls * TOKENS_OUT)
    for task_id, steps in list(wanted.items())[:: max(1, len(wanted) // SAMPLE_TASKS)]:
        step_id = min(steps)
        payloads = project.get(f"tasks/{task_id}/steps/{step_id}")["payloads"]
        assert [payload["text"] for payload in payloads if payload["slot"] == "input"] == [f"the input of {step_id}"]


def test_every_process_in_turn_and_the_supervisor_are_killed_under_load(own: Platform) -> None:
    project = Account(own.url).project()
    seconds: dict[str, float] = {}
    load = Load(project)
    with Follower(project, load.watched) as follower, load:
        until_served(load, follower, RECOVERY_SECONDS_MAX)

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
        in_log = [position for (topic, _), logged in log.items() if topic == STEPS.name for position in logged.task_positions[load.watched]]
        until(lambda: follower.positions[-1] == in_log[-1], 10, "the follower has read to the end")

    slowest = max(seconds, key=lambda name: seconds[name])
    print(
        f"\n{load.ledger.count} spans acknowledged, sent again for {dict(load.ledger.again)}, longest refusal {load.ledger.longest_refusal_seconds:.1f} s; "
        f"slowest: {slowest}; seconds: { {name: round(one, 1) for name, one in seconds.items()} }; "
        f"{len(follower.frames)} frames over {follower.connections} connections; load average {os.getloadavg()[0]:.1f}"
    )
    assert load.ledger.wrong == []
    assert follower.positions == in_log
    assert [frame["op"] for frame in follower.others if frame["op"] != "stale"] == []
    assert seconds["stop"] < STOP_SECONDS_MAX
    assert own.stop() == 0
    assert own.left() == []


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
