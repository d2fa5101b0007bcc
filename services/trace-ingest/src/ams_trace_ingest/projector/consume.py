"""The projector process: one consumer for each topic and projection, the sweeps, and an HTTP application that serves health and metrics only."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State

from ams_contracts.topics import IDENTITY, PAYLOADS, STEPS
from ams_kit.background import Background
from ams_kit.bus import Consumer, Log, shortest_retention_ms
from ams_kit.db import check_pool
from ams_kit.http.app import make_application
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.backup_age import BackupAge
from ams_trace_ingest.projector.deleted_projects import ProjectDeletions
from ams_trace_ingest.projector.feed import TaskFeed
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.projects import ProjectsProjection
from ams_trace_ingest.projector.retention import Retention, run_retention
from ams_trace_ingest.projector.sweeps import Sweeper
from ams_trace_ingest.projector.text import PATIENCE_SECONDS, RECORDS_MAX, LowPriorityThrottle, TextProjection
from ams_trace_ingest.settings import ProjectorSettings
from ams_trace_ingest.store.connections import open_writer


def tune_garbage_collection() -> None:
    """Run the cyclic garbage collector rarely: a batch makes tens of thousands of objects without a cycle, and traversing them took half of the CPU."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def make_projector(settings: ProjectorSettings) -> Litestar:
    """The application that turns the log into rows: consumers, the sweeps, and nothing to ask but its health."""
    background = Background()

    @asynccontextmanager
    async def parts(app: Litestar) -> AsyncGenerator[None]:
        pool = await open_writer(
            settings.database_url, application="projector", size_max=settings.database_connections_max, repeatable=True
        )
        log = await Log.open(settings.kafka, "projector")
        feed = TaskFeed(log)
        instance = settings.projector_instance or None
        steps = Consumer(
            settings.kafka,
            StepsProjection.projection,
            STEPS,
            StepsProjection(pool, listener=feed),
            instance_id=instance,
            records_max=settings.records_max,
        )
        payloads = Consumer(
            settings.kafka,
            PayloadsProjection.projection,
            PAYLOADS,
            PayloadsProjection(pool),
            instance_id=instance,
            records_max=settings.records_max,
        )
        sweeper = Sweeper(pool, log, feed, lambda: {partition: lag.records for partition, lag in steps.lag().items()})

        def log_retention_ms() -> Awaitable[int | None]:
            return shortest_retention_ms(settings.kafka, (STEPS, PAYLOADS))

        retention = Retention(pool, log, days=settings.retention_days, log_retention_ms=log_retention_ms)
        backup_age = BackupAge(pool, log_retention_ms=log_retention_ms)
        first = (steps, payloads)
        throttle = LowPriorityThrottle(lambda: sum(consumer.behind() for consumer in first))
        texts = [
            Consumer(
                settings.kafka,
                group,
                topic,
                TextProjection(pool, throttle=throttle),
                instance_id=instance,
                records_max=RECORDS_MAX,
                stalled_after_seconds=PATIENCE_SECONDS,
            )
            for group, topic in (("text", PAYLOADS), ("text_names", STEPS))
        ]
        projects = Consumer(settings.kafka, ProjectsProjection.projection, IDENTITY, ProjectsProjection(pool, log), instance_id=instance)
        deletions = ProjectDeletions(pool, log)
        app.state.pool, app.state.steps, app.state.payloads = pool, steps, payloads
        tune_garbage_collection()
        consumers = (steps, payloads, *texts, projects)
        for consumer in consumers:
            await consumer.start(background)
        background.spawn("task-feed", feed.run)
        sweeper.start(background)
        background.spawn("retention", lambda: run_retention(retention))
        background.spawn("backup-age", backup_age.run)
        background.spawn("project-deletions", deletions.run)
        try:
            yield
        finally:
            await asyncio.gather(*(consumer.stop() for consumer in consumers), return_exceptions=True)
            await background.close()
            await log.close()
            pool.terminate()

    async def steps_are_read() -> None:
        await app.state.steps.check()

    async def payloads_are_read() -> None:
        await app.state.payloads.check()

    async def tables_answer() -> None:
        await check_pool(app.state.pool)

    app = make_application(
        title="AMS projector",
        openapi_path="/internal/openapi",
        route_handlers=[],
        checks={"steps": steps_are_read, "payloads": payloads_are_read, "postgres": tables_answer},
        background=background,
        lifespan=[parts],
        state=State(),
    )
    return app
