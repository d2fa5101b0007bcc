"""Publishes tasks after each commit to the compacted topic that live lists read. A hint: it may be lost, and the projection does not wait for it."""

import asyncio
import time

import structlog

from ams_contracts.codec import encode
from ams_contracts.positions import Position
from ams_contracts.topics import STEPS, TASKS, task_key
from ams_contracts.views import TaskChanged, task_view
from ams_kit.bus import Log, Record
from ams_kit.retriable import UNAVAILABLE
from ams_kit.telemetry.metrics import TASK_HINTS_LOST
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

TASK_INTERVAL_SECONDS = 0.25  # a task is published at most four times a second
TICK_SECONDS = 0.05
PUBLISH_TIMEOUT_SECONDS = 2.0
PENDING_MAX = 20_000
BATCH_MAX = 500

logger = structlog.get_logger(__name__)


class TaskFeed:
    """Publishes the newest state of each task that changed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pending: dict[TaskKey, TaskRow | None] = {}
        self._published_at: dict[TaskKey, float] = {}
        self._pending_changed = asyncio.Event()

    def changed(self, rows: list[TaskRow]) -> None:
        """Publish these tasks soon; a newer state replaces one that waits."""
        for row in rows:
            self._put(row.key, row)

    def deleted(self, keys: list[TaskKey]) -> None:
        """These tasks were deleted: publish a tombstone for each."""
        for key in keys:
            self._put(key, None)

    def republish(self, rows: list[TaskRow]) -> None:
        """Publish these tasks again, unless a newer state waits."""
        for row in rows:
            if row.key not in self._pending:
                self._put(row.key, row)

    def _put(self, key: TaskKey, row: TaskRow | None) -> None:
        if key not in self._pending and len(self._pending) >= PENDING_MAX:
            self._pending.pop(next(iter(self._pending)))
            TASK_HINTS_LOST.inc()
        self._pending[key] = row
        self._pending_changed.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._pending_changed.wait()
            await self._publish_due(time.monotonic())
            if self._pending:
                await asyncio.sleep(TICK_SECONDS)
            else:
                self._pending_changed.clear()

    async def _publish_due(self, now: float) -> None:
        due = [key for key in self._pending if now - self._published_at.get(key, 0) >= TASK_INTERVAL_SECONDS][:BATCH_MAX]
        if not due:
            return
        records = [_record(key, self._pending.pop(key)) for key in due]
        self._published_at = {key: at for key, at in self._published_at.items() if now - at < TASK_INTERVAL_SECONDS}
        self._published_at.update(dict.fromkeys(due, now))
        try:
            await self._log.publish(records, timeout_seconds=PUBLISH_TIMEOUT_SECONDS)
        except UNAVAILABLE as error:
            TASK_HINTS_LOST.inc(len(records))
            logger.info("task hints lost", tasks=len(records), error_type=type(error).__name__)


def _record(key: TaskKey, row: TaskRow | None) -> Record:
    value = None
    if row is not None:
        position = Position(STEPS.version, row.partition, row.last_offset + 1)
        value = encode(TaskChanged(project_id=row.project_id, position=str(position), task=task_view(row)))
    return Record(topic=TASKS, key=task_key(*key), value=value, headers=[("v", b"1")])
