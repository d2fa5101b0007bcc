"""What mapping the originals again changes, by kind."""

import asyncpg
import msgspec

from ams_trace_ingest.replay.generations import Generation

KINDS = {
    "types": ("type",),
    "names": ("name",),
    "models": ("model", "model_requested", "provider"),
    "tokens": ("input_tokens", "output_tokens"),
    "counted tokens": ("counted_input", "counted_output"),
    "cost": ("cost_nusd",),
    "agents": ("agent",),
    "errors": ("status", "error_type", "error_message", "affected"),
    "previews": ("preview_input", "preview_output"),
    "conversations": ("conversation_id", "user_id"),
}
"""Columns of a step by the word that people read."""

_SKIPPED = "SELECT ignored::text FROM {new}.positions WHERE projection = 'remap'"


def _differs(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"o.{column} IS DISTINCT FROM n.{column}" for column in columns)


_CHANGES = """
SELECT count(*) FILTER (WHERE o.step_id IS NULL OR n.step_id IS NULL), {kinds},
    count(*) FILTER (WHERE {any}), count(DISTINCT (coalesce(o.project_id, n.project_id), coalesce(o.task_id, n.task_id))) FILTER (WHERE {any})
FROM {old}.steps o FULL JOIN {new}.steps n USING (project_id, task_id, step_id, day)
"""


async def changes_by_kind(connection: asyncpg.Connection, old: Generation, new: Generation) -> tuple[dict[str, int], dict[str, int]]:
    """Count the steps that change.

    Args:
        connection: As ``ams_writer``, in a snapshot in which both have the same positions.
        old: Serves.
        new: Holds what today's mapping says.

    Returns:
        How many steps change, by kind, with ``steps`` that are in one of both only, ``any`` and the ``tasks`` with a changed step; and how many
        originals could not be mapped again, by reason.
    """
    query = _CHANGES.format(
        old=old.name,
        new=new.name,
        kinds=", ".join(f"count(*) FILTER (WHERE {_differs(columns)})" for columns in KINDS.values()),
        any=_differs(tuple(column for columns in KINDS.values() for column in columns)),
    )
    row = await connection.fetchrow(query)
    names = ("steps", *KINDS, "any", "tasks")
    found: dict[str, int] = {name: int(row[place]) for place, name in enumerate(names)} if row is not None else dict.fromkeys(names, 0)
    skipped: dict[str, int] = {}
    for (text,) in await connection.fetch(_SKIPPED.format(new=new.name)):
        for reason, count in msgspec.json.decode(text, type=dict[str, int]).items():
            skipped[reason] = skipped.get(reason, 0) + count
    return found, skipped
