"""The repository's ``ams`` script and its lock files."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from ams_local.workspace import ROOT

SCRIPT = ROOT / "ams"
LOCKS = ["bootstrap.txt", "runtime.txt", "dev.txt"]


@pytest.fixture
def script() -> ModuleType:
    loader = SourceFileLoader("ams_bootstrap", str(SCRIPT))
    spec = importlib.util.spec_from_loader("ams_bootstrap", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def pip(tmp_path: Path) -> str:
    """A Python with pip, which this environment need not have."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return sys.executable if importlib.util.find_spec("pip") else sys._base_executable


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_hashes_and_neither_addresses_nor_paths(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    pinned = re.findall(r"^[a-z0-9][a-z0-9._\[\]-]*==[^ ]+", text, re.MULTILINE | re.IGNORECASE)
    entries = re.split(r"\n(?=[a-zA-Z0-9])", text.strip())

    assert "://" not in text
    assert "/work" not in text
    assert "-e " not in text
    assert len(pinned) == len(entries)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_dev_pins_what_runtime_pins() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text()
        return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", text, re.MULTILINE | re.IGNORECASE))

    runtime, dev = pins("runtime.txt"), pins("dev.txt")

    assert {name: dev.get(name) for name in runtime} == runtime


def test_everything_that_is_declared_is_locked() -> None:
    runtime = {
        name.lower() for name in re.findall(r"^([a-zA-Z0-9._-]+)==", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    }
    declared = set[str]()
    for path in [*ROOT.glob("services/*/pyproject.toml"), *(ROOT / one / "pyproject.toml" for one in ("contracts", "sdk", "deploy/local"))]:
        project = tomllib.loads(path.read_text())["project"]
        for one in [*project["dependencies"], *(two for extra in project.get("optional-dependencies", {}).values() for two in extra)]:
            declared.add(re.split(r"[^a-zA-Z0-9._-]", one)[0].lower())

    assert {name for name in declared if not name.startswith("ams-")} <= runtime, "run ./ams lock"


def test_pips_index_and_certificate_reach_uv(script: ModuleType, pip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "wheels"
    links.mkdir()
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://one.example/simple\n[install]\nindex-url = https://two.example/simple\ntrusted-host = two.example\n"
    )
    for name in ("PIP_CERT", "SSL_CERT_FILE", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", f"{links} {tmp_path / 'none'}")
    monkeypatch.setenv("PIP_CERT", "/etc/company.pem")

    environment = script.installer_environment(pip)

    assert environment["UV_DEFAULT_INDEX"] == "https://two.example/simple"
    assert environment["UV_INSECURE_HOST"] == "two.example"
    assert environment["UV_FIND_LINKS"] == str(links)
    assert environment["SSL_CERT_FILE"] == "/etc/company.pem"


def test_what_a_person_set_for_uv_stays(script: ModuleType, pip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")

    assert script.installer_environment(pip)["UV_DEFAULT_INDEX"] == "https://uv.example/simple"


def test_an_old_python_gets_a_sentence(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(script.sys, "version_info", (3, 9, 2))

    with pytest.raises(SystemExit) as end:
        script.check_platform()

    assert end.value.code == 2
    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


def test_another_system_gets_a_sentence(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(script.sys, "platform", "darwin")

    with pytest.raises(SystemExit) as end:
        script.check_platform()

    assert end.value.code == 2
    assert "Linux" in capsys.readouterr().err


def test_a_cut_off_installation_is_not_taken_for_a_whole_one(script: ModuleType) -> None:
    whole = {**script.wanted_stamp("runtime"), "level": "runtime"}

    assert script.is_installed(whole, "runtime")
    assert not script.is_installed({}, "runtime")
    assert not script.is_installed(whole, "dev")
    assert not script.is_installed({**whole, "lock": "older"}, "runtime")


def test_an_environment_for_development_serves_the_platform_too(script: ModuleType) -> None:
    assert script.is_installed({**script.wanted_stamp("dev"), "level": "dev"}, "runtime")
