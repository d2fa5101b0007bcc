"""The pytest plugin: fixtures ``ams_recorder``, ``ams_events``, ``ams_fake_model`` and ``ams_cassette``, option ``--ams-update``, and diffs of trees."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ams.testing.cassette import Cassette
from ams.testing.events import CapturedEvents
from ams.testing.fake_model import FakeModel
from ams.testing.model_server import serving
from ams.testing.recorder import Recorder, recorder_of, recording_of_block
from ams.testing.recording import Recording
from ams.testing.snapshots import Snapshots
from ams.testing.tree import Tree, difference

MARKER = "ams_recorder"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--ams-update``."""
    parser.getgroup("ams").addoption(
        "--ams-update", action="store_true", default=False, help="Write the snapshots of ams_recorder.assert_snapshot instead of comparing."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to ``--strict-markers``."""
    config.addinivalue_line(
        "markers", f"{MARKER}(fixed=False): options of the fixture ams_recorder; fixed: ids count, and the clock is fixed"
    )


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain ``assert recorder.tree == expected`` by a diff of lines."""
    if op != "==" or not isinstance(left, str) or not isinstance(right, str) or not (isinstance(left, Tree) or isinstance(right, Tree)):
        return None
    expected, recorded = (right, left) if isinstance(left, Tree) else (left, right)
    return ["the trees are equal (- expected, + recorded)", *difference(expected, recorded)]


@pytest.fixture
def _ams_recording() -> Generator[Recording]:
    """One per test, so that both fixtures see the same steps."""
    with recording_of_block() as recording:
        yield recording


@pytest.fixture
def ams_recorder(request: pytest.FixtureRequest, _ams_recording: Recording) -> Generator[Recorder]:
    """The steps of the code under test, which stay in memory, whether or not it calls ``ams.init``."""
    node: Any = request.node
    snapshots = Snapshots(node.path, ".".join(node.nodeid.split("::")[1:]), update=bool(request.config.getoption("--ams-update")))
    with recorder_of(_ams_recording, fixed=_fixed(node.get_closest_marker(MARKER)), snapshots=snapshots) as recorder:
        yield recorder


@pytest.fixture
def ams_events(_ams_recording: Recording) -> CapturedEvents:
    """The events of the code under test, which stay in memory."""
    return CapturedEvents(_ams_recording)


@pytest.fixture
def ams_fake_model(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeModel]:
    """A scripted model, to which the environment variables of OpenAI's and Anthropic's clients lead during the test."""
    model = FakeModel()
    with _served(model, monkeypatch):
        yield model


@pytest.fixture
def ams_cassette(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[str], Cassette]]:
    """Loads a cassette by its path beside the test's file; its model is served as that of ``ams_fake_model``."""
    with ExitStack() as stack:

        def load(path: str) -> Cassette:
            cassette = Cassette.load(request.path.parent / path)
            stack.enter_context(_served(cassette.model, monkeypatch))
            return cassette

        yield load


@contextmanager
def _served(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    with serving(model) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield


def _fixed(marker: pytest.Mark | None) -> bool:
    if marker is None:
        return False
    if marker.args or set(marker.kwargs) - {"fixed"} or not isinstance(marker.kwargs.get("fixed", False), bool):
        raise pytest.UsageError(f"@pytest.mark.{MARKER} takes only fixed=True or fixed=False")
    return bool(marker.kwargs.get("fixed", False))
