"""One struct of settings; sources in order: argument, environment, pyproject.toml, default."""

import inspect
import re
from pathlib import Path

import pytest

import ams
from ams.options import Options
from ams.setting_sources import read_settings
from ams.settings import NAMES, SETTINGS, SdkSettings, table

DOCS = Path(__file__).parents[2] / "docs" / "sdk.md"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMS_SPOOL_DIR", raising=False)


def read(**arguments: object) -> SdkSettings:
    settings = read_settings(api_key="ams_test", **arguments)
    assert settings is not None
    return settings


def test_an_argument_wins_over_the_environment_which_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text('[tool.ams]\nagent = "file"\nuser_id = "file"\nenvironment = "file"\n', encoding="utf-8")
    monkeypatch.setenv("AMS_AGENT", "environment")
    monkeypatch.setenv("AMS_USER_ID", "environment")

    settings = read(agent="argument")

    assert (settings.agent, settings.user_id, settings.environment) == ("argument", "environment", "file")
    assert settings.exit_seconds == SdkSettings().exit_seconds


def test_the_nearest_file_upwards_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.ams]\nagent = "planner"\ntags = {team = "a"}\n', encoding="utf-8")
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    assert (read().agent, read().tags) == ("planner", {"team": "a"})


def test_texts_of_the_environment_become_the_settings_types(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"CAPTURE_INPUT": "no", "EXIT_SECONDS": "1.5", "WAITING_ITEMS_MAX": "7", "TAGS": "team=a, tier=gold"}
    for name, value in values.items():
        monkeypatch.setenv(f"AMS_{name}", value)

    settings = read()

    assert (settings.capture_input, settings.exit_seconds, settings.waiting_items_max) == (False, 1.5, 7)
    assert settings.tags == {"team": "a", "tier": "gold"}


@pytest.mark.parametrize(
    ("name", "value"), [("EXIT_SECONDS", "soon"), ("EXIT_SECONDS", "-1"), ("ANNOUNCE", "maybe"), ("TRANSPORT", "pigeon"), ("TAGS", "team")]
)
def test_a_value_that_cannot_be_used_is_named_in_a_warning_and_ignored(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"AMS_{name}", value)

    settings = read()

    assert settings == SdkSettings(api_key="ams_test")
    assert f"AMS_{name}" in caplog.text
    assert value in caplog.text


def test_a_key_in_a_file_that_is_committed_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    Path("pyproject.toml").write_text('[tool.ams]\napi_key = "ams_secret"\nunknown = 1\n', encoding="utf-8")

    assert read_settings() is None
    assert "ams_secret" not in caplog.text
    assert "Set AMS_API_KEY instead" in caplog.text
    assert "unknown in [tool.ams]" in caplog.text


@pytest.mark.parametrize("text", ["[tool.ams\n", "[tool]\nams = 3\n"])
def test_a_broken_file_stops_nothing(text: str) -> None:
    Path("pyproject.toml").write_text(text + "# tool.ams", encoding="utf-8")

    assert read() == SdkSettings(api_key="ams_test")


def test_init_takes_every_setting() -> None:
    named = set(inspect.signature(ams.init).parameters) - {"options", "mask"}

    assert named | set(Options.__annotations__) == NAMES
    assert named & set(Options.__annotations__) == set()


def test_the_table_of_the_documentation_is_the_struct() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(AMS_\w+)` \| ?(.*?) ?\| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    assert [tuple(row) for row in rows] == [
        (name, variable, f"`{default}`" if default else "", text) for name, variable, default, text in table()
    ]


def test_every_setting_has_a_meaning() -> None:
    assert all(setting.metadata["text"] for setting in SETTINGS)
