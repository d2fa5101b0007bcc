"""Media as rows: the bytes once for each project and hash, and which tasks show them."""

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

# A type that names a format is better than none, whatever order they arrive in: the same events give the same row
_INSERT = """
INSERT INTO media (project_id, sha256, mime, bytes, data) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (project_id, sha256) DO UPDATE SET mime = EXCLUDED.mime
WHERE (EXCLUDED.mime LIKE '%*' OR EXCLUDED.mime = 'application/octet-stream', EXCLUDED.mime)
    < (media.mime LIKE '%*' OR media.mime = 'application/octet-stream', media.mime)
"""
_REFER = """
INSERT INTO task_media (project_id, sha256, task_id, day)
SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::date[])
ON CONFLICT DO NOTHING RETURNING project_id, task_id, sha256
"""
_DELETE = "DELETE FROM task_media WHERE project_id = $1 AND task_id = $2"


class MediaRow(Struct, frozen=True):
    """Bytes that a task shows, and the task's day."""

    task: TaskKey
    sha256: str
    day: date
    mime: str
    data: bytes


async def write(connection: Connection, rows: Sequence[MediaRow]) -> dict[tuple[TaskKey, str], bool]:
    """Store what is not stored yet.

    Args:
        connection: In a transaction that lets no task be deleted (``task_days.block_deletions``).
        rows: Each task and hash once.

    Returns:
        For each task and hash whether it is new.
    """
    if not rows:
        return {}
    # in the order of the key, so that two partitions that store the same media wait for each other in one direction only
    ordered = sorted({(row.task[0], row.sha256, row.mime): row for row in rows}.items())
    await connection.executemany(_INSERT, [(*key, len(row.data), row.data) for key, row in ordered])
    values = [(row.task[0], row.sha256, row.task[1], row.day.isoformat()) for row in sorted(rows, key=lambda row: (row.task, row.sha256))]
    new = {((row[0], row[1]), row[2]) for row in await connection.fetch(_REFER, *array_literals(values))}
    return {(row.task, row.sha256): (row.task, row.sha256) in new for row in rows}


async def delete(connection: Connection, project_id: str, task_id: str) -> None:
    """Delete what a task shows. A trigger deletes the bytes that no other task shows."""
    await connection.execute(_DELETE, project_id, task_id)
