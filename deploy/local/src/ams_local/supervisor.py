"""``ams up``: servers, then databases and topics, then services; all of them watched until the end.

The order of the start, and what runs beside what, decides the seconds until it is ready: the servers boot while the fork server imports; tables
and topics are made as soon as their server answers; a service starts as soon as what it needs is there.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from msgspec import Struct

from ams_local import plan
from ams_local.data import DataDir, Status
from ams_local.demo_link import DemoAnswer, demo_environment
from ams_local.documentation import is_current
from ams_local.fork_server import Fork
from ams_local.fork_server_client import ForkServerClient
from ams_local.logs import bound_logs, last_line
from ams_local.process import INHERITED_NAMES, adopt_orphans, spawn
from ams_local.servers.base import ServerError, http_status
from ams_local.servers.caddy import Caddy
from ams_local.servers.kafka import Kafka
from ams_local.servers.postgres import Postgres
from ams_local.servers.valkey import Valkey
from ams_local.units import EARLY_FAILURES_MAX, PROBE_INTERVAL_SECONDS, Reaper, Supervised, Unit, end_children, kill_group, server_starter
from ams_local.workspace import BOOTSTRAP

SILENCE_SECONDS_MAX = 180.0  # without a part becoming ready; imports have a limit of their own
PROGRESS_EVERY_SECONDS = 5.0
JOB_TIMEOUT_SECONDS = 60.0
JOB_ATTEMPTS = 3
DEMO_STOP_SECONDS = 0.8
SERVICES_STOP_SECONDS = 5.0  # they close their requests within 4 s
SERVERS_STOP_SECONDS = 3.0  # Kafka takes 1.6 to 2.5 s; all together stay below 9 s, also when every process is frozen
CHILDREN_END_SECONDS = 5.0  # what was killed ends at once, on an idle machine
LOGS_BOUNDED_EVERY_SECONDS = 10.0

Say = Callable[[str], None]


def readiness(port: int) -> Callable[[], Awaitable[bool]]:
    """Whether the service on a port says that it is ready."""

    async def answers() -> bool:
        return await http_status(port, "/readyz") == 200  # noqa: PLR2004  OK

    return answers


class StartError(RuntimeError):
    """The platform cannot start. The text is one sentence for the person at the terminal."""


class Servers(Struct, frozen=True, kw_only=True):
    """The embedded servers; None where the person named one of their own."""

    postgres: Postgres | None
    valkey: Valkey | None
    kafka: Kafka | None
    caddy: Caddy


def inherited_environment() -> dict[str, str]:
    """What every service may see of the environment that `ams up` was started in."""
    names = {*INHERITED_NAMES, "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "LD_LIBRARY_PATH"}
    return {name: value for name, value in os.environ.items() if name in names}


class Supervisor:
    """Runs one installation.

    Args:
        data: Its directory, locked by the caller.
        where: Addresses and secrets.
        servers: What runs beside the services.
        demo: Start the example agent, too.
        say: Prints one line for the person.
    """

    def __init__(self, data: DataDir, where: plan.Surroundings, servers: Servers, *, demo: bool, say: Say) -> None:
        self._data = data
        self._where = where
        self._servers = servers
        self._demo = demo
        self._say = say
        self._began = time.monotonic()
        self._reaper = Reaper()
        self._supervised: dict[str, Supervised] = {}
        self._status = Status(pid=os.getpid(), public_url=where.public_url, started_s=int(time.time()))
        modules = [*plan.HEAVY_MODULES, *dict.fromkeys(service.target.partition(":")[0] for service in plan.services(where))]
        self._fork_server = ForkServerClient(
            [*modules, "ams_kit.create_databases", "ams_kit.bus.__main__"],
            data.logs / "fork_server.log",
            inherited_environment(),
            on_progress=self._progressed,
        )
        self._progress, self._progressed_at = "starting the servers", self._began
        self._stop = asyncio.Event()
        self._tables_made = asyncio.Event()
        self._topics_made = asyncio.Event()

    # -- the way up

    async def run(self) -> int:
        """Run until somebody asks to stop, or the start fails.

        Returns:
            The exit code: 0 after a clean stop, 1 when the platform could not start.
        """
        loop = asyncio.get_running_loop()
        adopt_orphans()
        self._reaper.install(loop)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        self._fork_server.begin()
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        bounding = asyncio.create_task(self._bound_logs())
        code = 0
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and starting.exception() is not None:
                error = starting.exception()
                if not isinstance(error, StartError | ServerError):
                    raise error or RuntimeError
                self._say(f"error: {error}")
                code = 1
            else:
                await stopping
        finally:
            for task in (starting, stopping, bounding):
                task.cancel()
            await asyncio.gather(starting, stopping, bounding, return_exceptions=True)
            await self._stop_all()
        return code

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._say("stopping at once")
            for supervised in self._supervised.values():
                if supervised.status.pid:
                    kill_group(supervised.status.pid)
        self._stop.set()

    async def _start(self) -> None:
        self._begin_servers()
        self._begin_services()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._make_tables())
                group.create_task(self._make_topics())
                group.create_task(self._report_and_wait())
        except* (StartError, ServerError) as errors:
            raise StartError(str(errors.exceptions[0])) from errors
        self._status.ready = True
        self._write_status()
        self._data.forget_previous_secret()  # identity is ready, so it has encrypted its keys with the current one
        link = await self._start_demo() if self._demo else ""
        self._say(
            f"{time.monotonic() - self._began:5.1f} s  everything is ready; Ctrl-C stops it, `ams logs` shows what it says, `ams key` makes an API key"
        )
        self._build_documentation()
        self._say(f"AMS is at {self._where.public_url}" + (f"  and this link signs you in, once: {link}" if link else ""))

    def _begin_servers(self) -> None:
        servers = self._servers
        for name, server in (
            ("postgres", servers.postgres),
            ("valkey", servers.valkey),
            ("kafka", servers.kafka),
            ("caddy", servers.caddy),
        ):
            if server is not None:
                command = server.command()
                self._supervise(
                    Unit(name=name, start=server_starter(command, self._log(name)), answers=server.answers, stop_signal=command.stop_signal)
                )

    def _begin_services(self) -> None:
        for service in plan.services(self._where):
            start = self._fork_server.starter(
                target=service.target, argv=list(service.argv), environ=service.environ, log=self._log(service.name)
            )
            made = {plan.TABLES: self._tables_made, plan.TOPICS: self._topics_made}
            self._supervise(
                Unit(name=service.name, start=start, answers=readiness(service.port), needs=tuple(made[need] for need in service.needs))
            )

    def _supervise(self, unit: Unit) -> None:
        supervised = Supervised(unit, self._reaper, self._write_status)
        supervised.status.log = str(self._log(unit.name))
        self._supervised[unit.name] = supervised
        self._status.processes[unit.name] = supervised.status
        supervised.begin()

    async def _server_ready(self, name: str) -> None:
        supervised = self._supervised.get(name)
        if supervised is not None:
            await supervised.ready.wait()

    async def _make_tables(self) -> None:
        await self._server_ready("postgres")
        databases, *migrations, restriction = plan.jobs_of_database(self._where)
        await self._run_job(databases)
        await asyncio.gather(*(self._run_job(job) for job in migrations))
        await self._run_job(restriction)
        self._tables_made.set()

    async def _make_topics(self) -> None:
        kafka = self._servers.kafka
        if kafka is not None and kafka.has_topics(plan.TOPICS_DECLARED):
            self._topics_made.set()  # from an earlier start: the services start beside the broker, which takes seconds on a busy machine
        await self._server_ready("kafka")
        await self._run_job(plan.job_of_log(self._where))
        self._topics_made.set()
        if kafka is not None:
            kafka.remember_topics(plan.TOPICS_DECLARED)

    async def _run_job(self, job: plan.Job) -> None:
        """Run something to its end; a server that has only just started may need a second attempt."""
        log = self._log(job.name)
        for _ in range(JOB_ATTEMPTS):
            pid = await self._fork_server.fork(
                Fork(
                    target=job.target,
                    argv=list(job.argv),
                    environ={**inherited_environment(), **job.environ},
                    log=str(log),
                    supervisor=os.getpid(),
                )
            )
            ended = self._reaper.ended(pid)
            await asyncio.wait({ended}, timeout=JOB_TIMEOUT_SECONDS)
            if not ended.done():
                kill_group(pid)
            elif ended.result() == 0:
                return
        raise StartError(f"the step {job.name!r} failed; the last lines of {log} say why: {last_line(log)}")

    def _progressed(self, what: str) -> None:
        self._progress, self._progressed_at = what, time.monotonic()

    def _end_when_silent(self, waiting: Iterable[str]) -> None:
        if self._fork_server.loaded and time.monotonic() - self._progressed_at > SILENCE_SECONDS_MAX:
            raise StartError(
                f"nothing has changed for {SILENCE_SECONDS_MAX:.0f} s while waiting for {', '.join(waiting)}; their logs are in {self._data.logs}"
            )

    async def _report_and_wait(self) -> None:
        """Say which part is ready, until all are. While nothing changes, say every 5 s what is waited for; only silence ends the start."""
        reported_at = self._began
        waiting = {name: asyncio.create_task(supervised.ready.wait()) for name, supervised in self._supervised.items()}
        try:
            while waiting:
                await asyncio.wait(waiting.values(), return_when=asyncio.FIRST_COMPLETED, timeout=1)
                done = [name for name, task in waiting.items() if task.done()]
                for name in done:
                    del waiting[name]
                now = time.monotonic()
                if done:
                    self._progressed("")
                    reported_at = now
                    self._say(f"{time.monotonic() - self._began:5.1f} s  {', '.join(done)} ready")
                else:
                    self._end_when_silent(waiting)
                    if now - reported_at >= PROGRESS_EVERY_SECONDS:
                        self._say(f"{now - self._began:5.1f} s  {self._progress or 'waiting for ' + ', '.join(waiting)}")
                        reported_at = now
                for name in waiting:
                    self._give_up_when_hopeless(self._supervised[name])
        finally:
            for task in waiting.values():
                task.cancel()

    def _give_up_when_hopeless(self, supervised: Supervised) -> None:
        if supervised.early_failures >= EARLY_FAILURES_MAX:
            log = self._log(supervised.unit.name)
            raise StartError(
                f"{supervised.unit.name} ended {supervised.early_failures} times while starting; the last lines of {log} say why: {last_line(log)}"
            )

    async def _start_demo(self) -> str:
        """Start the example agent with a key of its own, and get a link that signs in once."""
        environ = demo_environment(self._where, self._data)
        log = self._log("demo")
        start = self._fork_server.starter(target="ams_local.demo:main", argv=[], environ=environ, log=log)
        answer = DemoAnswer(self._data)
        answer.forget()
        self._supervise(Unit(name="demo", start=start, answers=answer.is_there))
        demo = self._supervised["demo"]
        while not demo.ready.is_set():
            if demo.early_failures >= EARLY_FAILURES_MAX:
                raise StartError(f"the demo agent does not start; the last lines of {log} say why: {last_line(log)}")
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)
        return f"{self._where.public_url}/signin?code={answer.signin_code()}"

    def _build_documentation(self) -> None:
        """Start building the site in the background. It may have to be installed first; a failure is in its log and stops nothing."""
        if is_current():
            return
        with contextlib.suppress(OSError), self._log("docs").open("wb") as output:
            child = spawn(["nice", "-n", "10", sys.executable, str(BOOTSTRAP), "docs"], env=dict(os.environ), output=output)
            child.returncode = 0  # the reaper collects it, not subprocess

    # -- the way down

    async def _stop_all(self) -> None:
        self._say("stopping ...")
        began = time.monotonic()
        if (demo := self._supervised.pop("demo", None)) is not None:
            await demo.stop(DEMO_STOP_SECONDS)  # first: it sends what it still has
        servers = {"postgres", "valkey", "kafka"}
        await asyncio.gather(*(one.stop(SERVICES_STOP_SECONDS) for name, one in self._supervised.items() if name not in servers))
        self._fork_server.close()
        await asyncio.gather(*(one.stop(SERVERS_STOP_SECONDS) for name, one in self._supervised.items() if name in servers))
        if left := await end_children(CHILDREN_END_SECONDS):
            self._say(f"still ending: {', '.join(map(str, left))}")
        self._status.ready = False
        self._write_status()
        self._say(f"stopped in {time.monotonic() - began:.1f} s")

    # -- beside

    def _log(self, name: str) -> Path:
        return self._data.logs / f"{name}.log"

    def _write_status(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: `ams status` is old for a while, nothing else suffers
            self._data.write_status(self._status)

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOGS_BOUNDED_EVERY_SECONDS)
            bound_logs(self._data.logs)
