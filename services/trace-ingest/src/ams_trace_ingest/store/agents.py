"""Agents: registered by themselves, or seen in steps."""

from collections.abc import Mapping

from ams_contracts.codec import encode
from ams_contracts.events import AgentRegistered
from ams_trace_ingest.store.connections import Connection

AgentKey = tuple[str, str]
"""Project and name."""

_REGISTER = """
INSERT INTO agents (project_id, name, version, framework, description, tools, owner, metadata, registered_at_us, last_seen_at_us)
SELECT $1::text, $2::text, $3, $4, $5, $6::text[], $7, $8::jsonb, $9::bigint, $10::bigint
WHERE NOT EXISTS (SELECT FROM app.deleted_projects d WHERE d.project_id = $1)
ON CONFLICT (project_id, name) DO UPDATE SET
    version = EXCLUDED.version, framework = EXCLUDED.framework, description = EXCLUDED.description, tools = EXCLUDED.tools,
    owner = EXCLUDED.owner, metadata = EXCLUDED.metadata, registered_at_us = EXCLUDED.registered_at_us,
    last_seen_at_us = greatest(agents.last_seen_at_us, EXCLUDED.last_seen_at_us)
WHERE agents.registered_at_us IS NULL OR agents.registered_at_us <= EXCLUDED.registered_at_us
"""
_SEE = """
INSERT INTO agents (project_id, name, tools, metadata, last_seen_at_us)
SELECT project_id, name, '{}', '{}', at_us FROM unnest($1::text[], $2::text[], $3::bigint[]) AS seen (project_id, name, at_us)
WHERE NOT EXISTS (SELECT FROM app.deleted_projects d WHERE d.project_id = seen.project_id)
ON CONFLICT (project_id, name) DO UPDATE SET last_seen_at_us = EXCLUDED.last_seen_at_us WHERE agents.last_seen_at_us < EXCLUDED.last_seen_at_us
"""


async def register(connection: Connection, registrations: Mapping[AgentKey, AgentRegistered], seen_at_us: Mapping[AgentKey, int]) -> None:
    """What agents said of themselves; of two registrations the later one counts."""
    rows = [
        (
            *key, event.version, event.framework, event.description, event.tools, event.owner,
            encode(event.metadata).decode(), event.at_us, seen_at_us[key],
        )
        for key, event in sorted(registrations.items())
    ]  # fmt: skip
    await connection.executemany(_REGISTER, rows)


async def see(connection: Connection, seen_at_us: Mapping[AgentKey, int]) -> None:
    """Agents that appeared in steps or tasks."""
    keys = sorted(seen_at_us)
    await connection.execute(_SEE, [key[0] for key in keys], [key[1] for key in keys], [seen_at_us[key] for key in keys])
