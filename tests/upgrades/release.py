"""A release as operators have it: its code, its migrations and its services, each started from a folder of its own."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.installation import until

from ams_local.plan import Surroundings
from ams_local.servers.base import LOOPBACK

ROOT = Path(__file__).parents[2]
PIN = ROOT / "deploy" / "previous-release"
CODE = ("contracts", "services", "sdk", "deploy/local")
SOURCES = (
    "contracts/src", "services/kit/src", "services/identity/src", "services/trace-ingest/src", "services/trace-query/src",
    "services/live-gateway/src", "sdk/src", "deploy/local/src",
)  # fmt: skip
SERVICES = ("identity", "intake", "projector", "trace-query")
JOB_SECONDS = 300
STOP_SECONDS = 15

# Run in each release by its own code: a setting that one of them does not know would end its process.
PLAN = """
import sys, msgspec
from ams_local import plan
where = msgspec.json.decode(sys.stdin.buffer.read(), type=plan.Surroundings)
sys.stdout.buffer.write(msgspec.json.encode({"file": plan.__file__, "services": plan.services(where)}))
"""
JOBS = """
import importlib, os, sys, msgspec
from ams_local import plan
where = msgspec.json.decode(sys.stdin.buffer.read(), type=plan.Surroundings)
for job in [*plan.jobs_of_database(where), plan.job_of_log(where)]:
    os.environ.update(job.environ)
    module, _, function = job.target.partition(":")
    getattr(importlib.import_module(module), function)(list(job.argv))
"""
MIGRATE = """
import sys
from ams_identity.migrations.run import migrate as migrate_identity
from ams_trace_ingest.__main__ import migrate as migrate_traces
for identity, traces in zip(sys.argv[1::2], sys.argv[2::2]):
    migrate_identity(identity)
    migrate_traces(traces)
"""


class Release:
    """One release. Its processes have this checkout's packages, and its own code."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    @classmethod
    def here(cls) -> "Release":
        """This checkout."""
        return cls("this release", ROOT)

    @classmethod
    def previous(cls) -> "Release":
        """The commit that ``deploy/previous-release`` names, unpacked once into the cache."""
        commit = PIN.read_text(encoding="utf-8").split()[0]
        folder = ROOT / ".cache" / "previous-release" / commit
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked, tempfile.TemporaryFile() as archive:
                subprocess.run(["git", "archive", "--format=tar", commit, *CODE], cwd=ROOT, stdout=archive, check=True)
                archive.seek(0)
                with tarfile.open(fileobj=archive) as tar:
                    tar.extractall(unpacked, filter="data")
                complete = Path(unpacked) / "complete"
                complete.mkdir()
                for name in {path.partition("/")[0] for path in CODE}:
                    (Path(unpacked) / name).rename(complete / name)
                try:
                    complete.rename(folder)
                except OSError:  # another process was faster
                    assert folder.exists()
        return cls("the previous release", folder)

    def environ(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Of a process of this release."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}
        paths = os.pathsep.join(str(self.folder / source) for source in SOURCES)
        return {**inherited, **settings, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}

    def run(self, *arguments: str, settings: Mapping[str, str], stdin: bytes = b"") -> bytes:
        """Run Python until it ends; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environ(settings), input=stdin, capture_output=True, check=False, timeout=JOB_SECONDS
        )
        assert done.returncode == 0, f"{self.name}: {arguments[0:4]}: {done.stderr.decode(errors='replace')[-2_000:]}"
        return done.stdout

    def migrate(self, *urls: str) -> None:
        """Run the migrations on databases: of identity, of traces, of identity ..."""
        self.run("-c", MIGRATE, *urls, settings={})

    def run_jobs(self, where: Surroundings) -> None:
        """Make databases, tables and topics, or bring them up to date, as its own ``ams up`` does."""
        self.run("-c", JOBS, settings={}, stdin=msgspec.json.encode(where))

    @contextmanager
    def services(self, where: Surroundings, logs: Path) -> Iterator[None]:
        """Start the services on their ports; they are stopped at the end."""
        with ExitStack() as stack:
            plan = json.loads(self.run("-c", PLAN, settings={}, stdin=msgspec.json.encode(where)))
            assert Path(plan["file"]).is_relative_to(self.folder)
            for service in plan["services"]:
                if service["name"] in SERVICES:
                    stack.enter_context(self._service(service, logs))
            yield

    @contextmanager
    def _service(self, service: dict[str, Any], logs: Path) -> Iterator[None]:
        settings = {name: value for name, value in service["environ"].items() if name != "AMS_PROJECTOR_INSTANCE"}  # there are two
        with (logs / f"{self.name} {service['name']}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", service["target"].partition(".")[0], *service["argv"]],
                env=self.environ(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0, service["name"]
        finally:
            process.kill()
            process.wait()


def until_ready(where: Surroundings, *ports: str, seconds: float = 180) -> None:
    """Wait until the services on these ports are ready."""

    def ready() -> bool:
        try:
            return all(httpx.get(f"http://{LOOPBACK}:{where.ports[port]}/readyz", timeout=5).status_code == 200 for port in ports)
        except httpx.TransportError:
            return False

    until(ready, seconds, f"{', '.join(ports)} are ready")


class ByPath(httpx.BaseTransport):
    """Sends a request to the service that the gateway would choose."""

    def __init__(self, where: Surroundings) -> None:
        self._ports = {"/v1/": where.ports["intake"], "/api/traces/": where.ports["query"], "/api/": where.ports["identity"]}
        self._transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        port = next(port for prefix, port in self._ports.items() if request.url.path.startswith(prefix))
        request.url = request.url.copy_with(host=LOOPBACK, port=port)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()
