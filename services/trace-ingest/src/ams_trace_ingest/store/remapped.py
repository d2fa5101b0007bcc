"""Documents of events as a later mapping reads their originals, where they differ."""

from collections.abc import Collection, Iterable

from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection

RemappedKey = tuple[str, str, str]
"""Project, task and event."""

_INSERT = """
INSERT INTO remapped (project_id, task_id, event_id, document) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
ON CONFLICT DO NOTHING
"""
_WANTED = "unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS w (project_id, task_id, event_id)"
_LOAD = f"""
SELECT r.project_id, r.task_id, r.event_id, r.document FROM {_WANTED}
JOIN remapped r ON r.project_id = w.project_id AND r.task_id = w.task_id AND r.event_id = w.event_id
"""
_DELETE = f"""
DELETE FROM remapped r USING {_WANTED} WHERE r.project_id = w.project_id AND r.task_id = w.task_id AND r.event_id = w.event_id
"""


async def insert(connection: Connection, documents: Iterable[tuple[RemappedKey, str]]) -> None:
    """Insert documents (JSON); one that exists stays."""
    columns = list(zip(*((*key, text) for key, text in documents), strict=True))
    if columns:
        await connection.execute(_INSERT, *map(list, columns))


async def load(connection: Connection, keys: Collection[RemappedKey]) -> dict[RemappedKey, str]:
    """The documents of these events, as many as there are."""
    if not keys:
        return {}
    return {(row[0], row[1], row[2]): row[3] for row in await connection.fetch(_LOAD, *array_literals(keys))}


async def delete(connection: Connection, keys: Collection[RemappedKey]) -> None:
    """Delete the documents of these events."""
    if keys:
        await connection.execute(_DELETE, *array_literals(keys))


async def delete_of_task(connection: Connection, project_id: str, task_id: str) -> None:
    """Delete all of a task."""
    await connection.execute("DELETE FROM remapped WHERE project_id = $1 AND task_id = $2", project_id, task_id)
