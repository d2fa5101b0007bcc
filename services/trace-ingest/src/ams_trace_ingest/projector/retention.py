"""Retention: once a UTC day, rows of tasks that are older than their project keeps are deleted, in bounded transactions.

The cut is stored first (``public.retention``) and never goes back; from then on the projections ignore events of older tasks, in the live
tables and in a replay alike. What a run has deleted stays deleted, so an interrupted run continues where it was.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import asyncpg
import structlog

from ams_contracts.topics import DAY_MS, TASKS, task_key
from ams_kit.bus import Log, Record
from ams_kit.refusal import refuse_to_serve
from ams_kit.retriable import DATABASE_UNAVAILABLE
from ams_kit.telemetry.metrics import RETENTION_DELETED, RETENTION_FINISHED
from ams_trace_ingest.projector.apply import release_claims
from ams_trace_ingest.repeated_calls import CALL_PREFIX
from ams_trace_ingest.store import hourly_rollups, retention
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.retention import ADVISORY_LOCK, DAY_TABLES, PLATFORM, TASK_TABLES, Cuts, TaskBatch
from ams_trace_ingest.store.task_days import first_us_of
from ams_trace_ingest.store.tasks import TaskKey

CHECK_SECONDS = 600.0  # a run begins at most so long after midnight UTC
TASKS_MAX = 500  # of one batch, all of one project and day
ROWS_MAX = 10_000  # deleted by one transaction
STEPS_MAX = 5_000  # of which one transaction releases the claims
PARTITIONS_MAX = 3  # dropped by one transaction: one day
RUNS_KEPT_DAYS = 90
LOG_DAYS_MAX = 3_650  # of a log that keeps its records for ever
GRACE_DAYS = 2  # a day is cut by the broker's clock, the log deletes by segments
LOCK_TIMEOUT = "2s"  # dropping a partition waits for readers of its table, and everybody else waits for it
LOCK_ATTEMPTS_MAX = 30
ACQUIRE_TIMEOUT_SECONDS = 5

T = TypeVar("T")

logger = structlog.get_logger(__name__)


def next_cuts(today: date, platform_days: int, project_days: Mapping[str, int], known: Cuts) -> dict[str, tuple[int, date]]:
    """The days to keep and the first day kept, of the platform and of each project that has a row or a setting.

    Args:
        today: UTC.
        platform_days: Whole days before today that are kept.
        project_days: What owners have set; more than the platform's counts as the platform's.
        known: The cuts that hold now.
    """
    wanted = {PLATFORM: platform_days}
    for project_id in known.projects.keys() | project_days.keys():
        wanted[project_id] = min(project_days.get(project_id, platform_days), platform_days)
    return {project_id: (days, today - timedelta(days)) for project_id, days in wanted.items()}


class RetentionTooLongError(Exception):
    """The tables would keep tasks that the log cannot rebuild. The text is one sentence for the person who set it."""


def check_days(days: int, log_retention_ms: int | None) -> int:
    """How many whole days the log keeps.

    Args:
        days: That the platform keeps tasks.
        log_retention_ms: Of the log's topics; null for ever.

    Raises:
        RetentionTooLongError: The log keeps less than the platform.
    """
    if log_retention_ms is None:
        return LOG_DAYS_MAX
    log_days = log_retention_ms // DAY_MS
    if days > log_days:
        raise RetentionTooLongError(
            f"AMS_RETENTION_DAYS is {days}, but the log keeps records for {log_days} days. Set it to {log_days} or less, or let "
            "ams.steps.v1 and ams.payloads.v1 keep their records longer."
        )
    return log_days


class Pruner:
    """Deletes what lies before the stored cuts, from one generation of tables."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        now: Callable[[], datetime],
        on_deleted: Callable[[Sequence[TaskKey]], Awaitable[None]] | None = None,
        on_progress: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Deletes nothing yet.

        Args:
            pool: As ``ams_writer``; its sessions say which generation.
            now: Aware.
            on_deleted: Awaited before tasks count as pruned; after an error they are pruned, and reported, again.
            on_progress: Awaited after each batch; it raises when the run must stop.
        """
        self._pool = pool
        self._now = now
        self._on_deleted = on_deleted
        self._on_progress = on_progress
        self.counts: Counter[str] = Counter()

    async def run(self, *, forget_before: date | None = None, late_before: date | None = None) -> None:
        """Delete everything before the cuts.

        Args:
            forget_before: Pruned tasks of earlier days are forgotten, unless a record came late; null: none is.
            late_before: A record that came late before this day is not in the log any more.
        """
        cuts = await self.ask(retention.cuts)
        if cuts.platform is None:
            return
        for project_id in await self.ask(retention.projects):
            before = cuts.of(project_id)
            while before is not None and (day := await self._oldest(project_id, before)) is not None:
                await self._prune_day(project_id, day, whole_day=day < cuts.platform)
        await self._drop_partitions(cuts.platform)
        await self._prune_others(cuts)
        if forget_before is not None and late_before is not None:
            await self.repeat("task_days", lambda c: retention.forget_days(c, forget_before, late_before, ROWS_MAX))

    async def _oldest(self, project_id: str, before: date) -> date | None:
        return await self.ask(lambda connection: retention.oldest_day(connection, project_id, before))

    async def _prune_day(self, project_id: str, day: date, *, whole_day: bool) -> None:
        """All tasks of a project and day. Rows of a partition that is dropped afterwards (``whole_day``) are left to that."""
        dropped = await self.ask(lambda c: retention.partitions_of(c, day)) if whole_day else frozenset[str]()
        tables = [table for table in DAY_TABLES if table not in dropped]
        while batch := await self.ask(lambda c: retention.next_batch(c, project_id, day, TASKS_MAX)):
            await self.prune(batch, tables)

    async def prune(self, batch: TaskBatch, tables: Sequence[str] = DAY_TABLES) -> None:
        """Delete tasks.

        A task's own row goes first, so that lists show it no longer and the projector stops trusting what it remembers of it; the mark
        in ``task_days`` comes last, so that an interrupted run finds the task again.

        Args:
            batch: At most ``TASKS_MAX`` tasks.
            tables: The partitioned tables to delete from.
        """
        for table in TASK_TABLES:
            await self.repeat(table, lambda c, table=table: retention.delete_of_tasks(c, table, batch, ROWS_MAX))
        await self._release(batch)
        for table in tables:
            await self.repeat(table, lambda c, table=table: retention.delete_of_tasks(c, table, batch, ROWS_MAX))
        if self._on_deleted is not None:
            await self._on_deleted([(batch.project_id, task_id) for task_id in batch.task_ids])
        self._count("pruned_tasks", await self.ask(lambda c: retention.mark_pruned(c, batch, self._now())))
        await self._progressed()

    async def _release(self, batch: TaskBatch) -> None:
        """Remove what the tasks claim by roll-up rule R3, some steps at a time."""
        after: tuple[str, str] | None = ("", "")
        while after is not None:

            async def release(connection: Connection, after: tuple[str, str] = after) -> tuple[tuple[str, str] | None, int]:
                steps = await retention.claimed_keys(connection, batch, after, STEPS_MAX)
                last = steps[-1][:2] if len(steps) == STEPS_MAX else None
                keys = {key for _, _, response_id, call_key in steps for key in (response_id, call_key and CALL_PREFIX + call_key)}
                ids = sorted(key for key in keys if key is not None)
                if not ids:
                    return last, 0
                deleted, shared = await retention.delete_claims(connection, batch, ids)
                if shared:
                    await release_claims(connection, {(batch.project_id, response_id): tasks for response_id, tasks in shared.items()})
                return last, deleted

            after, deleted = await self.ask(release)
            self._count("response_claims", deleted)

    async def _drop_partitions(self, before: date) -> None:
        """Drop day partitions. A reader that is under way is waited for a moment, and tried again later."""

        async def drop(connection: Connection) -> int:
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            return await retention.drop_partitions(connection, before, PARTITIONS_MAX)

        for _ in range(LOCK_ATTEMPTS_MAX):
            try:
                await self.repeat("partitions", drop)
            except asyncpg.LockNotAvailableError:
                await asyncio.sleep(1)
            else:
                return
        logger.warning("day partitions are in use, the next run drops them", before=before.isoformat())

    async def _prune_others(self, cuts: Cuts) -> None:
        for letters_of in await self.ask(retention.letter_projects):
            if (before := cuts.of(letters_of or PLATFORM)) is not None:
                await self.repeat(
                    "dead_letters", lambda c, of=letters_of, before=before: retention.delete_letters(c, of, first_us_of(before), ROWS_MAX)
                )
        for rollups_of in await self.ask(retention.rollup_projects):
            if (before := cuts.of(rollups_of)) is not None:
                await self.repeat(
                    "hourly_rollups", lambda c, of=rollups_of, before=before: hourly_rollups.delete_days(c, of, before, ROWS_MAX)
                )
        for agents_of in await self.ask(retention.agent_projects):
            if (before := cuts.of(agents_of)) is not None:
                await self.repeat(
                    "agents", lambda c, of=agents_of, before=before: retention.delete_agents(c, of, first_us_of(before), ROWS_MAX)
                )

    async def repeat(self, name: str, delete: Callable[[Connection], Awaitable[int]]) -> None:
        """Delete until nothing is left, each time in a transaction of its own."""
        while deleted := await self.ask(delete):
            self._count(name, deleted)
            await self._progressed()

    def _count(self, name: str, rows: int) -> None:
        if rows:
            self.counts[name] += rows
            RETENTION_DELETED.labels(name).inc(rows)

    async def _progressed(self) -> None:
        if self._on_progress is not None:
            await self._on_progress()

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask, or delete, in a transaction of the generation."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection, may_sort=True)
            return await question(connection)


class Retention:
    """The daily run, by one process at a time."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: Log,
        *,
        days: int,
        log_retention_ms: Callable[[], Awaitable[int | None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Takes the platform's settings.

        Args:
            pool: As ``ams_writer``.
            log: Deleted tasks are reported to ``ams.tasks.v1``: a tombstone each, so that compaction removes them.
            days: Whole UTC days before today that are kept.
            log_retention_ms: How long the log keeps records; null for ever.
            now: Aware.
        """
        self._pool = pool
        self._log = log
        self._days = days
        self._log_retention_ms = log_retention_ms
        self._now = now

    async def run(self) -> None:
        """Prune once a day until cancelled.

        Raises:
            RetentionTooLongError: The log keeps records for less than the platform's days.
        """
        while True:
            await self.run_once()
            await asyncio.sleep(CHECK_SECONDS)

    async def run_once(self) -> bool:
        """Do today's run, unless it is done or another process is at it.

        Returns:
            Whether this process finished it.

        Raises:
            RetentionTooLongError: As for ``run``.
        """
        log_days = check_days(self._days, await self._log_retention_ms())
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as lock:
            if not await lock.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
                return False
            try:
                return await self._run(lock, log_days)
            finally:
                await release_lock(lock)

    async def _run(self, lock: Connection, log_days: int) -> bool:
        at = self._now()
        today = at.date()
        if await retention.begin_run(lock, today, at):
            return False
        async with lock.transaction():
            await retention.advance(lock, next_cuts(today, self._days, await retention.settings(lock), await retention.cuts(lock)))
        logger.info("retention begins", day=today.isoformat(), kept_days=self._days)

        async def store_progress() -> None:
            await retention.store_run(lock, today, pruner.counts, None)  # fails when the connection, and with it the lock, is lost

        pruner = Pruner(self._pool, now=self._now, on_deleted=self._report, on_progress=store_progress)
        await pruner.run(
            forget_before=today - timedelta(self._days + log_days + GRACE_DAYS), late_before=today - timedelta(log_days + GRACE_DAYS)
        )
        await retention.store_run(lock, today, pruner.counts, self._now())
        await retention.forget_runs(lock, today - timedelta(RUNS_KEPT_DAYS))
        RETENTION_FINISHED.set_to_current_time()
        logger.info("retention is done", day=today.isoformat(), **pruner.counts)
        return True

    async def _report(self, keys: Sequence[TaskKey]) -> None:
        await report_deleted(self._log, keys)


async def report_deleted(log: Log, keys: Sequence[TaskKey]) -> None:
    """Publish a tombstone of each task to ``ams.tasks.v1``."""
    await log.publish([Record(topic=TASKS, key=task_key(*key), value=None, headers=[("v", b"1")]) for key in keys])


async def run_retention(retention: Retention) -> None:
    """Run retention until cancelled or until it fails. A platform that would keep more than its log does not serve."""
    try:
        await retention.run()
    except RetentionTooLongError as error:
        refuse_to_serve("projector", str(error))


async def release_lock(lock: Connection) -> None:
    """Give the lock back; a connection that cannot is ended, and the lock with it."""
    try:
        await lock.execute("SELECT pg_advisory_unlock($1)", ADVISORY_LOCK)
    except (*DATABASE_UNAVAILABLE, asyncpg.PostgresError):
        lock.terminate()
