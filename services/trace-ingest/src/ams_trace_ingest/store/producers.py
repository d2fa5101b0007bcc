"""Which events of which producer came: the delivery proof."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from asyncpg import Range
from msgspec import Struct

from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

ProducerKey = tuple[str, str, str]
"""Project, task, instance."""

_LOAD = """
SELECT p.project_id, p.task_id, p.instance_id, p.seqs FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, task_id, instance_id)
JOIN task_producers p ON p.project_id = wanted.project_id AND p.task_id = wanted.task_id AND p.instance_id = wanted.instance_id
"""
_MERGE = """
INSERT INTO task_producers (project_id, task_id, instance_id, sdk, version, host, seqs, duplicates) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (project_id, task_id, instance_id) DO UPDATE
SET seqs = task_producers.seqs + EXCLUDED.seqs, duplicates = task_producers.duplicates + EXCLUDED.duplicates
"""
_DELETE = "DELETE FROM task_producers WHERE project_id = $1 AND task_id = $2"


class Delivered(Struct):
    """What one producer delivered of one task in one batch: ``seqs`` as they came, repeated ones too; ``scores`` are those of them that are scores."""

    sdk: str
    version: str
    host: str
    seqs: list[int]
    duplicates: int = 0
    scores: list[int] = []


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted, disjoint, half-open ranges: ``[1, 2, 3, 7] -> [(1, 4), (7, 8)]``."""
    ordered = sorted(set(seqs))
    if not ordered:
        return []
    breaks = [(a, b) for a, b in pairwise(ordered) if b != a + 1]
    starts = [ordered[0], *(b for _, b in breaks)]
    ends = [*(a for a, _ in breaks), ordered[-1]]
    return [(start, end + 1) for start, end in zip(starts, ends, strict=True)]


async def load(connection: Connection, keys: Sequence[ProducerKey]) -> dict[ProducerKey, list[tuple[int, int]]]:
    """The ranges that came before."""
    if not keys:
        return {}
    rows = await connection.fetch(_LOAD, *array_literals(keys))
    return {(row[0], row[1], row[2]): [(piece.lower, piece.upper) for piece in row[3]] for row in rows}


async def merge(connection: Connection, delivered: dict[ProducerKey, Delivered]) -> None:
    """Add what came, in order of the keys: another projection does the same."""
    rows = [
        (*key, work.sdk, work.version, work.host, [Range(lower, upper) for lower, upper in ranges(work.seqs)], work.duplicates)
        for key, work in sorted(delivered.items())
    ]
    if rows:  # OpenTelemetry's events have no numbers
        await connection.executemany(_MERGE, rows)


async def delete(connection: Connection, key: TaskKey) -> None:
    """Forget a task's producers."""
    await connection.execute(_DELETE, *key)
