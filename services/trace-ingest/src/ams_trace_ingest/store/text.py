"""The words of steps as rows."""

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from ams_trace_ingest.store.connections import Connection, affected
from ams_trace_ingest.store.tasks import TaskKey


class TextRow(Struct, frozen=True):
    """One text of a step.

    Attributes:
        task: Whose.
        slot: input, output or name.
        words: As ``ams_contracts.search_words.search_words`` gives them.
    """

    task: TaskKey
    step_id: str
    slot: str
    day: date
    at_us: int
    seq: int
    event_id: str
    words: str


# the words, and the two lexemes by which one index finds a project's and a task's rows: see migrations/text.sql
_UPSERT = """
INSERT INTO step_text (project_id, task_id, step_id, slot, day, at_us, seq, event_id, words)
SELECT project_id, task_id, step_id, slot, day, at_us, seq, event_id,
       to_tsvector('simple'::regconfig, words) || array_to_tsvector(ARRAY[' ' || project_id, ' ' || task_id])
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])
     AS said (project_id, task_id, step_id, slot, day, at_us, seq, event_id, words)
ON CONFLICT (project_id, task_id, step_id, slot, day) DO UPDATE
SET at_us = EXCLUDED.at_us, seq = EXCLUDED.seq, event_id = EXCLUDED.event_id, words = EXCLUDED.words
WHERE (EXCLUDED.at_us, EXCLUDED.seq, EXCLUDED.event_id) > (step_text.at_us, step_text.seq, step_text.event_id)
"""
_DELETE = "DELETE FROM step_text WHERE project_id = $1 AND task_id = $2 AND day = $3"


async def write(connection: Connection, rows: Sequence[TextRow]) -> int:
    """Insert texts; of two for one slot the newer one is kept.

    Args:
        connection: In a transaction.
        rows: Each slot of a step once.

    Returns:
        How many changed nothing: they had come before.
    """
    columns = [
        [row.task[0] for row in rows], [row.task[1] for row in rows], [row.step_id for row in rows], [row.slot for row in rows],
        [row.day for row in rows], [row.at_us for row in rows], [row.seq for row in rows], [row.event_id for row in rows],
        [row.words for row in rows],
    ]  # fmt: skip
    return len(rows) - affected(await connection.execute(_UPSERT, *columns))


async def delete(connection: Connection, project_id: str, task_id: str, day: date) -> None:
    """Delete the texts of a task."""
    await connection.execute(_DELETE, project_id, task_id, day)
