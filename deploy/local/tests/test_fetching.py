"""What the first start fetches: Kafka's jars once for all checkouts of a machine, npm's packages with those of development."""

import importlib.util
import json
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from ams_local.servers import fetch_kafka
from ams_local.servers.base import ServerError
from ams_local.servers.fetch_kafka import one_at_a_time
from ams_local.workspace import ROOT


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_second_process_waits_for_the_first_and_says_so(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_kafka, "LOCK_POLL_SECONDS", 0.01)
    order: list[str] = []

    def second() -> None:
        with one_at_a_time():
            order.append("second")

    with one_at_a_time():
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(10)

    assert order == ["first", "second"]
    assert "Waiting for it" in capfd.readouterr().err


def test_a_lock_that_is_never_released_ends_the_wait_with_a_sentence() -> None:
    with (
        one_at_a_time(),
        pytest.raises(ServerError, match=r"fetching Kafka.s jars for 0 s"),
        one_at_a_time(seconds_max=0),
    ):
        pass


@pytest.fixture
def hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "web" / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "omits"),
    [
        (None, True),
        ({"node_modules/react": {}}, True),
        ({"node_modules/react": {}, "node_modules/vitest": {"dev": True}}, False),
    ],
)
def test_a_build_keeps_the_development_packages_that_npm_itself_installed(
    hatch_build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: dict[str, object] | None, omits: bool
) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "package-lock.json").write_text("{}")
    if packages is not None:
        (tmp_path / "node_modules" / ".package-lock.json").write_text(json.dumps({"packages": packages}))
    ran: list[tuple[str, ...]] = []

    def run(_root: Path, _failure: str, *arguments: str) -> None:
        ran.append(arguments)

    monkeypatch.setattr(hatch_build, "_run", run)

    hatch_build.install(tmp_path)
    hatch_build.install(tmp_path)

    assert len(ran) == 1
    assert ("--omit=dev" in ran[0]) is omits
