"""``ams up`` as a person meets it: it starts, stops, says what is wrong, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.installation import AMS, Platform, environment, until

from ams_local.servers.base import free_port

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]
STOP_SECONDS_MAX = 10
RECOVERY_SECONDS_MAX = 30  # 15 on a machine that does nothing else


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Platform]:
    """A platform that the test may ill-treat."""
    one = Platform(tmp_path / "my data")
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AMS, "up", *arguments], env=environment(), capture_output=True, text=True, check=False, timeout=60)


def test_it_starts_says_where_to_look_and_stops_without_a_trace(own: Platform) -> None:
    own.start()
    until(lambda: "AMS is at" in own.text(), 10, "the last line")
    last = own.text().strip().splitlines()[-1]
    began = time.monotonic()

    code = own.stop(signal.SIGINT)

    assert own.url in last
    assert code == 0
    assert time.monotonic() - began < STOP_SECONDS_MAX
    assert own.left() == []


def test_a_killed_supervisor_takes_everything_along_and_the_next_one_recovers(own: Platform) -> None:
    own.start()
    own.remember()

    own.process.kill()
    own.process.wait()

    until(lambda: own.left() == [], 5, "no process is left")
    own.start()
    assert own.stop() == 0


def test_every_process_comes_back_after_a_kill(own: Platform) -> None:
    own.start()
    before = own.processes()

    for one in before.values():
        os.kill(int(one["pid"]), signal.SIGKILL)

    def back() -> bool:
        now = own.processes()
        return all(now[name]["state"] == "ready" and now[name]["pid"] != before[name]["pid"] for name in before)

    until(back, RECOVERY_SECONDS_MAX, "all processes are back")
    assert own.get("/api/health")[0] == 200
    assert own.stop() == 0
    assert own.left() == []


def test_a_second_up_on_the_same_directory_is_refused(platform: Platform) -> None:
    done = up("--data", str(platform.data), "--port", str(free_port()))

    assert done.returncode == 2
    assert f"in use by process {platform.process.pid}" in done.stderr


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        done = up("--data", str(tmp_path / "data"), "--port", str(taken.getsockname()[1]))

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--kafka", "nonsense"), ("--kafka", "127.0.0.1:1"), ("--postgres", "mysql://here"), ("--postgres", "postgresql://a:b@127.0.0.1:1/x"),
        ("--redis", "http://here"), ("--redis", "redis://127.0.0.1:1/0"),
    ],
)  # fmt: skip
def test_a_wrong_address_of_a_server_is_one_sentence(tmp_path: Path, option: str, value: str) -> None:
    done = up("--data", str(tmp_path / "data"), "--port", str(free_port()), option, value)

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert option in done.stderr


def test_a_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "version").write_text("99\n")

    done = up("--data", str(data), "--port", str(free_port()))

    assert done.returncode == 2
    assert "newer" in done.stderr


def test_down_and_status_say_that_nothing_runs(tmp_path: Path) -> None:
    down = subprocess.run([AMS, "down", "--data", str(tmp_path / "none")], env=environment(), capture_output=True, text=True, check=False)
    status = subprocess.run(
        [AMS, "status", "--data", str(tmp_path / "none")], env=environment(), capture_output=True, text=True, check=False
    )

    assert (down.returncode, status.returncode) == (0, 3)
    assert "nothing runs" in down.stdout
    assert "nothing runs" in status.stdout


def test_reset_leaves_a_running_platform_and_foreign_folders_alone(platform: Platform, tmp_path: Path) -> None:
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "letter").write_text("dear")

    running = platform.command("reset", "--yes")
    other = subprocess.run([AMS, "reset", "--yes", "--data", str(foreign)], env=environment(), capture_output=True, text=True, check=False)

    assert (running.returncode, other.returncode) == (2, 2)
    assert (foreign / "letter").exists()


def test_secrets_are_readable_by_their_owner_only(platform: Platform) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in platform.data.glob("*.json")}

    assert set(modes.values()) == {0o600}
    assert platform.data.stat().st_mode & 0o077 == 0
