"""Supervised processes: watched, started again, stopped; and those that a fork server forks."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from ams_local import fork_server_client
from ams_local.fork_server import Fork
from ams_local.fork_server_client import ForkServerClient
from ams_local.process import adopt_orphans, spawn
from ams_local.servers.base import Command, ServerError
from ams_local.supervisor import inherited_environment
from ams_local.units import Reaper, Supervised, Unit, server_starter

WAIT_SECONDS = 20
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)")


@pytest.fixture
async def reaper() -> AsyncIterator[Reaper]:
    one = Reaper()
    loop = asyncio.get_running_loop()
    one.install(loop)
    yield one
    loop.remove_signal_handler(signal.SIGCHLD)


async def until(condition: "asyncio.Event | None" = None, *, true: object = None) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        if condition is not None:
            await condition.wait()
        while callable(true) and not true():
            await asyncio.sleep(0.02)


def supervised(reaper: Reaper, argv: tuple[str, ...], log: Path) -> Supervised:
    return Supervised(Unit(name="one", start=server_starter(Command(argv=argv), log)), reaper, lambda: None)


async def test_a_killed_process_is_started_again(reaper: Reaper, tmp_path: Path) -> None:
    one = supervised(reaper, SLEEPER, tmp_path / "log")
    one.begin()
    await until(one.ready)
    first = one.status.pid

    os.kill(first, signal.SIGKILL)

    await until(true=lambda: one.status.state == "ready" and one.status.pid not in (0, first))
    assert one.status.restarts == 1
    await one.stop(5)


async def test_one_that_ends_at_once_is_counted_as_failing(reaper: Reaper, tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    start = server_starter(Command(argv=(sys.executable, "-c", "raise SystemExit('no')")), tmp_path / "log")
    one = Supervised(Unit(name="one", start=start, answers=never), reaper, lambda: None)
    one.begin()

    await until(true=lambda: one.early_failures >= 2)

    assert not one.ready.is_set()
    assert "no" in (tmp_path / "log").read_text()
    await one.stop(5)


async def test_one_that_does_not_end_is_ended(reaper: Reaper, tmp_path: Path) -> None:
    one = supervised(reaper, STUBBORN, tmp_path / "log")
    one.begin()
    await until(true=lambda: "deaf" in ((tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""))
    pid = one.status.pid

    await one.stop(0.2)

    assert not psutil.pid_exists(pid)
    assert one.status.state == "stopped"


async def test_a_program_that_does_not_exist_is_retried_and_reported(reaper: Reaper, tmp_path: Path) -> None:
    one = supervised(reaper, ("/no/such/program",), tmp_path / "log")
    one.begin()

    await until(true=lambda: one.early_failures >= 1)

    assert not one.ready.is_set()
    await one.stop(1)


@pytest.fixture
def module(tmp_path: Path) -> str:
    (tmp_path / "forked.py").write_text(
        textwrap.dedent("""
            import os, sys, time
            print("imported", os.getpid(), flush=True)
            def main(argv):
                print("running", argv, os.environ["AMS_WORD"], "HOME" in os.environ, flush=True)
                if argv == ["fail"]:
                    raise SystemExit("it is broken")
                time.sleep(600)
        """)
    )
    return str(tmp_path)


@pytest.fixture
async def fork_server(reaper: Reaper, tmp_path: Path, module: str) -> AsyncIterator[ForkServerClient]:
    adopt_orphans()
    one = ForkServerClient(["forked", "no_such_module"], tmp_path / "fork_server.log", {**inherited_environment(), "PYTHONPATH": module})
    one.begin()
    await one.ready()
    yield one
    one.close()


def request(tmp_path: Path, *argv: str) -> Fork:
    return Fork(
        target="forked:main", argv=list(argv), environ={"AMS_WORD": "hello"}, log=str(tmp_path / "child.log"), supervisor=os.getpid()
    )


async def test_a_fork_runs_what_was_imported_once_as_our_own_child(fork_server: ForkServerClient, reaper: Reaper, tmp_path: Path) -> None:
    pid = await fork_server.fork(request(tmp_path, "stay"))
    ended = reaper.ended(pid)

    await until(true=lambda: "running" in ((tmp_path / "child.log").read_text() if (tmp_path / "child.log").exists() else ""))

    assert "running ['stay'] hello False" in (tmp_path / "child.log").read_text()
    assert (tmp_path / "fork_server.log").read_text().count("imported") == 1
    assert psutil.Process(pid).ppid() == os.getpid()
    os.kill(pid, signal.SIGTERM)
    assert await asyncio.wait_for(ended, WAIT_SECONDS) == -signal.SIGTERM


async def test_a_failed_import_is_reported_and_not_fatal(fork_server: ForkServerClient) -> None:
    assert list(fork_server.missing) == ["no_such_module"]


async def test_the_exit_code_and_the_last_words_of_a_fork_arrive(fork_server: ForkServerClient, reaper: Reaper, tmp_path: Path) -> None:
    pid = await fork_server.fork(request(tmp_path, "fail"))

    code = await asyncio.wait_for(reaper.ended(pid), WAIT_SECONDS)

    assert code == 1
    assert (tmp_path / "child.log").read_text().splitlines()[-1] == "it is broken"


async def test_services_outlive_the_fork_server_which_is_restarted(fork_server: ForkServerClient, reaper: Reaper, tmp_path: Path) -> None:
    first = await fork_server.fork(request(tmp_path, "stay"))
    ended, dead = reaper.ended(first), reaper.ended(fork_server.pid)
    os.kill(fork_server.pid, signal.SIGKILL)
    await asyncio.wait_for(dead, WAIT_SECONDS)

    with pytest.raises(ServerError):
        await fork_server.fork(request(tmp_path, "stay"))
    second = await fork_server.fork(request(tmp_path, "stay"))

    assert psutil.pid_exists(first)
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(asyncio.gather(ended, reaper.ended(second)), WAIT_SECONDS)


ENDS_ITS_CHILDREN = """
import asyncio, os, sys
from pathlib import Path
from ams_local.fork_server import Fork
from ams_local.fork_server_client import ForkServerClient
from ams_local.process import adopt_orphans, children
from ams_local.supervisor import inherited_environment
from ams_local.units import Reaper, end_children

async def main(folder):
    adopt_orphans()
    Reaper().install(asyncio.get_running_loop())
    server = ForkServerClient(["forked"], folder / "log", {**inherited_environment(), "PYTHONPATH": str(folder)})
    server.begin()
    await server.ready()
    fork = Fork(target="forked:main", argv=["stay"], environ={"AMS_WORD": "x"}, log=str(folder / "child.log"), supervisor=os.getpid())
    starting = asyncio.create_task(server.fork(fork))
    await asyncio.sleep(0)  # the request is sent, and its answer is never read
    starting.cancel()
    while len(children()) < 2:
        await asyncio.sleep(0.01)
    server.close()
    print(await end_children(20), children())

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_fork_that_nobody_waits_for_ends_too(module: str) -> None:
    program = (sys.executable, "-c", ENDS_ITS_CHILDREN, module)

    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.stdout.strip(), ended.stderr) == ("[] []", "")


def test_a_child_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = """
import sys
from ams_local.process import spawn
child = spawn([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
sys.stdin.read()
"""
    with (tmp_path / "out").open("wb") as output:
        parent = spawn([sys.executable, "-c", program.replace("sys.stdin.read()", "__import__('time').sleep(600)")], output=output)
    while not (text := (tmp_path / "out").read_text()).endswith("\n"):
        assert parent.poll() is None
    child = psutil.Process(int(text))

    parent.kill()
    parent.wait()

    psutil.wait_procs([child], timeout=WAIT_SECONDS)
    assert not child.is_running()


async def test_a_slow_import_is_waited_for_and_its_progress_is_reported(
    reaper: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server_client, "ANSWER_TIMEOUT_SECONDS", 0.5)  # what an answer may take once everything is imported
    gate = tmp_path / "gate"
    (tmp_path / "slow_module.py").write_text(f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n")
    progress: list[str] = []
    adopt_orphans()
    client = ForkServerClient(
        ["json", "slow_module"],
        tmp_path / "fork_server.log",
        {**inherited_environment(), "PYTHONPATH": str(tmp_path)},
        on_progress=progress.append,
    )
    client.begin()
    ready = asyncio.create_task(client.ready())
    await until(true=lambda: len(progress) == 2)
    done, _ = await asyncio.wait({ready}, timeout=1)  # twice the limit of another answer
    assert not done

    gate.touch()
    await asyncio.wait_for(ready, WAIT_SECONDS)

    assert progress == ["importing json (1 of 2)", "importing slow_module (2 of 2)"]
    assert client.missing == {}
    client.close()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_an_import_of_three_minutes_still_starts(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(180)\n")
    adopt_orphans()
    client = ForkServerClient(["slow_module"], tmp_path / "fork_server.log", {**inherited_environment(), "PYTHONPATH": str(tmp_path)})
    client.begin()

    await asyncio.wait_for(client.ready(), 240)

    assert client.missing == {}
    client.close()
