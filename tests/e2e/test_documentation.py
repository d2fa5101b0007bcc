"""The commands of the documentation, word by word, against a platform."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client import Account, Project, eventually
from tests.documentation.blocks import ROOT, executed
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

QUICKSTART = "docs/tutorials/quickstart.md"
PAGES = [page for page in executed("sh") if not page.startswith(("docs/frameworks/", "CONTRIBUTING", "docs/kubernetes"))]
"""Pages whose commands run here: those of the others start what tests/frameworks and the developers start."""
IDS = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7a3ce929d0e0e4736")
SHIMS = {
    "bin/pip": '[ "$1" = install ] && case "$2" in http*) curl --silent --head "$2" >/dev/null;; esac',
    "bin/python3": 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; : > "$3/bin/activate"; else exec "$AMS_TEST_BIN/python" "$@"; fi',
    "bin/ams": 'if [ "$1" = run ]; then shift 2; exec "$@"; fi; exec "$AMS_TEST_BIN/ams" "$@"',
    "ams": 'if [ "$1" = key ]; then exec "$AMS_TEST_BIN/ams" "$@" --data "$AMS_TEST_DATA"; fi',
}
"""What would install or start something: ``pip`` looks whether the file is served, ``ams run`` needs packages that this environment does not have."""


@pytest.fixture(scope="module")
def reader(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Project, dict[str, str]]:
    """A folder as a reader has it, with the agent of the quickstart, a project with its task twice, and the environment."""
    folder = tmp_path_factory.mktemp("reader")
    for name, text in SHIMS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (folder / name).chmod(0o755)
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "agent.py").write_text(executed("python")[QUICKSTART][0].text, encoding="utf-8")
    (folder / ".curlrc").write_text("fail-with-body\n", encoding="ascii")  # an error of the platform is one of the command
    project = Account(platform.url).project("documentation")
    made = project.http.post(f"/api/projects/{project.id}/keys", json={"name": "reader", "scopes": ["ingest", "read"]}).raise_for_status()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMS_", "OTEL_"))} | {
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AMS_TEST_BIN": str(Path(sys.executable).parent),
        "AMS_TEST_DATA": str(platform.data),
        "AMS_ENDPOINT": platform.url,
        "AMS_API_KEY": made.json()["key"],
        "PROJECT": project.id,
        "TOKEN": str(project.http.headers["Authorization"]).removeprefix("Bearer "),
    }
    for _ in IDS:
        subprocess.run([sys.executable, "agent.py"], cwd=folder, env=environment, check=True, timeout=60, capture_output=True)
    eventually(lambda: [task["status"] for task in project.items("tasks")], lambda found: found == ["ok"] * len(IDS))
    return folder, project, environment


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, platform: Platform, reader: tuple[Path, Project, dict[str, str]]) -> None:
    folder, project, environment = reader
    tasks = [task["task_id"] for task in project.items("tasks")]
    script = "\n".join(block.text for block in executed("sh")[page])
    for written, meant in zip(
        (*IDS, "http://localhost:8080", "ams_..."), (*tasks[:2], platform.url, environment["AMS_API_KEY"]), strict=True
    ):
        script = script.replace(written, meant)

    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder, env=environment | {"TASK": tasks[0]}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    if page == QUICKSTART:
        assert "llm model, gpt-4o-mini" in done.stdout
