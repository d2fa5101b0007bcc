"""A background task restarts after any failure, and one that fails repeatedly makes its process not ready."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from tests.conditions import until

from ams_kit.background import (
    FAULT_BACKOFF_SECONDS_MAX,
    FAULTS_TO_NOT_READY,
    HEALTHY_SECONDS,
    LONG_OUTAGE_BACKOFF_SECONDS,
    LONG_OUTAGE_FAILURES,
    RETRIABLE_BACKOFF_SECONDS_MAX,
    Background,
    BackgroundFailedError,
)
from ams_kit.bus import LogUnavailableError
from ams_kit.retriable import is_retriable


class Clock:
    """A clock that advances only in back-off pauses and when a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Loop:
    """Raises the given errors in turn, then runs until it is cancelled."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.starts = 0

    async def __call__(self) -> None:
        self.starts += 1
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.Event().wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def background(clock: Clock) -> AsyncIterator[Background]:
    async with Background(monotonic=clock.monotonic, sleep=clock.sleep, jitter=lambda: 1.0) as background:
        yield background


def restarts(name: str) -> float | None:
    return REGISTRY.get_sample_value("ams_background_restarts_total", {"task": name})


def up(name: str) -> float | None:
    return REGISTRY.get_sample_value("ams_background_up", {"task": name})


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncpg.InternalClientError(), OSError(), LogUnavailableError("down")], ids=repr)
async def test_a_failed_task_is_restarted_and_counted(background: Background, error: Exception) -> None:
    name = f"fails-{type(error).__name__}"
    loop = Loop(error)

    task = background.spawn(name, loop)
    await until(lambda: loop.starts == 2)

    assert (task.is_running, task.restarts, restarts(name), up(name)) == (True, 1, 1, 1)
    await background.check()


async def test_a_loop_that_returns_counts_as_failed(background: Background) -> None:
    returns = [True, False]

    async def loop() -> None:
        if not returns.pop(0):
            await asyncio.Event().wait()

    task = background.spawn("returns", loop)
    await until(lambda: not returns)

    assert (task.restarts, restarts("returns")) == (1, 1)


async def test_a_loop_that_cancels_itself_counts_as_failed(background: Background) -> None:
    starts = 0

    async def loop() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            inner = asyncio.ensure_future(asyncio.Event().wait())
            inner.cancel()
            await inner
        await asyncio.Event().wait()

    task = background.spawn("cancels-itself", loop)
    await until(lambda: starts == 2)

    assert task.restarts == 1


async def test_stopping_does_not_count_as_a_failure(background: Background) -> None:
    loop = Loop()
    task = background.spawn("stopped", loop)
    await until(lambda: loop.starts == 1)

    await task.stop()

    assert (task.restarts, restarts("stopped"), up("stopped"), background.tasks) == (0, 0, None, [])


@pytest.mark.timeout(20)
async def test_a_task_whose_client_loses_a_cancellation_is_stopped(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """``asyncio.wait_for`` of Python 3.11 returns the result when the cancellation comes as its future ends."""
    monkeypatch.setattr("ams_kit.background.CANCEL_AGAIN_SECONDS", 0.01)
    waiting, lost = asyncio.Event(), 0

    async def work() -> None:
        nonlocal lost
        while True:
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = background.spawn("loses", work)
    await waiting.wait()

    await task.stop()

    assert (lost, task.is_done, task.restarts) == (3, True, 0)


async def test_a_task_that_may_end_ends_without_a_failure(background: Background) -> None:
    async def work() -> None:
        return

    task = background.spawn("ends", work, may_end=True)
    await until(lambda: task.is_done)

    assert (task.restarts, background.tasks) == (0, [])


async def test_tasks_are_stopped_in_reverse_order(clock: Clock) -> None:
    stopped: list[str] = []
    background = Background(monotonic=clock.monotonic, sleep=clock.sleep)

    def loop_of(name: str):
        async def loop() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(name)

        return loop

    for name in ("first", "second", "third"):
        background.spawn(name, loop_of(name))
    await asyncio.sleep(0)
    await background.close()

    assert stopped == ["third", "second", "first"]


async def test_a_retriable_error_is_retried_soon_and_leaves_the_process_ready(background: Background, clock: Clock) -> None:
    loop = Loop(*(OSError() for _ in range(20)))
    task = background.spawn("outage", loop)
    await until(lambda: loop.starts == 21)

    assert clock.pauses[:3] == [0.2, 0.4, 0.8]
    assert max(clock.pauses) == RETRIABLE_BACKOFF_SECONDS_MAX
    assert task.failures == 20
    await background.check()


async def test_a_long_outage_is_retried_less_often_and_logged_less_often(background: Background, clock: Clock) -> None:
    loop = Loop(*(OSError() for _ in range(500)))
    with capture_logs() as logs:
        background.spawn("long-outage", loop)
        await until(lambda: loop.starts == 501)

    assert max(clock.pauses[:LONG_OUTAGE_FAILURES]) == RETRIABLE_BACKOFF_SECONDS_MAX
    assert set(clock.pauses[LONG_OUTAGE_FAILURES:]) == {LONG_OUTAGE_BACKOFF_SECONDS}
    failed = [entry["failures"] for entry in logs if entry["event"] == "background task failed"]
    assert failed[:3] == [1, 13, 33]
    assert len(failed) < 20  # of 500, in 37 minutes
    await background.check()


async def test_a_repeated_fault_makes_the_process_not_ready_until_a_healthy_run(background: Background, clock: Clock) -> None:
    loop = Loop(*(ZeroDivisionError() for _ in range(12)))
    background.spawn("broken", loop)
    await until(lambda: loop.starts == 13)

    assert clock.pauses[-1] == FAULT_BACKOFF_SECONDS_MAX
    with pytest.raises(BackgroundFailedError) as failed:
        await background.check()
    assert failed.value.detail == "The background task broken failed 12 times in a row (ZeroDivisionError); see the log."

    clock.now += HEALTHY_SECONDS
    await background.check()


async def test_a_few_faults_leave_the_process_ready(background: Background) -> None:
    loop = Loop(*(ZeroDivisionError() for _ in range(FAULTS_TO_NOT_READY - 1)))
    background.spawn("stumbles", loop)
    await until(lambda: loop.starts == FAULTS_TO_NOT_READY)

    await background.check()


async def test_the_backoff_is_reset_after_a_healthy_run(background: Background, clock: Clock) -> None:
    starts = 0

    async def loop() -> None:
        nonlocal starts
        starts += 1
        if starts == 4:
            clock.now += HEALTHY_SECONDS
        if starts == 5:
            await asyncio.Event().wait()
        raise ZeroDivisionError

    task = background.spawn("recovers", loop)
    await until(lambda: starts == 5)

    assert clock.pauses == [0.2, 0.4, 0.8, 0.2]
    assert task.failures == 1


async def test_failed_periodic_work_is_retried_before_the_period_ends(background: Background) -> None:
    errors = [ZeroDivisionError(), OSError()]
    done: list[int] = []

    async def work() -> None:
        if errors:
            raise errors.pop(0)
        done.append(1)

    task = background.spawn_periodic("hourly", work, every_seconds=3_600)
    await until(lambda: done == [1])

    assert (task.restarts, task.failures) == (2, 0)


async def test_the_failure_callback_runs_before_the_next_attempt_even_if_it_raises(background: Background) -> None:
    reported: list[str] = []

    def report(error: Exception) -> None:
        reported.append(type(error).__name__)
        raise KeyError

    loop = Loop(ZeroDivisionError())
    background.spawn("reports", loop, on_failure=report)
    await until(lambda: loop.starts == 2)

    assert reported == ["ZeroDivisionError"]


async def test_an_injected_error_ends_one_run(background: Background) -> None:
    loop = Loop()
    task = background.spawn("injected", loop)
    await until(lambda: loop.starts == 1)

    task.inject(ZeroDivisionError())
    await until(lambda: loop.starts == 2)

    assert (task.restarts, task.is_running) == (1, True)


async def test_the_gauge_of_a_name_shows_whether_all_of_its_tasks_run() -> None:
    async with Background(jitter=lambda: 1_000) as background:
        first, second = Loop(), Loop()
        one = background.spawn("pair", first)
        background.spawn("pair", second)
        await until(lambda: second.starts == 1)
        assert up("pair") == 1

        one.inject(OSError())
        await until(lambda: not one.is_running)

        assert up("pair") == 0
        assert background.report() == {"pair": "restarting after 1 failures (OSError)"}


@pytest.mark.parametrize(
    ("error", "retriable"),
    [
        (asyncpg.InternalClientError(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (ExceptionGroup("both", [OSError(), TimeoutError()]), True),
        (ExceptionGroup("one of them", [OSError(), KeyError()]), False),
        (asyncpg.UniqueViolationError(), False),
        (KeyError(), False),
    ],
    ids=repr,
)
def test_which_errors_are_retriable(error: Exception, retriable: bool) -> None:
    assert is_retriable(error) is retriable
