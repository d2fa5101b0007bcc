"""What a project's owner has set, as identity reports it."""

from ams_trace_ingest.store.connections import Connection

_SET = """
INSERT INTO app.project_settings (project_id, retention_days, at_us) VALUES ($1, $2, $3)
ON CONFLICT (project_id) DO UPDATE SET retention_days = EXCLUDED.retention_days, at_us = EXCLUDED.at_us
WHERE project_settings.at_us <= EXCLUDED.at_us
"""


async def store(connection: Connection, project_id: str, retention_days: int | None, at_us: int) -> None:
    """Store the settings of a project; of two reports the later one counts."""
    await connection.execute(_SET, project_id, retention_days, at_us)
