"""One supervised process: started, watched, started again with a growing pause, stopped in order.

Everything here runs in one thread on one event loop: the kernel ties "die with your parent" to the thread that started a child.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from ams_local.data import ProcessStatus
from ams_local.process import children, spawn
from ams_local.servers.base import Command, ServerError

PROBE_INTERVAL_SECONDS = 0.04
PROBE_INTERVAL_SECONDS_MAX = 0.2
PROBE_INTERVAL_SHARE = 0.1  # of the time waited so far: each question costs what starts, most of all Postgres, which forks for it
PAUSE_MIN_SECONDS = 0.2
PAUSE_STEADY_SECONDS = 0.02
PAUSE_MAX_SECONDS = 5.0
STEADY_SECONDS = 10.0  # a process that lived this long starts again at once
START_TIMEOUT_SECONDS = 60.0  # a process that is not ready by then is ended and started again
EARLY_FAILURES_MAX = 5  # as many ends in a row before it was ever ready are reported as a failed start


class Reaper:
    """Reports when a child has ended, and reaps adopted orphans."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, int] = {}

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGCHLD, self._collect)

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            waiting = self._waiting.pop(pid, None)
            if waiting is None:
                self._ended[pid] = code  # ended before anyone asked, or an orphan
            elif not waiting.done():
                waiting.set_result(code)

    def ended(self, pid: int) -> asyncio.Future[int]:
        """The exit code of a child, negative for a signal, when it comes."""
        future = asyncio.get_running_loop().create_future()
        if pid in self._ended:
            future.set_result(self._ended.pop(pid))
        else:
            self._waiting[pid] = future
        return future


async def end_children(timeout_seconds: float) -> list[int]:
    """End every child that still runs: a fork that its starter no longer waits for, a job, the fork server. A Reaper must be installed.

    Returns:
        Those that are left after the timeout: a process in an uninterruptible call outlives SIGKILL for a while.
    """
    end = time.monotonic() + timeout_seconds
    while (left := children()) and time.monotonic() < end:
        for pid in left:
            kill_group(pid)
            send_signal(pid, signal.SIGKILL)  # one that has not yet made a group of its own
        await asyncio.sleep(PROBE_INTERVAL_SECONDS)
    return left


class Starter(Protocol):
    """Starts a process and returns its id. Any failure to start is a ServerError."""

    async def __call__(self) -> int: ...


class Unit(Struct, kw_only=True, eq=False):
    """What is supervised.

    Attributes:
        name: Of its log and in `ams status`.
        start: Starts it once.
        answers: Whether it is ready now. None: as soon as it runs.
        stop_signal: Asks it to end.
        needs: Waited for before the first start (never at a restart: services wait for their servers by themselves).
        required: Whether the platform counts as started only with it.
    """

    name: str
    start: Starter
    answers: Callable[[], Awaitable[bool]] | None = None
    stop_signal: int = signal.SIGTERM
    needs: tuple[asyncio.Event, ...] = ()
    required: bool = True


class Supervised:
    """The life of one unit."""

    def __init__(self, unit: Unit, reaper: Reaper, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.ready = asyncio.Event()
        self.status = ProcessStatus()
        self.early_failures = 0
        self._reaper = reaper
        self._changed = changed
        self._stopping = False
        self._ended: asyncio.Future[int] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._live(), name=self.unit.name)

    def _enter(self, state: str) -> None:
        self.status.state = state
        self.status.since_s = int(time.time())
        self._changed()

    async def _live(self) -> None:
        for event in self.unit.needs:
            await event.wait()
        pause = PAUSE_MIN_SECONDS
        while not self._stopping:
            self._enter("starting")
            began = time.monotonic()
            try:
                self.status.pid = await self.unit.start()
            except ServerError:
                self.early_failures += 1
            else:
                await self._watch(self.status.pid)
            self.status.pid = 0
            if self._stopping:
                break
            self.status.restarts += 1
            self._enter("restarting")
            steady = time.monotonic() - began > STEADY_SECONDS
            pause = PAUSE_MIN_SECONDS if steady else min(pause * 2, PAUSE_MAX_SECONDS)
            await asyncio.sleep(PAUSE_STEADY_SECONDS if steady else pause)
        self._enter("stopped")

    async def _watch(self, pid: int) -> None:
        self._ended = self._reaper.ended(pid)
        becoming_ready = asyncio.create_task(self._until_ready())
        try:
            await asyncio.wait({self._ended, becoming_ready}, return_when=asyncio.FIRST_COMPLETED, timeout=START_TIMEOUT_SECONDS)
            if self._ended.done():
                self.early_failures += 1
            elif becoming_ready.done():
                self.early_failures = 0
                self.ready.set()
                self._enter("ready")
            else:
                kill_group(pid)
        finally:
            becoming_ready.cancel()
        await self._ended

    async def _until_ready(self) -> None:
        began = time.monotonic()
        while self.unit.answers is not None and not await self.unit.answers():
            waited = time.monotonic() - began
            await asyncio.sleep(min(max(PROBE_INTERVAL_SECONDS, waited * PROBE_INTERVAL_SHARE), PROBE_INTERVAL_SECONDS_MAX))

    async def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, and end it when it has not by then."""
        self._stopping = True
        if self._task is None:
            return
        pid, ended = self.status.pid, self._ended
        if pid and ended is not None and not ended.done():
            send_signal(pid, self.unit.stop_signal)
            await asyncio.wait({ended}, timeout=timeout_seconds)
            if not ended.done():
                kill_group(pid)
                await asyncio.wait({ended}, timeout=1)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.status.pid = 0
        self._enter("stopped")


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_group(pid: int) -> None:
    """End a process and what it started, at once."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def server_starter(how: Command, log: Path) -> Starter:
    """Starts an embedded server with its output in a log file."""

    async def start() -> int:
        try:
            with log.open("ab") as output:
                child = spawn(how.argv, env=how.env, cwd=how.cwd, output=output, identity=how.identity, death_signal=how.death_signal)
        except OSError as error:
            raise ServerError(f"{how.argv[0]} cannot be started: {error.strerror}") from error
        child.returncode = 0  # the reaper collects it, not subprocess
        return child.pid

    return start
