"""Python of the documentation runs: the blocks of a page one after the other, as a reader pastes them; tests in them as pytest runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.documentation.blocks import BLOCKS, REASON_CHARS_MIN, Block, executed

from ams.testing import record

LANGUAGES = {"python", "sh", "json", "toml", "yaml", "text"}
PYTHON = executed("python")
TESTED = {page: blocks for page, blocks in PYTHON.items() if any("def test_" in block.text or "TestCase" in block.text for block in blocks)}


def test_every_block_says_what_it_is_and_why_it_is_not_executed() -> None:
    unknown = [block.place for block in BLOCKS if block.language not in LANGUAGES]
    unexplained = [block.place for block in BLOCKS if block.reason is not None and len(block.reason) < REASON_CHARS_MIN]

    assert (unknown, unexplained) == ([], [])


def run_block(block: Block, names: dict[str, object]) -> None:
    code = compile("\n" * (block.line - 1) + block.text, block.page, "exec")
    exec(code, names)


@pytest.mark.parametrize("page", PYTHON)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}

    with record() as recorder:
        for block in PYTHON[page]:
            run_block(block, names)
        steps = recorder.steps()

    capsys.readouterr()
    if page not in TESTED and any(word in block.text for block in PYTHON[page] for word in ("with ams.", "@ams.")):
        assert steps != []


def test_the_tests_of_the_pages_pass(tmp_path: Path) -> None:
    for page, blocks in TESTED.items():
        name = page.removesuffix(".md").replace("/", "_").replace("-", "_")
        (tmp_path / f"test_{name}.py").write_text("\n".join(block.text for block in blocks), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AMS_", "PYTEST_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a reader has the SDK's plugin, not all of this repository's
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "ams.testing.plugin",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "--ams-update",
        str(tmp_path),
    ]

    written = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False)

    assert written.returncode == 0, written.stdout[-4_000:]
    snapshots = [path.read_text(encoding="utf-8").rstrip() for path in tmp_path.rglob("ams_snapshots/**/*.txt")]
    shown = [block.text.rstrip() for block in BLOCKS if block.page == "docs/testing.md" and block.language == "text"]
    assert shown[0] in snapshots
