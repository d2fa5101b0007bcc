"""The executable ``ams``."""

import subprocess
import sys
from pathlib import Path
from time import perf_counter
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


def test_check_names_the_address_and_what_to_do_within_three_seconds() -> None:
    began = perf_counter()

    done = ams("check", env={"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": "http://127.0.0.1:9"})

    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was delivered to http://127.0.0.1:9: ")
    assert "./ams up" in done.stderr
    assert perf_counter() - began < 15  # 3 s, and the start of Python on a busy machine


def test_check_runs_without_click(intake: Any) -> None:
    code = "import sys; sys.modules['click'] = None; import importlib.util; importlib.util.find_spec = lambda name: None; from ams.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "--endpoint", intake.url, "--api-key", "ams_test"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Open http://" in done.stdout


def test_https_against_a_plain_server_is_named(intake: Any) -> None:
    done = ams("check", env={"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": intake.url.replace("http:", "https:")})

    assert done.returncode == 1
    assert "use http://" in done.stderr


def test_a_proxy_that_fails_is_named() -> None:
    done = ams("check", env={"AMS_API_KEY": "ams_test", "AMS_ENDPOINT": "https://ams.invalid", "HTTPS_PROXY": "http://127.0.0.1:9"})

    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


def test_the_placeholder_of_the_documentation_is_no_key() -> None:
    done = ams("check", env={"AMS_API_KEY": "ams_..."})

    assert done.returncode == 2
    assert "placeholder" in done.stderr
