"""Type checkers see what a decorator is applied to: a user's program passes in their strict modes, and a wrong call is an error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ams_local.environments import python_with

PROGRAMS = Path(__file__).parent / "typing"
GOOD, WRONG = PROGRAMS / "user_program.py", PROGRAMS / "refused_program.py"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
pytestmark = pytest.mark.timeout(600)  # mypy is installed once; a checker takes five seconds of processor time
REFUSED = {number for number, line in enumerate(WRONG.read_text().splitlines(), 1) if line.endswith("# refused")}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROGRAMS)
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # 1: it found errors
    return done.stdout


def test_mypy_strict_accepts_every_form_of_decorator_and_refuses_wrong_calls() -> None:
    folder = Path(python_with("mypy")).parent
    options = ("--strict", "--python-executable", sys.executable, "--cache-dir", str(folder.with_name("cache")))

    output = run(str(folder / "mypy"), *options, GOOD.name, WRONG.name)

    found = re.findall(r"^(\w+\.py):(\d+): error:", output, re.MULTILINE)
    assert {int(line) for name, line in found if name == WRONG.name} == REFUSED, output
    assert [line for name, line in found if name == GOOD.name] == [], output


def test_pyright_strict_accepts_every_form_of_decorator_and_refuses_wrong_calls_with_each_python(tmp_path: Path) -> None:
    for version in PYTHONS:
        folder = tmp_path / version
        folder.mkdir()
        for program in (GOOD, WRONG):
            (folder / program.name).write_text(program.read_text())
    settings = {
        "typeCheckingMode": "strict",
        "executionEnvironments": [{"root": version, "pythonVersion": version} for version in PYTHONS],
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = str(Path(sys.executable).with_name("pyright"))

    output = run(pyright, "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path))

    found = [(Path(one["file"]).relative_to(tmp_path), one) for one in json.loads(output)["generalDiagnostics"]]
    for version in PYTHONS:
        errors = {
            name: {one["range"]["start"]["line"] + 1 for path, one in found if path == Path(version, name)}
            for name in (GOOD.name, WRONG.name)
        }
        assert errors == {GOOD.name: set(), WRONG.name: REFUSED}, f"Python {version}: {found}"


def test_the_users_program_runs() -> None:
    done = subprocess.run([sys.executable, str(GOOD)], capture_output=True, text=True, check=False, cwd=PROGRAMS)

    assert done.returncode == 0, done.stderr
