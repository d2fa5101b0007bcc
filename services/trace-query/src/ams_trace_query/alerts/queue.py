"""The queue of what is due: rules to evaluate, events to publish, webhooks to send. Processes share it by locking single entries."""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from ams_contracts.alerts import AlertEvent
from ams_contracts.platform_tables import alert_deliveries, alert_due, alert_outbox
from ams_trace_query.alerts.notices import AlertNotice
from ams_trace_query.database import Database, ProjectWriter

Kind = Literal["rule", "event", "delivery"]
DUE_MAX = 200  # of one round
DELIVERIES_MAX = 5_000  # of a project; the oldest ones are deleted
TRIMMED_MAX = 500  # rows that one change deletes


async def due(
    database: Database, kind: Kind, now_us: int, limit: int = DUE_MAX, *, of_project: int = DUE_MAX, without: Collection[str] = ()
) -> list[tuple[str, str, int]]:
    """What is due in all projects: project, id, and since when. Projects take turns; within a turn the longest wait is first.

    Args:
        database: The traces database.
        kind: What is to be done.
        now_us: What is due now.
        limit: At most so many entries,
        of_project: and of each project so many.
        without: Projects that have no turn: a few.
    """
    table = alert_due.c
    turn = func.row_number().over(partition_by=table.project_id, order_by=table.at_us).label("turn")
    waiting = select(table.project_id, table.id, table.at_us, turn).where(table.kind == kind, table.at_us <= now_us)
    found = waiting.where(*(table.project_id != project_id for project_id in without)).subquery().c
    statement = (
        select(found.project_id, found.id, found.at_us).where(found.turn <= of_project).order_by(found.turn, found.at_us).limit(limit)
    )
    async with database.everywhere() as reader:
        return [(row["project_id"], row["id"], row["at_us"]) for row in await reader.rows(statement)]


async def lock(writer: ProjectWriter, kind: Kind, project_id: str, id_: str, now_us: int) -> bool:
    """Lock an entry until the transaction ends. False: another process has it, or it is not due any more."""
    statement = select(alert_due.c.at_us).where(*_entry(kind, project_id, id_), alert_due.c.at_us <= now_us)
    return await writer.row(statement.with_for_update(skip_locked=True)) is not None


async def put(writer: ProjectWriter, kind: Kind, project_id: str, id_: str, at_us: int, *, earlier: bool = False) -> None:
    """Add an entry, or move it.

    Args:
        writer: In a transaction of the project.
        kind: What is to be done.
        project_id: The project.
        id_: Of the rule or the delivery; of events: of the project.
        at_us: When.
        earlier: An entry that is there is only moved to an earlier time.
    """
    entry = upsert(alert_due).values(kind=kind, project_id=project_id, id=id_, at_us=at_us)
    moved: Any = func.least(alert_due.c.at_us, entry.excluded.at_us) if earlier else entry.excluded.at_us
    await writer.change(entry.on_conflict_do_update(index_elements=["kind", "project_id", "id"], set_={"at_us": moved}))


async def remove(writer: ProjectWriter, kind: Kind, project_id: str, id_: str) -> None:
    """Remove an entry."""
    await writer.change(delete(alert_due).where(*_entry(kind, project_id, id_)))


async def publish_later(writer: ProjectWriter, event: AlertEvent) -> None:
    """Publish an event after the transaction, in the order of its project."""
    await writer.change(insert(alert_outbox).values(project_id=event.project_id, rule_id=event.rule_id, body=msgspec.json.encode(event)))
    await put(writer, "event", event.project_id, event.project_id, event.at_us, earlier=True)


async def send_later(writer: ProjectWriter, notice: AlertNotice) -> None:
    """Send a notice to the webhook of its rule after the transaction."""
    await writer.change(
        insert(alert_deliveries).values(
            project_id=notice.project_id,
            event_id=notice.event_id,
            rule_id=notice.rule_id,
            alert_id=notice.alert_id,
            body=msgspec.json.encode(notice),
            state="pending",
            attempts=0,
            next_attempt_at_us=notice.at_us,
            created_at_us=notice.at_us,
        )
    )
    await put(writer, "delivery", notice.project_id, notice.event_id, notice.at_us)
    table = alert_deliveries.c
    beyond = (
        select(table.event_id)
        .where(table.project_id == notice.project_id)
        .order_by(table.created_at_us.desc())
        .offset(DELIVERIES_MAX)
        .limit(TRIMMED_MAX)
    )
    await writer.change(delete(alert_deliveries).where(table.project_id == notice.project_id, table.event_id.in_(beyond)))


def _entry(kind: Kind, project_id: str, id_: str) -> tuple[Any, ...]:
    return (alert_due.c.kind == kind, alert_due.c.project_id == project_id, alert_due.c.id == id_)
