"""Removes what is left of deleted projects: in bounded transactions, again after each tombstone that is applied."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime

import asyncpg
import structlog

from ams_kit.bus import Log
from ams_trace_ingest.projector.retention import ACQUIRE_TIMEOUT_SECONDS, ROWS_MAX, TASKS_MAX, Pruner, release_lock, report_deleted
from ams_trace_ingest.store import deleted_projects, retention
from ams_trace_ingest.store.deleted_projects import PROJECT_TABLES, DeletedProject
from ams_trace_ingest.store.retention import ADVISORY_LOCK
from ams_trace_ingest.store.tasks import TaskKey

CHECK_SECONDS = 5.0
PROJECTS_MAX = 20  # of one pass

logger = structlog.get_logger(__name__)


class ProjectPruner:
    """Deletes the rows of deleted projects from one generation of tables."""

    def __init__(self, pool: asyncpg.Pool, *, on_deleted: Callable[[Sequence[TaskKey]], Awaitable[None]] | None = None) -> None:
        """``pool`` decides on the generation; ``on_deleted`` is awaited before tasks count as pruned."""
        self._pruner = Pruner(pool, now=lambda: datetime.now(UTC), on_deleted=on_deleted)

    async def prune_due(self) -> int:
        """Prune projects of which a tombstone was applied since the last time.

        Returns:
            How many were pruned.
        """
        due = await self._pruner.ask(lambda c: deleted_projects.to_prune(c, PROJECTS_MAX))
        for project in due:
            await self._prune(project)
            logger.info("a deleted project is pruned", project_id=project.project_id, **self._pruner.counts)
        return len(due)

    async def prune_all(self) -> None:
        """Prune every deleted project: a generation that was built while a project was deleted may hold rows of it."""
        last = ""
        while projects := await self._pruner.ask(lambda c, last=last: deleted_projects.after(c, last, PROJECTS_MAX)):
            for project in projects:
                await self._prune(project)
            last = projects[-1].project_id

    async def _prune(self, project: DeletedProject) -> None:
        ask, project_id = self._pruner.ask, project.project_id
        while (day := await ask(lambda c: retention.oldest_day(c, project_id, date.max))) is not None:
            while batch := await ask(lambda c, day=day: retention.next_batch(c, project_id, day, TASKS_MAX)):
                await self._pruner.prune(batch)
        for table in PROJECT_TABLES:
            await self._pruner.repeat(table, lambda c, table=table: deleted_projects.delete_rows(c, table, project_id, ROWS_MAX))
        await ask(lambda c: deleted_projects.delete_settings(c, project_id))
        await ask(lambda c: deleted_projects.mark_pruned(c, project))


class ProjectDeletions:
    """Prunes deleted projects in the background, by one process at a time."""

    def __init__(self, pool: asyncpg.Pool, log: Log) -> None:
        self._pool = pool

        async def report(keys: Sequence[TaskKey]) -> None:
            await report_deleted(log, keys)

        self._pruner = ProjectPruner(pool, on_deleted=report)

    async def run(self) -> None:
        """Prune until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(CHECK_SECONDS)

    async def run_once(self) -> int:
        """Prune what is due, unless retention or a replay is running.

        Returns:
            How many projects were pruned.
        """
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as lock:
            if not await deleted_projects.to_prune(lock, 1) or not await lock.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
                return 0
            try:
                return await self._pruner.prune_due()
            finally:
                await release_lock(lock)
