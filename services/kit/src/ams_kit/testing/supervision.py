"""Tools to test the background tasks of a service: fail each task, and check that it restarts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx
from litestar import Litestar

from ams_kit.background import Background, BackgroundTask

INJECTION_SECONDS = 6.0
INJECTIONS_MAX = 6
RECOVERY_SECONDS = 30


class UnexpectedError(Exception):
    """An error that no code handles."""


class Running:
    """An application that runs in the test's own event loop."""

    def __init__(self, app: Litestar, http: httpx.AsyncClient) -> None:
        self.app = app
        self.http = http
        self.background: Background = app.state.background

    async def readiness(self) -> tuple[int, dict[str, str]]:
        """Return the status and the checks of ``/readyz``."""
        answer = await self.http.get("/readyz")
        return answer.status_code, answer.json()["checks"]

    async def is_ready(self) -> bool:
        return (await self.readiness())[0] == HTTPStatus.OK

    def named(self, name: str) -> list[BackgroundTask]:
        return [task for task in self.background.tasks if task.name == name]

    async def fail_each_task(self) -> set[str]:
        """Fail each task once with an unexpected error, in turn, and wait until it runs again and the application is ready.

        Returns:
            The names of the tasks.
        """
        names = {task.name for task in self.background.tasks}
        for name in sorted(names):
            for task in self.named(name):
                await _fail_once(task)
            await until(self.is_ready)
        return names

    async def fail_for_ever(self, name: str) -> str:
        """Fail every run of a task until the application is not ready.

        Returns:
            The reason that ``/readyz`` reports for the background tasks.
        """
        (task,) = self.named(name)

        async def broken() -> None:
            raise UnexpectedError

        # nothing that it does may succeed in between
        task._loop = broken  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        restarts = task.restarts
        checks: dict[str, str] = {}

        async def has_failed() -> bool:
            if task.is_running and task.restarts == restarts:
                task.inject(UnexpectedError())
            return task.restarts > restarts

        await until(has_failed)

        async def is_reported() -> bool:
            nonlocal checks
            status, checks = await self.readiness()
            return status == HTTPStatus.SERVICE_UNAVAILABLE and name in checks["background"]

        await until(is_reported)
        return checks["background"]


@asynccontextmanager
async def running(app: Litestar) -> AsyncGenerator[Running]:
    """Run an application and wait until it is ready."""
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://app") as http,
    ):
        one = Running(app, http)
        await until(one.is_ready)
        yield one


async def _fail_once(task: BackgroundTask) -> None:
    """Fail a task and wait until it runs again. A client that is just connecting may swallow the cancellation behind ``inject``: inject again."""
    restarts = task.restarts
    for _ in range(INJECTIONS_MAX):
        await until(_runs(task))
        if task.restarts == restarts:
            task.inject(UnexpectedError())
        with contextlib.suppress(TimeoutError):
            await until(_runs(task, more_restarts_than=restarts), INJECTION_SECONDS)
            return
    raise TimeoutError("the task did not restart")


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = RECOVERY_SECONDS) -> None:
    """Wait for a condition, by default for at most half a minute."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the application did not recover")
        await asyncio.sleep(0.02)


def _runs(task: BackgroundTask, *, more_restarts_than: int = -1) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return task.is_running and task.restarts > more_restarts_than

    return condition
