"""The projection of ``ams.alerts.v1``: rows of alerts. Reading the topic again from its start gives the same rows."""

from collections.abc import Sequence

import msgspec
import structlog
from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import Integer

from ams_contracts.alerts import AlertAcknowledged, AlertEvent, AlertRaised, AlertResolved
from ams_contracts.codec import MalformedError, decode
from ams_contracts.platform_tables import alert_positions, alerts, deleted_projects
from ams_kit.bus import LogRecord, PartitionBatch, PositionMovedError, StoredPosition
from ams_kit.telemetry.metrics import EVENTS_DEAD, EVENTS_IGNORED, EVENTS_PROJECTED
from ams_trace_query.database import Database, EveryProjectWriter

GROUP = "alerts"
RECORDS_MAX = 200
ALERTS_MAX = 5_000  # of a project; the oldest ones are deleted
TRIMMED_MAX = 500

logger = structlog.get_logger(__name__)
_event = msgspec.json.Decoder(AlertEvent)


class AlertProjection:
    """Writes the rows of alerts. An ``ams_kit.bus.Projection``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
        table = alert_positions.c
        found = select(table.partition, table.next_offset, table.last_timestamp_ms).where(
            table.topic == topic, table.partition == func.any(literal(list(partitions), ARRAY(Integer)))
        )
        async with self._database.everywhere() as reader:
            return {row["partition"]: StoredPosition(row["next_offset"], row["last_timestamp_ms"]) for row in await reader.rows(found)}

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        position = records[-1].offset + 1
        table = alert_positions.c
        mine = (table.topic == topic, table.partition == partition)
        async with self._database.everywhere() as writer:
            first = upsert(alert_positions).values(topic=topic, partition=partition, next_offset=0, last_timestamp_ms=0)
            await writer.change(first.on_conflict_do_nothing())
            row = await writer.row(select(table.next_offset).where(*mine).with_for_update())
            if row["next_offset"] != expected:
                raise PositionMovedError(row["next_offset"])
            for record in records:
                if record.offset >= expected:
                    await _apply(writer, record)
            moved = update(alert_positions).where(*mine)
            await writer.change(moved.values(next_offset=position, last_timestamp_ms=records[-1].timestamp_ms))
        return position

    async def apply_together(self, topic: str, batches: Sequence[PartitionBatch], /) -> dict[int, int]:  # noqa: ARG002  the port's signature
        return {}


async def _apply(writer: EveryProjectWriter, record: LogRecord) -> None:
    try:
        event: AlertEvent = decode(_event, record.value or b"")
    except MalformedError as error:
        EVENTS_DEAD.labels(GROUP, error.code).inc()
        logger.warning("event of an alert could not be decoded", code=error.code, partition=record.partition, offset=record.offset)
        return
    await writer.enter(event.project_id)
    deleted = select(deleted_projects.c.project_id).where(deleted_projects.c.project_id == event.project_id).limit(1)
    if await writer.row(deleted) is not None:
        EVENTS_IGNORED.labels(GROUP, "deleted_project").inc()
        return
    table = alerts.c
    mine = (table.project_id == event.project_id, table.alert_id == event.alert_id)
    match event:
        case AlertRaised():
            await writer.change(upsert(alerts).values(**_row(event)).on_conflict_do_nothing())
            await _trim(writer, event.project_id)
        case AlertResolved():
            ended = update(alerts).where(*mine, table.resolved_at_us.is_(None))
            await writer.change(ended.values(resolved_at_us=event.at_us, resolved_reason=event.reason))
        case AlertAcknowledged():
            noted = update(alerts).where(*mine, table.acknowledged_at_us.is_(None))
            await writer.change(noted.values(acknowledged_at_us=event.at_us, acknowledged_by=event.user_id))
    EVENTS_PROJECTED.labels(GROUP).inc()


def _row(event: AlertRaised) -> dict[str, object]:
    return {
        "project_id": event.project_id,
        "alert_id": event.alert_id,
        "rule_id": event.rule_id,
        "name": event.name,
        "q": event.q,
        "measure": event.measure,
        "threshold": event.threshold,
        "value": event.value,
        "window_start_us": event.window_start_us,
        "window_end_us": event.window_end_us,
        "task_ids": event.task_ids,
        "raised_at_us": event.at_us,
    }


async def _trim(writer: EveryProjectWriter, project_id: str) -> None:
    table = alerts.c
    oldest = select(table.alert_id).where(table.project_id == project_id).order_by(table.raised_at_us.desc(), table.alert_id)
    beyond = oldest.offset(ALERTS_MAX).limit(TRIMMED_MAX)
    await writer.change(delete(alerts).where(table.project_id == project_id, table.alert_id.in_(beyond)))
