"""A server whose disk is full: agents are asked to retry, nothing is corrupted, and work resumes when there is space."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client import Account, Project
from tests.faults.account import check_account
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.installation import Platform, until
from tests.servers import missing

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(500), pytest.mark.long]
ROOM_MIB = {"kafka": 96, "postgres": 256}
REFUSED_SECONDS = 60
RECOVERY_SECONDS = 90
FILLER = "filler"
NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount")


def small_disk(folder: Path, small: Path, mib: int) -> tuple[str, ...]:
    """Runs a command with a folder's content on a small disk, in namespaces of its own: no root is needed, and nothing is left behind."""
    script = f'mount -t tmpfs -o size={mib}m tmpfs "$1" && cp -a "$0/." "$1" && mount --bind "$1" "$0" && shift && exec "$@"'
    return (*NAMESPACES, "sh", "-c", script, str(folder), str(small))


@pytest.fixture
def cramped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    """A platform of which one server has a small disk."""
    name: str = request.param
    if subprocess.run([*NAMESPACES, "true"], check=False, capture_output=True).returncode != 0:
        missing("this machine lets nobody mount a disk in a namespace")
    data = tmp_path / "data"
    first = Platform(data)
    try:
        first.start()
    finally:
        first.stop()
    small = tmp_path / "small"
    small.mkdir()
    platform = Platform(data, within=small_disk(data / name, small, ROOM_MIB[name]))
    try:
        yield platform.start()
    finally:
        platform.stop()


def disk(platform: Platform, name: str) -> Path:
    """The small disk as it is seen from outside of its namespace."""
    return Path(f"/proc/{platform.process.pid}/root{platform.data}/{name}")


def fill(folder: Path) -> None:
    """To the last byte."""
    with (folder / FILLER).open("wb", buffering=0) as filler:
        block = bytes(1 << 20)
        while block:
            try:
                filler.write(block)
            except OSError:
                block = block[: len(block) // 2]


@pytest.mark.parametrize("cramped", ["kafka"], indirect=True)
def test_intake_refuses_while_the_brokers_disk_is_full(cramped: Platform) -> None:
    project = Account(cramped.url).project()
    folder = disk(cramped, "kafka")
    with Load(project) as load:
        until(lambda: load.ledger.count > 100, 60, "some load")
        fill(folder)

        until(lambda: load.ledger.again["503"] > 20, REFUSED_SECONDS, "agents are asked to retry")

        (folder / FILLER).unlink()
        wait_for_more(load)
    check_everything(cramped, project, load)


@pytest.mark.parametrize("cramped", ["postgres"], indirect=True)
def test_what_is_accepted_while_the_disk_of_the_tables_is_full_is_projected_later(cramped: Platform) -> None:
    project = Account(cramped.url).project()
    folder = disk(cramped, "postgres")
    with Load(project) as load:
        until(lambda: load.ledger.count > 100, 60, "some load")
        fill(folder)
        assert shutil.disk_usage(folder).free < 1 << 20
        until(lambda: not can_write(project), REFUSED_SECONDS, "nothing can be registered")
        count = load.ledger.count
        until(lambda: load.ledger.count > count + 100 or load.ledger.again["503"] > 20, REFUSED_SECONDS, "agents get an answer")

        (folder / FILLER).unlink()
        until(lambda: can_write(project), RECOVERY_SECONDS, "somebody can be registered")
        wait_for_more(load)
    check_everything(cramped, project, load)


def can_write(project: Project) -> bool:
    """Whether identity can make a project."""
    answer = project.http.post("/api/projects", json={"name": "another"})
    assert answer.status_code in {201, 503}, answer.text
    return answer.status_code == 201


def wait_for_more(load: Load) -> None:
    count = load.ledger.count
    until(lambda: load.ledger.count > count + 100, RECOVERY_SECONDS, "spans are taken again")


def check_everything(platform: Platform, project: Project, load: Load) -> None:
    until(lambda: all(state == "ready" for state in platform.states().values()), RECOVERY_SECONDS, "everything is ready")
    check_ledger(project, load)
    check_account(platform)
    assert load.ledger.wrong == []
