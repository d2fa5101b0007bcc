"""Each background task of the projector restarts after any failure."""

import asyncio
import os
import sys

import asyncpg
import pytest

from ams_kit.bus import create_topics
from ams_kit.testing.supervision import running, until
from ams_trace_ingest.projector.consume import make_projector
from ams_trace_ingest.projector.projects import ProjectsProjection
from ams_trace_ingest.projector.sweeps import Sweeper
from ams_trace_ingest.settings import ProjectorSettings

SWEEPS = {"sweep-partitions", "sweep-lost", "sweep-roots", "sweep-alive", "sweep-derived"}
CONSUMERS = {
    f"consumer-{group}{part}"
    for group in ("steps", "payloads", "text", "text_names", ProjectsProjection.projection)
    for part in ("", "-observer", "-retries")
}


@pytest.fixture
async def settings(kafka_bootstrap: str, traces_url: str) -> ProjectorSettings:
    await create_topics(kafka_bootstrap)
    return ProjectorSettings(kafka_bootstrap=kafka_bootstrap, database_url=f"{traces_url}?role=ams_writer", database_connections_max=4)


@pytest.mark.timeout(180)
async def test_each_task_comes_back_after_an_unexpected_error(settings: ProjectorSettings) -> None:
    async with running(make_projector(settings)) as projector:
        names = await projector.fail_each_task()

    assert names == {"task-feed", "retention", "backup-age", "project-deletions", *SWEEPS, *CONSUMERS}


@pytest.mark.timeout(180)
async def test_a_connection_that_ends_within_a_message_ends_no_sweep(settings: ProjectorSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_projector(settings)) as projector:
        acquire, failures = asyncpg.pool.Pool.acquire, 0

        def cut(pool: asyncpg.Pool, *, timeout: float | None = None):
            nonlocal failures
            failures += 1
            if failures > 12:
                return acquire(pool, timeout=timeout)
            raise asyncpg.InternalClientError("got result for unknown protocol state 3")

        monkeypatch.setattr(asyncpg.pool.Pool, "acquire", cut)
        for name in SWEEPS:
            projector.named(name)[0].inject(ZeroDivisionError())  # they ask the database when they start

        async def recovered() -> bool:
            return failures > 12 and all(task.is_running for task in projector.background.tasks)

        await until(recovered)
        await until(projector.is_ready)


@pytest.mark.timeout(180)
async def test_a_sweep_that_cannot_come_back_makes_the_process_not_ready(
    settings: ProjectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with running(make_projector(settings)) as projector:
        monkeypatch.setattr(Sweeper, "_query", fail)

        async def is_not_ready() -> bool:
            return not await projector.is_ready()

        await until(is_not_ready)
        _, checks = await projector.readiness()

    assert "The background task sweep-" in checks["background"]
    assert "times in a row (ZeroDivisionError)" in checks["background"]


@pytest.mark.timeout(120)
async def test_a_process_whose_tables_would_keep_more_than_the_log_ends_with_a_sentence(settings: ProjectorSettings) -> None:
    environment = {
        **os.environ,
        "AMS_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "AMS_DATABASE_URL": settings.database_url,
        "AMS_RETENTION_DAYS": "31",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ams_trace_ingest", "projector"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()

    assert process.returncode == 2
    assert "projector: AMS_RETENTION_DAYS is 31, but the log keeps records for 30 days" in said.decode()
