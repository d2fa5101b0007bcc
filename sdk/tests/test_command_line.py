"""The executable ``ams``."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AMS = Path(sys.executable).parent / "ams"


def ams(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AMS), *arguments], capture_output=True, text=True, timeout=30, check=False, env={"PATH": "/usr/bin:/bin", **(env or {})}
    )


def test_help_groups_the_commands() -> None:
    done = ams("--help")

    assert done.returncode == 0
    assert "Your agent:" in done.stdout
    assert "check" in done.stdout


def test_an_unknown_command_is_a_mistake_of_the_person() -> None:
    done = ams("sing")

    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_check_says_that_all_is_well(intake: Any) -> None:
    done = ams("check", env={"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": intake.url})

    assert done.returncode == 0
    [task_id] = intake.tasks()
    assert f"{intake.url}/t/{task_id}" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("env", "code", "words"),
    [
        ({}, 2, "AMS_API_KEY"),
        ({"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": "nonsense"}, 2, "AMS_ENDPOINT"),
    ],
)
def test_check_says_what_is_missing(env: dict[str, str], code: int, words: str) -> None:
    done = ams("check", env=env)

    assert done.returncode == code
    assert words in done.stderr


def test_check_says_that_the_key_is_wrong(intake: Any) -> None:
    intake.refusals.extend(type("A", (), {"status": 401, "headers": {}, "body": b"{}"})() for _ in range(9))

    done = ams("check", env={"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": intake.url})

    assert done.returncode == 1
    assert "does not accept the API key" in done.stderr
    assert "ams_test" not in done.stderr
