"""Supervises the long-running tasks of a process: restarts them with back-off, counts failures, and reports them in ``/readyz`` and ``/metrics``.

A task that nobody awaits ends silently when it fails, and its process stays "ready" without it. Therefore every loop of every service runs here:
``spawn`` it, and let it raise. A retriable error (``ams_kit.retriable``) is retried soon and without a limit, because the unavailable server has
its own readiness check. Any other error is a fault: the back-off grows, and a task that fails repeatedly makes the process not ready.
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
RETRIABLE_BACKOFF_SECONDS_MAX = 1.0  # a refused connection is cheap, and a recovered server should be used soon
LONG_OUTAGE_FAILURES = 60  # about a minute; then nobody waits for the second in which the server returns
LONG_OUTAGE_BACKOFF_SECONDS = 5.0
FAULT_BACKOFF_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 30.0  # a run of this duration was healthy and resets the count of failures
FAULTS_TO_NOT_READY = 3
CANCEL_AGAIN_SECONDS = 1.0
LOG_SECONDS = 10.0  # at most one failure of the same type is logged in this time, which doubles with each of them
LOG_SECONDS_MAX = 300.0

logger = structlog.get_logger(__name__)

Loop = Callable[[], Awaitable[object]]
"""Runs until it is cancelled. It is called again after a failure, so it must not depend on state of an interrupted run."""
OnFailure = Callable[[Exception], None]
"""Runs after a failure, before the back-off, to update visible state such as "not connected". Must not block."""


class LoopEndedError(Exception):
    """A loop returned or cancelled itself without being stopped."""


class BackgroundFailedError(UnavailableError):
    """A background task fails repeatedly. ``detail`` names the task and the reason."""

    code = "background_task_failed"


class BackgroundTask:
    """One supervised loop. Created by ``Background.spawn``."""

    def __init__(self, background: "Background", name: str, loop: Loop, on_failure: OnFailure | None, *, may_end: bool) -> None:
        self.name = name
        self.failures = 0
        """Consecutive failures: since the start, or since the last healthy run."""
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
        self._log_seconds = LOG_SECONDS
        self._task = asyncio.create_task(self._supervise(), name=f"ams-{name}")
        self._task.add_done_callback(lambda _: background.ended(self))

    @property
    def is_running(self) -> bool:
        """Whether the loop is running. False during the back-off."""
        return self._is_running

    @property
    def is_done(self) -> bool:
        """Whether the task was stopped or has ended regularly."""
        return self._task.done()

    def fault(self) -> str | None:
        """Return why this task makes the process not ready, as a sentence; ``None`` when it does not."""
        healthy = self._is_running and self._background.monotonic() - self._started_at >= HEALTHY_SECONDS
        if self._faults < FAULTS_TO_NOT_READY or healthy:
            return None
        return f"The background task {self.name} failed {self.failures} times in a row ({type(self._error).__name__}); see the log."

    def state(self) -> str:
        """Return "running", or the number of failures and the type of the last one."""
        return "running" if self._is_running else f"restarting after {self.failures} failures ({type(self._error).__name__})"

    def mark_healthy(self) -> None:
        """Reset the count of failures after the loop has completed its work."""
        self.failures = self._faults = 0

    def inject(self, error: Exception) -> None:
        """End the current run as if the loop had raised this error. For tests of restarts."""
        if not self._is_running:
            raise RuntimeError(f"the task {self.name} is not running")
        self._injected = error
        self._task.cancel()

    def cancel(self) -> None:
        """Cancel the loop without waiting for its end. Does not count as a failure."""
        self._task.cancel()

    async def stop(self) -> None:
        """Cancel the loop and wait for its end. Does not count as a failure."""
        while not self._task.done():
            self.cancel()  # repeatedly: before Python 3.12, asyncio.wait_for loses a cancellation that comes as its future ends
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_SECONDS)

    async def _supervise(self) -> None:
        while True:
            error = await self._run_once()
            if error is None:
                return
            await self._background.sleep(self._record(error))

    async def _run_once(self) -> Exception | None:
        """Run the loop. Returns why it failed, or ``None`` when it ended regularly."""
        self._set_running(is_running=True)
        self._started_at = self._background.monotonic()
        try:
            await self._loop()
        except asyncio.CancelledError:
            error = self._failure_of_cancellation()
            if error is None:
                raise
            return error
        except Exception as error:  # noqa: BLE001  after any error the loop must run again and be counted as failed
            return error
        finally:
            self._set_running(is_running=False)
        return None if self._may_end else LoopEndedError("the loop returned")

    def _failure_of_cancellation(self) -> Exception | None:
        """Return the failure that caused a cancellation, or ``None`` when the task was stopped."""
        task = asyncio.current_task()
        injected, self._injected = self._injected, None
        if injected is not None and task is not None:
            task.uncancel()
            return injected
        if task is None or task.cancelling():
            return None
        return LoopEndedError("the loop was cancelled from inside")

    def _record(self, error: Exception) -> float:
        """Count, log and report a failure. Returns the back-off in seconds."""
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
        is_first = not same or self.failures == 1
        if is_first:
            self._log_seconds = LOG_SECONDS
        if not same or now - self._logged_at >= self._log_seconds:
            self._logged_at = now
            if not is_first:
                self._log_seconds = min(2 * self._log_seconds, LOG_SECONDS_MAX)
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
            except Exception as failure:  # an error of the callback must not end the supervision
                logger.exception("failure callback of a background task failed", task=self.name, exc_info=failure)
        return seconds

    def _set_running(self, *, is_running: bool) -> None:
        if is_running != self._is_running:
            self._is_running = is_running
            self._background.running_changed(self)


class Background:
    """The background tasks of one application. Build one per process, pass it to components with loops, and ``close`` it first at shutdown."""

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
        """Run a loop until ``close``, and restart it after each failure. Requires a running event loop.

        Args:
            name: The name in logs, metrics and ``/readyz``. Use a constant, not an id of a user, task or project.
            loop: Runs until it is cancelled. A return also counts as a failure.
            on_failure: See ``OnFailure``.
            may_end: A return is a regular end and no failure, for tasks that run only while they are needed.
        """
        task = BackgroundTask(self, name, loop, on_failure, may_end=may_end)
        self._tasks[task] = None
        self._total[name] += 1
        BACKGROUND_RESTARTS.labels(name)  # the counter exists from the start, at 0
        return task

    def spawn_periodic(self, name: str, work: Loop, *, every_seconds: float, on_failure: OnFailure | None = None) -> BackgroundTask:
        """Run some work now and then periodically.

        Args:
            name: See ``spawn``.
            work: One unit of work. After a failure it is retried with back-off instead of after the complete period.
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
        """The tasks that have not ended."""
        return list(self._tasks)

    async def check(self) -> None:
        """Check readiness.

        Raises:
            BackgroundFailedError: A task fails repeatedly.
        """
        faults = [fault for task in self._tasks if (fault := task.fault()) is not None]
        if faults:
            raise BackgroundFailedError(" ".join(faults))

    def report(self) -> dict[str, str]:
        """Return the state of every task by name. Of several tasks with one name, one that does not run takes precedence."""
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
        """Return the back-off after this many consecutive failures: exponential, capped, with jitter."""
        longest = FAULT_BACKOFF_SECONDS_MAX
        if is_retriable:
            longest = LONG_OUTAGE_BACKOFF_SECONDS if failures > LONG_OUTAGE_FAILURES else RETRIABLE_BACKOFF_SECONDS_MAX
        return min(BACKOFF_SECONDS_MIN * 2 ** min(failures - 1, 16), longest) * self._jitter()

    # -- called by the tasks ---------------------------------------------------------------------------------------

    def running_changed(self, task: BackgroundTask) -> None:
        """Update the gauge after a task began or ended a run. The gauge of a name is 1 while all tasks of the name run."""
        self._running[task.name] += 1 if task.is_running else -1
        BACKGROUND_UP.labels(task.name).set(self._running[task.name] == self._total[task.name])

    def ended(self, task: BackgroundTask) -> None:
        """Remove a task that has ended, and its gauge when no other task has the name."""
        self._tasks.pop(task, None)
        self._total[task.name] -= 1
        if not self._total[task.name]:
            with contextlib.suppress(KeyError):  # it was stopped before its first run
                BACKGROUND_UP.remove(task.name)
