"""The whole platform in a temporary data directory, for tests from end to end: ``ams up`` as a person starts it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from tests.openid_provider import OpenIdProvider

from ams_local.servers.base import free_port

AMS = str(Path(sys.executable).with_name("ams"))
READY_TIMEOUT_SECONDS = 100
STOP_TIMEOUT_SECONDS = 12
POLL_SECONDS = 0.05


def until(condition: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_seconds} s: {what}")
        time.sleep(POLL_SECONDS)


def environment() -> dict[str, str]:
    """Without the settings of the person who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}


class Platform:
    """One running installation.

    Attributes:
        data: Its data directory.
        port: Of its gateway.
        url: Its public URL.
        provider: An OpenID provider that the shared platform trusts; the test that needs it runs it.
    """

    def __init__(self, data: Path, *options: str, within: tuple[str, ...] = (), settings: Mapping[str, str] | None = None) -> None:
        """``within`` is a command that runs the platform in other surroundings, and becomes it; ``settings`` are added to its environment."""
        self.data = data
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.output = data.parent / f"{data.name}.out"
        self._options = options
        self._within = within
        self._settings = dict(settings or {})
        self.provider = OpenIdProvider(provider_id="acme", port=free_port(), back=self.url)
        self._process: subprocess.Popen[bytes] | None = None
        self._family: set[psutil.Process] = set()

    def trust_provider(self) -> None:
        """Let people sign in with ``provider``."""
        self._settings["AMS_OIDC_ISSUERS"] = json.dumps([self.provider.settings])

    def begin(self) -> None:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._within, AMS, "up", "--data", str(self.data), "--port", str(self.port), *self._options],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment() | self._settings, start_new_session=True,
            )  # fmt: skip

    def start(self) -> "Platform":
        self.begin()
        self.until_ready()
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def until_ready(self, timeout_seconds: float = READY_TIMEOUT_SECONDS) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(self.text())
            return self.states() != {} and all(state == "ready" for state in self.states().values()) and self._status().get("ready") is True

        until(ready, timeout_seconds, "everything is ready\n" + self.text())
        self.remember()

    def remember(self) -> None:
        """StepUpdate the processes that belong to it now, to see later that none is left."""
        supervisor = psutil.Process(self.process.pid)
        self._family |= {supervisor, *supervisor.children(recursive=True)}

    def left(self) -> list[psutil.Process]:
        """Which of them still run."""
        return [one for one in self._family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def _status(self) -> dict[str, object]:
        try:
            return json.loads((self.data / "status.json").read_text())
        except (OSError, ValueError):
            return {}

    def processes(self) -> dict[str, dict[str, int | str]]:
        status = self._status()
        return status["processes"] if status.get("pid") == self.process.pid else {}  # type: ignore[return-value]  # the file is ours

    def port_of(self, name: str) -> int:
        """The loopback port of a server or service: postgres, valkey, kafka, identity, intake, projector, query, live."""
        return json.loads((self.data / "ports.json").read_bytes())[name]

    def states(self) -> dict[str, int | str]:
        return {name: one["state"] for name, one in self.processes().items()}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another ``ams`` command on the same data directory."""
        return subprocess.run(
            [AMS, *arguments, "--data", str(self.data)], env=environment(), capture_output=True, text=True, check=False, timeout=60
        )

    def key(self) -> str:
        """A new API key."""
        done = self.command("key")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET over the gateway."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it and wait; the exit code."""
        if self._process is None:
            return 0  # it could not even be begun
        if self.process.poll() is None:
            self.remember()
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_SECONDS)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform that tests share: each makes accounts, keys and projects of its own and leaves the processes alone.

    Tests that use it belong to one xdist worker: ``pytestmark = pytest.mark.xdist_group("platform")``.
    """
    one = Platform(tmp_path_factory.mktemp("platform") / "data")
    one.trust_provider()
    try:
        yield one.start()
    finally:
        one.stop()
