"""Publishes the events of alerts that wait in the database, in the order of each project; more than once after a crash, with the same ids."""

from collections.abc import Callable

import structlog
from sqlalchemy import delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger

from ams_contracts.platform_tables import alert_outbox
from ams_contracts.topics import ALERTS, alerts_key
from ams_kit.bus import Log, LogUnavailableError, Record
from ams_trace_query.alerts import queue
from ams_trace_query.database import Database

EVENTS_MAX = 100  # of one transaction

logger = structlog.get_logger(__name__)


class Publisher:
    """Publishes waiting events.

    Args:
        database: The traces database.
        log: The log.
        now_us: The clock, microseconds since the epoch.
    """

    def __init__(self, database: Database, log: Log, *, now_us: Callable[[], int]) -> None:
        self._database = database
        self._log = log
        self._now_us = now_us

    async def run_once(self) -> int:
        """Publish what waits; how many events.

        Raises:
            UnavailableError: Postgres or the log is unavailable. What was not published waits on.
        """
        published = 0
        for project_id, _, _ in await queue.due(self._database, "event", self._now_us()):
            published += await self._publish(project_id)
        return published

    async def _publish(self, project_id: str) -> int:
        table = alert_outbox.c
        async with self._database.write(project_id) as writer:
            if not await queue.lock(writer, "event", project_id, project_id, self._now_us()):
                return 0
            waiting = select(table.number, table.rule_id, table.body).where(table.project_id == project_id)
            rows = await writer.rows(waiting.order_by(table.number).limit(EVENTS_MAX + 1))
            sent = rows[:EVENTS_MAX]
            records = [Record(topic=ALERTS, key=alerts_key(project_id, row["rule_id"]), value=row["body"]) for row in sent]
            try:
                await self._log.publish(records)
            except LogUnavailableError:
                logger.warning("alerts wait for the log", events=len(rows))
                raise
            numbers = [row["number"] for row in sent]
            await writer.change(
                delete(alert_outbox).where(table.project_id == project_id, table.number == func.any(literal(numbers, ARRAY(BigInteger))))
            )
            if len(rows) == len(sent):
                await queue.remove(writer, "event", project_id, project_id)
        return len(sent)
