"""Scores as rows: one for each score id, of the event that counts."""

from collections.abc import Mapping, Sequence

from ams_contracts.events import ScoreRecorded
from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

ScoreKey = tuple[str, str, str]
"""Project, task and score id."""

_EVENT_IDS = """
SELECT s.project_id, s.task_id, s.score_id, s.event_id
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, task_id, score_id)
JOIN scores s ON s.project_id = wanted.project_id AND s.task_id = wanted.task_id AND s.score_id = wanted.score_id
"""
_UPSERT = """
INSERT INTO scores (project_id, task_id, score_id, at_us, seq, event_id, step_id, name, number, label, comment, source, author, removed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (project_id, task_id, score_id) DO UPDATE SET
    at_us = EXCLUDED.at_us, seq = EXCLUDED.seq, event_id = EXCLUDED.event_id, step_id = EXCLUDED.step_id, name = EXCLUDED.name,
    number = EXCLUDED.number, label = EXCLUDED.label, comment = EXCLUDED.comment, source = EXCLUDED.source, author = EXCLUDED.author,
    removed = EXCLUDED.removed
WHERE (EXCLUDED.at_us, EXCLUDED.seq, EXCLUDED.event_id) > (scores.at_us, scores.seq, scores.event_id)
"""
_FIND = """
SELECT score_id, at_us, seq, event_id, step_id, name, number, label, comment, source, author, removed
FROM scores WHERE project_id = $1 AND task_id = $2 AND score_id = $3
"""
_DELETE = "DELETE FROM scores WHERE project_id = $1 AND task_id = $2"


async def event_ids(connection: Connection, keys: Sequence[ScoreKey]) -> dict[ScoreKey, str]:
    """The events that the stored scores come from."""
    if not keys:
        return {}
    return {(row[0], row[1], row[2]): row[3] for row in await connection.fetch(_EVENT_IDS, *array_literals(keys))}


async def find(connection: Connection, key: ScoreKey) -> ScoreRecorded | None:
    """The stored score, removed or not; ``None`` when there is none."""
    row = await connection.fetchrow(_FIND, *key)
    return None if row is None else ScoreRecorded(**dict(row))


async def write(connection: Connection, scores: Mapping[ScoreKey, ScoreRecorded]) -> None:
    """Insert scores, or replace those with a lower stamp."""
    if scores:
        await connection.executemany(
            _UPSERT,
            [
                (
                    *key, event.at_us, event.seq, event.event_id, event.step_id, event.name, event.number, event.label, event.comment,
                    event.source, event.author, event.removed,
                )
                for key, event in sorted(scores.items())
            ],
        )  # fmt: skip


async def delete(connection: Connection, key: TaskKey) -> None:
    """Delete the scores of a task."""
    await connection.execute(_DELETE, *key)
