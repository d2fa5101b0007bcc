"""``ams spool`` and ``ams flush``."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ams.cli.commands import ams as commands
from ams.cli.doctor import examine_spool
from ams.setting_sources import read_settings
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


def test_doctor_says_what_waits_in_the_spool_and_how_to_send_it(
    intake: Any, program: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    intake.refusals.extend(answer(503) for _ in range(1_000))
    program("with ams.step('left'): pass\n", intake.url).wait()
    intake.refusals.clear()
    monkeypatch.setenv("AMS_API_KEY", "ams_test")
    monkeypatch.setenv("AMS_ENDPOINT", intake.url)
    settings = read_settings(transport="console")
    assert settings is not None

    [waiting, full] = examine_spool(replace(settings, spool_bytes_max=1))
    [other] = examine_spool(replace(settings, api_key="ams_other"))
    [empty] = examine_spool(replace(settings, spool_dir=str(tmp_path / "none")))

    assert (waiting.level, "events wait" in waiting.found, waiting.advice.endswith("ams flush")) == ("note", True, True)
    assert (full.level, "bytes are used" in full.found) == ("note", True)
    assert (other.level, other.advice.endswith("--other-keys")) == ("note", True)
    assert (empty.level, "nothing waits" in empty.found) == ("ok", True)


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
