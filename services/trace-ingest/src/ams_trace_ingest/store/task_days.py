"""The day of a task, which is the partition of its rows. The projection that sees the task first assigns it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
DAY_US = 86_400_000_000

_KNOWN = """
SELECT wanted.project_id, wanted.task_id, d.day, x.task_id IS NOT NULL,
    d.pruned OR d.day < greatest(own.kept_from, (SELECT kept_from FROM public.retention WHERE project_id = '')),
    p.project_id IS NOT NULL
FROM unnest($1::text::text[], $2::text::text[]) AS wanted (project_id, task_id)
LEFT JOIN task_days d ON d.project_id = wanted.project_id AND d.task_id = wanted.task_id
LEFT JOIN deleted_tasks x ON x.project_id = wanted.project_id AND x.task_id = wanted.task_id
LEFT JOIN public.retention own ON own.project_id = wanted.project_id
LEFT JOIN app.deleted_projects p ON p.project_id = wanted.project_id
WHERE d.day IS NOT NULL OR x.task_id IS NOT NULL OR p.project_id IS NOT NULL
"""
_ASSIGN = """
INSERT INTO task_days (project_id, task_id, day) SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::date[])
ON CONFLICT DO NOTHING RETURNING project_id, task_id, day < greatest(
    (SELECT kept_from FROM public.retention WHERE project_id = ''),
    (SELECT own.kept_from FROM public.retention own WHERE own.project_id = task_days.project_id)
)
"""
_LATE = """
UPDATE task_days d SET late_day = late.day
FROM unnest($1::text::text[], $2::text::text[], $3::text::date[]) AS late (project_id, task_id, day)
WHERE d.project_id = late.project_id AND d.task_id = late.task_id AND (d.late_day IS NULL OR d.late_day < late.day)
"""
_SHARE = "LOCK TABLE deleted_tasks IN ROW EXCLUSIVE MODE"
_EXCLUDE = "LOCK TABLE deleted_tasks IN SHARE ROW EXCLUSIVE MODE"
_REMEMBER = "INSERT INTO deleted_tasks (project_id, task_id, deleted_by, at_us) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


def day_of(at_us: int) -> date:
    """The UTC day of a moment."""
    return EPOCH + timedelta(at_us // DAY_US)


def first_us_of(day: date) -> int:
    """The first moment of a UTC day."""
    return (day - EPOCH).days * DAY_US


class TaskDays:
    """What was found of the tasks of a batch."""

    def __init__(self) -> None:
        self.day: dict[TaskKey, date] = {}
        self.new: set[TaskKey] = set()  # assigned by this transaction: no projection has seen them before
        self.deleted: set[TaskKey] = set()
        self.expired: set[TaskKey] = set()  # older than their project keeps
        self.of_deleted_projects: set[TaskKey] = set()

    def ignored(self) -> list[tuple[str, set[TaskKey]]]:
        """Tasks whose events are ignored, by reason."""
        return [("deleted", self.deleted), ("expired", self.expired), ("project_deleted", self.of_deleted_projects)]


async def assign(connection: Connection, first_days: Mapping[TaskKey, date]) -> TaskDays:
    """The days of tasks, assigned where they have none; and which of them were deleted or are older than is kept.

    Args:
        connection: In a transaction.
        first_days: Per task the day of its first record in this batch.
    """
    found = TaskDays()
    if not first_days:
        return found
    await _load_known(connection, list(first_days), found)
    missing = sorted(
        key for key in first_days if key not in found.day and key not in found.deleted and key not in found.of_deleted_projects
    )
    if missing:
        claimed = await connection.fetch(_ASSIGN, *array_literals((*key, first_days[key].isoformat()) for key in missing))
        found.new = {(row[0], row[1]) for row in claimed}
        found.expired.update((row[0], row[1]) for row in claimed if row[2])
        found.day.update((key, first_days[key]) for key in found.new)
        if len(found.new) < len(missing):  # the other projection was faster
            await _load_known(connection, [key for key in missing if key not in found.new], found)
    if found.expired:  # so that the row is kept while the log holds a record of the task
        await connection.execute(_LATE, *array_literals((*key, first_days[key].isoformat()) for key in sorted(found.expired)))
    return found


async def _load_known(connection: Connection, keys: list[TaskKey], found: TaskDays) -> None:
    for project_id, task_id, day, deleted, expired, project_deleted in await connection.fetch(_KNOWN, *array_literals(keys)):
        if day is not None:
            found.day[project_id, task_id] = day
        if project_deleted:
            found.of_deleted_projects.add((project_id, task_id))
        elif deleted:
            found.deleted.add((project_id, task_id))
        elif expired:
            found.expired.add((project_id, task_id))


async def block_deletions(connection: Connection) -> None:
    """Block deletions of tasks until this transaction ends, so that no row is written after one."""
    await connection.execute(_SHARE)


async def block_writers(connection: Connection) -> None:
    """Wait for the transactions of the other projections, and block new ones: a deletion begins."""
    await connection.execute(_EXCLUDE)


async def record_deleted(connection: Connection, key: TaskKey, by: str, at_us: int) -> None:
    """Later events of the task are ignored."""
    await connection.execute(_REMEMBER, *key, by, at_us)
