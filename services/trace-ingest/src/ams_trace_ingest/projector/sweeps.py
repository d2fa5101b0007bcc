"""What the projector does by the clock.

Silent steps become lost, rootless tasks are shown by their steps, marked tasks are derived, and partitions are made ahead.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeVar

import asyncpg
import structlog

from ams_contracts.codec import encode
from ams_contracts.events import Batch, Producer, StepLost
from ams_contracts.topics import STEPS, task_key
from ams_kit.background import Background
from ams_kit.bus import Log, Record
from ams_kit.telemetry.metrics import STEPS_LOST
from ams_trace_ingest.projector.derive_due import derive_next_due
from ams_trace_ingest.projector.feed import TaskFeed
from ams_trace_ingest.projector.task_columns import FLAG_NO_ROOT
from ams_trace_ingest.store import sweeps
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.sweeps import SilentStep

LOST_AFTER_SECONDS = 30  # six heartbeats
ROOT_AFTER_SECONDS = 60
SWEEP_SECONDS = 5.0
REPEAT_SECONDS = 10.0
PARTITIONS_SECONDS = 3_600.0
DERIVE_SECONDS = 2.0
DERIVE_SHARE = 5  # at most one part in so many of the time: a large task that keeps changing leaves the rest to the batches
DAYS_BACK = 2
DAYS_AHEAD = 7
STEPS_MAX = 1_000
TASKS_MAX = 500
RUNNING_TASKS_MAX = 2_000
ACQUIRE_TIMEOUT_SECONDS = 5

PRODUCER = Producer(sdk="ams-projector", instance_id="sweeper")

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class CaughtUp:
    """Since when each partition has had nothing unread: what is silent in a log that was not read to its end proves nothing."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def update(self, lag_records: dict[int, int], at: float) -> list[int]:
        """The partitions that have been without lag for as long as a silent step may be silent.

        Args:
            lag_records: Per assigned partition.
            at: Monotonic seconds.
        """
        self._since = {partition: self._since.get(partition, at) for partition, records in lag_records.items() if records == 0}
        return [partition for partition, since in self._since.items() if at - since >= LOST_AFTER_SECONDS]


def lost_event(step: SilentStep) -> StepLost:
    """The event that declares a step lost: the same one from every process that declares it, and outranked by any later heartbeat."""
    digest = hashlib.blake2b(f"{step.task_id}:{step.step_id}:{step.last_beat_us}".encode(), digest_size=16)
    return StepLost(event_id=digest.hexdigest(), seq=0, at_us=step.last_beat_us + 1, step_id=step.step_id, last_beat_us=step.last_beat_us)


def lost_records(steps: Sequence[SilentStep]) -> list[Record]:
    """One record per task; the steps come sorted by task."""
    return [
        Record(
            topic=STEPS,
            key=task_key(project_id, task_id),
            value=encode(
                Batch(v=1, project_id=project_id, task_id=task_id, producer=PRODUCER, events=[lost_event(step) for step in group])
            ),
            headers=[("v", b"1"), ("kinds", b"steps")],
        )
        for (project_id, task_id), group in groupby(steps, lambda step: (step.project_id, step.task_id))
    ]


class Sweeper:
    """Runs the sweeps of the partitions that this process projects."""

    def __init__(self, pool: asyncpg.Pool, log: Log, feed: TaskFeed, lag_records: Callable[[], dict[int, int]]) -> None:
        self._pool = pool
        self._log = log
        self._feed = feed
        self._lag_records = lag_records
        self._caught_up = CaughtUp()

    def start(self, background: Background) -> None:
        """Run each sweep at its own pace until the background tasks are stopped. One that fails does not hold up the others."""
        background.spawn_periodic("sweep-partitions", self.make_partitions, every_seconds=PARTITIONS_SECONDS)
        background.spawn_periodic("sweep-lost", self.declare_lost, every_seconds=SWEEP_SECONDS)
        background.spawn_periodic("sweep-roots", self.mark_rootless, every_seconds=SWEEP_SECONDS)
        background.spawn_periodic("sweep-derived", self.derive_due, every_seconds=DERIVE_SECONDS)
        background.spawn_periodic("sweep-alive", self.republish_running, every_seconds=REPEAT_SECONDS)

    async def declare_lost(self) -> None:
        """Publish ``step.lost`` for open steps whose producer used to beat and has been silent."""
        partitions = self._caught_up.update(self._lag_records(), time.monotonic())
        if not partitions:
            return
        before_us = (time.time_ns() // 1_000) - LOST_AFTER_SECONDS * 1_000_000
        found = await self._query(lambda connection: sweeps.silent_steps(connection, partitions, before_us, STEPS_MAX))
        if found:
            await self._log.publish(lost_records(found))
            STEPS_LOST.inc(len(found))

    async def mark_rootless(self) -> None:
        """Show quiet tasks without a root by their steps."""
        partitions = [partition for partition, records in self._lag_records().items() if records == 0]
        before_us = (time.time_ns() // 1_000) - ROOT_AFTER_SECONDS * 1_000_000
        self._feed.changed(
            await self._query(lambda connection: sweeps.mark_rootless(connection, partitions, before_us, FLAG_NO_ROOT, TASKS_MAX))
        )

    async def derive_due(self) -> None:
        """Derive the tasks that batches have marked, for some seconds at most."""
        began = time.monotonic()
        partitions = list(self._lag_records())
        while time.monotonic() < began + DERIVE_SECONDS:
            row = await self._query(lambda connection: derive_next_due(connection, partitions))
            if row is None:
                break
            if not row.derive_due:
                self._feed.changed([row])
        await asyncio.sleep((DERIVE_SHARE - 1) * (time.monotonic() - began))

    async def republish_running(self) -> None:
        """Publish running tasks to live lists again."""
        partitions = list(self._lag_records())
        self._feed.republish(await self._query(lambda connection: sweeps.running_tasks(connection, partitions, RUNNING_TASKS_MAX)))

    async def make_partitions(self) -> None:
        """Make the partitions of the next days."""
        today = datetime.now(UTC).date()
        made = await self._query(
            lambda connection: sweeps.ensure_partitions(connection, today - timedelta(DAYS_BACK), today + timedelta(DAYS_AHEAD))
        )
        if made:
            logger.info("partitions made", partitions=made)

    async def _query(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection, may_sort=True)
            return await question(connection)
