"""Saved views, which trace-query writes."""

from ams_trace_ingest.store.connections import Connection

_DELETE_PRIVATE = """
DELETE FROM app.saved_views WHERE project_id = $1 AND author_id = $2 AND visibility = 'private' AND created_at_us <= $3
"""


async def delete_private(connection: Connection, project_id: str, author_id: str, until_us: int) -> None:
    """Delete the private views of somebody who left the project at ``until_us``; views of a later membership stay."""
    await connection.execute(_DELETE_PRIVATE, project_id, author_id, until_us)
