"""``ams spool`` and ``ams flush``."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from ams.cli.commands import ams as commands
from ams_contracts.events import StepEnded, StepRecorded


def answer(status: int) -> Any:
    return type("Answer", (), {"status": status, "headers": {}, "body": b"{}"})()


def ended(intake: Any) -> list[str]:
    return [event.step.name for event in intake.of(StepRecorded, StepEnded)]


def test_the_command_line_lists_the_spool_and_sends_it(
    intake: Any, program: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    program("with ams.step('left'): pass\n", intake.url).wait()
    intake.refusals.clear()
    monkeypatch.setenv("AMS_API_KEY", "ams_test")
    monkeypatch.setenv("AMS_ENDPOINT", intake.url)
    run = CliRunner()

    listed = json.loads(run.invoke(commands, ["spool", "--json"]).stdout)
    sent = run.invoke(commands, ["flush"])
    again = run.invoke(commands, ["flush", "--json"])

    [segment] = listed["segments"]
    assert (segment["in_use"], segment["this_key"], segment["endpoint"]) == (False, True, intake.url)
    assert (sent.exit_code, again.exit_code) == (0, 0)
    assert f"Sent {segment['items']} of {segment['items']} events." in sent.stdout
    assert json.loads(again.stdout)["found"] == 0
    assert ended(intake) == ["left"]


def test_what_an_earlier_key_left_is_sent_when_a_person_asks_for_it(
    intake: Any, program: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    program("with ams.step('left'): pass\n", intake.url).wait()
    intake.refusals.clear()
    monkeypatch.setenv("AMS_API_KEY", "ams_new")
    monkeypatch.setenv("AMS_ENDPOINT", intake.url)

    result = CliRunner().invoke(commands, ["flush", "--other-keys"])

    assert result.exit_code == 0
    assert ended(intake) == ["left"]
    assert "Bearer ams_new" in intake.keys
