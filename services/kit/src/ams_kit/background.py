"""Long-running tasks of a process: restarted with back-off after any failure, counted, and shown by ``/readyz`` and ``/metrics``.

A task that nobody awaits dies in silence, and its process stays "ready" without it. So every loop of every service runs here: ``spawn`` it, and
let it raise. What is retriable (``ams_kit.retriable``) is retried soon and for ever: the server that is unavailable has its own readiness check.
Anything else is a fault: the waits grow longer, and a task that fails again and again makes the process not ready.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Self

import structlog

from ams_kit.errors import UnavailableError
from ams_kit.retriable import is_retriable
from ams_kit.telemetry.metrics import BACKGROUND_RESTARTS, BACKGROUND_UP

BACKOFF_SECONDS_MIN = 0.2
RETRIABLE_BACKOFF_SECONDS_MAX = 1.0  # a refused connection costs little, and a server that is back should not be waited for
FAULT_BACKOFF_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 30.0  # a run that lasted this long was a good one: the count of failures starts again
FAULTS_TO_NOT_READY = 3
LOG_SECONDS = 10.0  # of failures for the same reason one is logged in this time

logger = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[None]]
"""Runs until it is cancelled. Called again after a failure, so it keeps no state that a failure could leave half done."""
OnFailure = Callable[[Exception], None]
"""Runs after a failure, before the back-off: for state that others see, such as "not connected". Must not block."""


class LoopEndedError(Exception):
    """A loop returned, or cancelled itself, although nobody stopped it."""


class BackgroundFailedError(UnavailableError):
    """A background task fails again and again. ``detail`` names it and the reason."""

    code = "background_task_failed"


class BackgroundTask:
    """One supervised loop. Made by ``Background.spawn``."""

    def __init__(self, background: "Background", name: str, loop: Loop, on_failure: OnFailure | None, *, may_end: bool) -> None:
        self.name = name
        self.failures = 0
        """In a row: since the start, or since the last run that was healthy."""
        self.restarts = 0
        self._background = background
        self._loop = loop
        self._on_failure = on_failure
        self._may_end = may_end
        self._faults = 0
        self._error: BaseException | None = None
        self._injected: Exception | None = None
        self._started_at = 0.0
        self._is_running = False
        self._logged_at = -LOG_SECONDS
        self._task = asyncio.create_task(self._supervise(), name=f"ams-{name}")
        self._task.add_done_callback(lambda _: background.ended(self))

    @property
    def is_running(self) -> bool:
        """Whether the loop runs right now. False while it waits for its next attempt."""
        return self._is_running

    @property
    def is_done(self) -> bool:
        """Whether it was stopped, or ended as it may."""
        return self._task.done()

    def fault(self) -> str | None:
        """Why this task makes the process not ready, as a sentence; ``None`` when it does not."""
        healthy = self._is_running and self._background.monotonic() - self._started_at >= HEALTHY_SECONDS
        if self._faults < FAULTS_TO_NOT_READY or healthy:
            return None
        return f"The background task {self.name} failed {self.failures} times in a row ({type(self._error).__name__}); see the log."

    def state(self) -> str:
        """In a word, that it is running, or else the number of failures and the reason of the last one."""
        return "running" if self._is_running else f"restarting after {self.failures} failures ({type(self._error).__name__})"

    def mark_healthy(self) -> None:
        """Forget the failures: the loop has just done its work."""
        self.failures = self._faults = 0

    def inject(self, error: Exception) -> None:
        """End the current run as if the loop had raised this. For tests of what a task does after a failure."""
        if not self._is_running:
            raise RuntimeError(f"the task {self.name} does not run right now")
        self._injected = error
        self._task.cancel()

    def cancel(self) -> None:
        """Ask the loop to end, without waiting for it. Counts as no failure."""
        self._task.cancel()

    async def stop(self) -> None:
        """Cancel the loop and wait until it has ended. Counts as no failure."""
        self.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            error = await self._run_once()
            if error is None:
                return
            await self._background.sleep(self._record(error))

    async def _run_once(self) -> Exception | None:
        """Run the loop. Returns why it failed, or ``None`` when it ended and may do so."""
        self._set_running(is_running=True)
        self._started_at = self._background.monotonic()
        try:
            await self._loop()
        except asyncio.CancelledError:
            error = self._failure_of_cancellation()
            if error is None:
                raise
            return error
        except Exception as error:  # noqa: BLE001  whatever it is: the loop must run again, and be seen to have failed
            return error
        finally:
            self._set_running(is_running=False)
        return None if self._may_end else LoopEndedError("the loop returned")

    def _failure_of_cancellation(self) -> Exception | None:
        """The failure behind a cancellation, or ``None`` when somebody stopped the task."""
        task = asyncio.current_task()
        injected, self._injected = self._injected, None
        if injected is not None and task is not None:
            task.uncancel()
            return injected
        if task is None or task.cancelling():
            return None
        return LoopEndedError("the loop was cancelled from inside")

    def _record(self, error: Exception) -> float:
        """Count, log and report a failure. Returns how long to wait before the next attempt."""
        now = self._background.monotonic()
        if now - self._started_at >= HEALTHY_SECONDS:
            self.mark_healthy()
        retriable = is_retriable(error)
        self.failures += 1
        self._faults = 0 if retriable else self._faults + 1
        same = type(error) is type(self._error)
        self._error = error
        self.restarts += 1
        BACKGROUND_RESTARTS.labels(self.name).inc()
        seconds = self._background.backoff_seconds(self.failures, is_retriable=retriable)
        if not same or now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log = logger.warning if retriable else logger.error
            log(
                "background task failed",
                task=self.name,
                failures=self.failures,
                retry_in_s=round(seconds, 1),
                error_type=type(error).__name__,
                **({} if retriable else {"exc_info": error}),
            )
        if self._on_failure is not None:
            try:
                self._on_failure(error)
            except Exception as failure:  # the report must not end the supervision
                logger.exception("failure of a background task was not reported", task=self.name, exc_info=failure)
        return seconds

    def _set_running(self, *, is_running: bool) -> None:
        if is_running != self._is_running:
            self._is_running = is_running
            self._background.running_changed(self)


class Background:
    """The background tasks of one application. Build one per process, hand it to what has loops, and ``close`` it first when it stops."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1),  # noqa: S311  jitter, not a secret
    ) -> None:
        self.monotonic = monotonic
        self.sleep = sleep
        self._jitter = jitter
        self._tasks: dict[BackgroundTask, None] = {}  # in order of their start
        self._running: Counter[str] = Counter()
        self._total: Counter[str] = Counter()

    def spawn(self, name: str, loop: Loop, *, on_failure: OnFailure | None = None, may_end: bool = False) -> BackgroundTask:
        """Run a loop until ``close``, and again after each failure. Call it inside a running event loop.

        Args:
            name: In logs, metrics and ``/readyz``. Constant: never an id of a user, task or project.
            loop: Runs until it is cancelled. Its return is a failure, too.
            on_failure: See ``OnFailure``.
            may_end: A return is the regular end and no failure: for tasks that live as long as somebody needs them.
        """
        task = BackgroundTask(self, name, loop, on_failure, may_end=may_end)
        self._tasks[task] = None
        self._total[name] += 1
        BACKGROUND_RESTARTS.labels(name)  # the counter exists from the start, at 0
        return task

    def spawn_periodic(self, name: str, work: Loop, *, every_seconds: float, on_failure: OnFailure | None = None) -> BackgroundTask:
        """Do some work now and then again and again.

        Args:
            name: See ``spawn``.
            work: Done once per call. After a failure it is tried again with back-off, not only after the whole period.
            every_seconds: The pause between the end of one call and the next.
            on_failure: See ``OnFailure``.
        """

        async def loop() -> None:
            while True:
                await work()
                task.mark_healthy()
                await asyncio.sleep(every_seconds)

        task = self.spawn(name, loop, on_failure=on_failure)
        return task

    @property
    def tasks(self) -> list[BackgroundTask]:
        """Those that have not ended."""
        return list(self._tasks)

    async def check(self) -> None:
        """A readiness check.

        Raises:
            BackgroundFailedError: A task fails again and again.
        """
        faults = [fault for task in self._tasks if (fault := task.fault()) is not None]
        if faults:
            raise BackgroundFailedError(" ".join(faults))

    def report(self) -> dict[str, str]:
        """Every task by name: "running", or why it does not run. Of several with one name, the one that does not run."""
        states: dict[str, str] = {}
        for task in self._tasks:
            if task.name not in states or not task.is_running:
                states[task.name] = task.state()
        return states

    async def close(self) -> None:
        """Stop all tasks, the last one first."""
        for task in reversed(self.tasks):
            await task.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def backoff_seconds(self, failures: int, *, is_retriable: bool) -> float:
        """How long to wait after so many failures in a row: doubling, capped, with jitter."""
        longest = RETRIABLE_BACKOFF_SECONDS_MAX if is_retriable else FAULT_BACKOFF_SECONDS_MAX
        return min(BACKOFF_SECONDS_MIN * 2 ** min(failures - 1, 16), longest) * self._jitter()

    # -- called by the tasks ---------------------------------------------------------------------------------------

    def running_changed(self, task: BackgroundTask) -> None:
        """A task began or ended a run. The gauge of a name is 1 while all tasks of the name run."""
        self._running[task.name] += 1 if task.is_running else -1
        BACKGROUND_UP.labels(task.name).set(self._running[task.name] == self._total[task.name])

    def ended(self, task: BackgroundTask) -> None:
        """A task is over: it is neither up nor down any more."""
        self._tasks.pop(task, None)
        self._total[task.name] -= 1
        if not self._total[task.name]:
            with contextlib.suppress(KeyError):  # it was stopped before its first run
                BACKGROUND_UP.remove(task.name)
