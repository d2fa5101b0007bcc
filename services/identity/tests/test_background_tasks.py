"""Each background task of identity restarts after any failure."""

import asyncpg
import pytest

from ams_identity.app import make_app
from ams_identity.settings import Settings
from ams_kit.testing.supervision import running, until


async def test_each_task_restarts_after_an_unexpected_error(settings: Settings) -> None:
    async with running(make_app(settings)) as identity:
        names = await identity.fail_each_task()

    assert names == {"signing-keys", "delete-expired", "audit-chain", "revocation-keeper", "usage", "outbox", "mailer"}


async def test_a_task_that_keeps_failing_makes_the_process_not_ready(settings: Settings) -> None:
    async with running(make_app(settings)) as identity:
        said = await identity.fail_for_ever("outbox")

    assert said.startswith("The background task outbox failed ")
    assert "times in a row (UnexpectedError)" in said


async def test_a_connection_that_closes_within_a_message_stops_no_task(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_app(settings)) as identity:
        acquire, failures = asyncpg.pool.Pool.acquire, 0

        def cut(pool: asyncpg.Pool, *, timeout: float | None = None):
            nonlocal failures
            failures += 1
            if failures > 6:
                return acquire(pool, timeout=timeout)
            raise asyncpg.InternalClientError("got result for unknown protocol state 3")

        monkeypatch.setattr(asyncpg.pool.Pool, "acquire", cut)
        for name in ("delete-expired", "revocation-keeper"):
            identity.named(name)[0].inject(ZeroDivisionError())  # these tasks query the database when they start

        async def recovered() -> bool:
            return failures > 6 and all(task.is_running for task in identity.background.tasks if task.name != "outbox")

        await until(recovered)
        await until(identity.is_ready)
