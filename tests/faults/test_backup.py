"""A backup as docs/operating.md makes it, the loss of everything but the log, and the restoration."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest
from tests.client import Account, Project, eventually
from tests.faults.load import Load
from tests.installation import AMS, Platform, environment, until

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(800)]
PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
BLOCK = re.compile(r"```sh\n(\./ams (?:backup|restore) .*?)```", re.DOTALL)


def commands() -> list[list[str]]:
    """The commands of the page's chapter on backups, in order."""
    return [line.split() for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) for line in block.splitlines() if line]


def run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120)


def task_ids(project: Project) -> set[str]:
    return {task["task_id"] for task in project.items("tasks")}


def test_what_was_lost_with_the_databases_and_the_secrets_comes_back_from_the_backup_and_the_log(tmp_path: Path) -> None:
    backup, restore = commands()
    (tmp_path / "ams").symlink_to(AMS)
    platform = Platform(tmp_path / ".ams")  # where the commands look
    try:
        platform.start()
        account = Account(platform.url)
        project = account.project("kept")
        view = {"name": "slow", "page": "tasks", "q": "status:error", "range": {"last": "1h"}}
        made = account.http.post(f"/api/traces/{project.id}/views", json=view).raise_for_status().json()
        with Load(project) as load:
            until(lambda: load.ledger.count > 100, 60, "some load")
        made_by = run(tmp_path, backup)
        assert made_by.returncode == 0, made_by.stderr
        assert {path.name for path in (tmp_path / backup[2]).iterdir()} == {"backup.json", "identity.dump", "secrets.json", "settings.dump"}
        assert {path.stat().st_mode & 0o777 for path in [tmp_path / backup[2], tmp_path / backup[2] / "secrets.json"]} == {0o700, 0o600}
        again = run(tmp_path, backup)
        assert again.returncode == 2
        assert "exists; name a new directory" in again.stderr
        with Load(project) as later:  # in the log only
            until(lambda: later.ledger.count > 100, 60, "more load")
        expected = set(load.ledger.steps) | set(later.ledger.steps)
        assert eventually(lambda: task_ids(project), lambda found: found >= expected) == expected
        assert metric(platform, "ams_backup_began_seconds") == 0.0  # of the start: the check comes every ten minutes
        refused = run(tmp_path, restore)
        assert (refused.returncode, "is in use" in refused.stderr) == (2, True)
        platform.stop()

        for name in ("postgres", "valkey", "secrets.json"):
            (platform.data / name).rename(tmp_path / f"lost-{name}")
        restored = run(tmp_path, restore)
        assert restored.returncode == 0, restored.stderr
        platform.start()
        account.http.post("/api/auth/login", json={"login": account.name, "password": account.password}).raise_for_status()
        assert account.http.get(f"/api/traces/{project.id}/views/{made['view_id']}").raise_for_status().json()["q"] == "status:error"
        assert eventually(lambda: task_ids(project), lambda found: found >= expected, 60) == expected
        with Load(project) as load:
            until(lambda: load.ledger.count > 10, 60, "the key is valid")
        assert metric(platform, "ams_backup_began_seconds") > 0
    finally:
        platform.stop()


def metric(platform: Platform, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{platform.port_of('projector')}/metrics").raise_for_status().text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))
