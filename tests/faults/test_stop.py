"""It ends within ten seconds whatever its processes do, nothing stays behind, and it starts again from whatever was left."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.client import Account
from tests.faults.account import check_account
from tests.faults.beside import freeze
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX, kill
from tests.installation import Platform, until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]
STOP_SECONDS_MAX = 11  # 10 on a machine that does nothing else

Hurt = Callable[[Platform], object]


def freeze_all(platform: Platform, names: tuple[str, ...] = ()) -> None:
    freeze(*(int(one["pid"]) for name, one in platform.processes().items() if name in names or not names))


def frozen(name: str) -> dict[str, Hurt]:
    return {f"{name} is frozen": partial(freeze_all, names=(name,))}


def killed(name: str) -> dict[str, Hurt]:
    return {f"{name} was just killed": partial(kill, name=name)}


def kill_all(platform: Platform) -> None:
    """Every process at the same moment, the supervisor first."""
    platform.remember()
    for process in [platform.process, *platform.left()]:
        os.kill(process.pid, signal.SIGKILL)
    platform.process.wait()


def stop_under_load(platform: Platform, load: Load, hurt: Hurt) -> float:
    """Seconds until it has ended, with nothing left, after something bad happened."""
    count = load.ledger.count
    until(lambda: load.ledger.count > count + 100, RECOVERY_SECONDS_MAX, "some load")
    platform.remember()
    hurt(platform)
    began = time.monotonic()
    assert platform.stop() == 0
    seconds = time.monotonic() - began
    assert platform.left() == []
    return seconds


@pytest.mark.parametrize(
    "hurts",
    [
        {"everything is frozen": freeze_all} | killed("kafka"),
        pytest.param(
            frozen("kafka")
            | frozen("postgres")
            | frozen("valkey")
            | frozen("intake")
            | frozen("projector")
            | killed("postgres")
            | killed("valkey"),
            marks=pytest.mark.long,
        ),
    ],
    ids=["all", "each"],
)
def test_it_stops_in_time_whatever_happened_a_moment_before(own: Platform, hurts: dict[str, Hurt]) -> None:
    project, seconds = Account(own.url).project(), {}
    with Load(project) as load:
        for what, hurt in hurts.items():
            seconds[what] = stop_under_load(own, load, hurt)
            own.start()
        load.canary()
    check_ledger(project, load)
    check_account(own)
    print(f"\nseconds to stop: { {what: round(one, 1) for what, one in seconds.items()} }; load average {os.getloadavg()[0]:.1f}")
    assert max(seconds.values()) < STOP_SECONDS_MAX
    assert load.ledger.wrong == []


@pytest.mark.long
def test_it_starts_after_all_its_processes_were_killed_at_once_and_while_they_were_starting(own: Platform) -> None:
    project = Account(own.url).project()
    with Load(project) as load:
        until(lambda: load.ledger.count > 200, RECOVERY_SECONDS_MAX, "some load")
        kill_all(own)
        until(lambda: own.left() == [], 5, "no process is left")

        began = time.monotonic()
        own.start()
        seconds = time.monotonic() - began
        load.canary()

        assert own.stop() == 0
        for begun in ("kafka", "trace-query"):  # a server, and a service that is forked
            own.begin()
            until(lambda begun=begun: own.states().get(begun) in {"starting", "ready"}, RECOVERY_SECONDS_MAX, f"{begun} starts")
            own.remember()
            own.process.kill()
            own.process.wait()
            until(lambda: own.left() == [], 5, "no process is left")
        own.start()
        load.canary()
    check_ledger(project, load)
    check_account(own)
    print(f"\nready {seconds:.1f} s after all were killed; load average {os.getloadavg()[0]:.1f}")
    assert seconds < RECOVERY_SECONDS_MAX
    assert load.ledger.wrong == []
