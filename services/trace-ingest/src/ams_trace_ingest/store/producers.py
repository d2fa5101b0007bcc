"""Which events of which producer were delivered: the delivery proof."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.events import ProducerReported
from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

ProducerKey = tuple[str, str, str]
"""Project, task, instance."""

RANGES_MAX = 4_096
"""Ranges of one row. While the other topic of a producer lags, each of its numbers there is a gap here."""
RANGES_KEPT = 2_048
"""The highest ranges, which stay apart when a row has more than ``RANGES_MAX``. The others become one range."""

_LOAD = """
SELECT p.project_id, p.task_id, p.instance_id, p.seqs FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, task_id, instance_id)
JOIN task_producers p ON p.project_id = wanted.project_id AND p.task_id = wanted.task_id AND p.instance_id = wanted.instance_id
"""
_MERGE = """
INSERT INTO task_producers (project_id, task_id, instance_id, sdk, version, host, seqs, duplicates)
SELECT project_id, task_id, instance_id, sdk, version, host, seqs::int8multirange, duplicates
FROM unnest(
    $1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::text[], $8::text::bigint[]
) AS sent (project_id, task_id, instance_id, sdk, version, host, seqs, duplicates)
ON CONFLICT (project_id, task_id, instance_id) DO UPDATE
SET seqs = task_producers.seqs + EXCLUDED.seqs, duplicates = task_producers.duplicates + EXCLUDED.duplicates
RETURNING project_id, task_id, instance_id, (SELECT count(*) FROM unnest(task_producers.seqs))
"""
# the rows are locked by the merge before it
_CLOSE_GAPS = """
UPDATE task_producers p SET seqs = p.seqs + int8multirange(lowest.hull), unproven = p.unproven + lowest.gaps
FROM (
    SELECT q.project_id, q.task_id, q.instance_id, range_merge(range_agg(r)) AS hull,
           upper(range_merge(range_agg(r))) - lower(range_merge(range_agg(r))) - sum(upper(r) - lower(r))::bigint AS gaps
    FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, task_id, instance_id)
    JOIN task_producers q ON q.project_id = wanted.project_id AND q.task_id = wanted.task_id AND q.instance_id = wanted.instance_id,
    LATERAL (SELECT count(*) AS ranges FROM unnest(q.seqs)) AS counted,
    LATERAL unnest(q.seqs) WITH ORDINALITY AS ordered (r, place)
    WHERE counted.ranges > $4 AND place <= counted.ranges - $5
    GROUP BY q.project_id, q.task_id, q.instance_id
) lowest
WHERE p.project_id = lowest.project_id AND p.task_id = lowest.task_id AND p.instance_id = lowest.instance_id
RETURNING lowest.gaps
"""
_REPORT = """
UPDATE task_producers p SET dropped = $4, truncated = $5, reported_at_us = $6, reported_seq = $7, reported_event_id = $8
WHERE project_id = $1 AND task_id = $2 AND instance_id = $3
    AND (reported_at_us IS NULL OR (reported_at_us, reported_seq, reported_event_id) < ($6, $7, $8))
"""
_DELETE = "DELETE FROM task_producers WHERE project_id = $1 AND task_id = $2"


class Delivered(Struct):
    """What one producer delivered of one task in one batch.

    Attributes:
        sdk: Of the producer, with ``version`` and ``host``.
        seqs: Sequence numbers as they came, repeated ones too.
        duplicates: How many of them were delivered before.
        report: What it says it lost; of several reports the one with the highest stamp.
    """

    sdk: str
    version: str
    host: str
    seqs: list[int]
    duplicates: int = 0
    report: ProducerReported | None = None


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Sorted, disjoint, half-open ranges: ``[1, 2, 3, 7] -> [(1, 4), (7, 8)]``."""
    ordered = sorted(set(seqs))
    if not ordered:
        return []
    breaks = [(a, b) for a, b in pairwise(ordered) if b != a + 1]
    starts = [ordered[0], *(b for _, b in breaks)]
    ends = [*(a for a, _ in breaks), ordered[-1]]
    return [(start, end + 1) for start, end in zip(starts, ends, strict=True)]


def not_delivered(seqs: Iterable[int], delivered: Sequence[tuple[int, int]]) -> set[int]:
    """The numbers that lie in none of the ranges.

    Args:
        seqs: In any order.
        delivered: As ``ranges`` makes them.
    """
    wanted = set(seqs)
    if not delivered or (wanted and min(wanted) >= delivered[-1][1]):
        return wanted
    lowers = [lower for lower, _ in delivered]
    places = ((seq, bisect_right(lowers, seq)) for seq in wanted)
    return {seq for seq, place in places if place == 0 or seq >= delivered[place - 1][1]}


async def load(connection: Connection, keys: Sequence[ProducerKey]) -> dict[ProducerKey, list[tuple[int, int]]]:
    """The ranges that were delivered before."""
    if not keys:
        return {}
    rows = await connection.fetch(_LOAD, *array_literals(keys))
    return {(row[0], row[1], row[2]): [(piece.lower, piece.upper) for piece in row[3]] for row in rows}


async def merge(connection: Connection, delivered: dict[ProducerKey, Delivered]) -> int:
    """Add what was delivered, in order of the keys: another projection does the same.

    Returns:
        How many sequence numbers count as delivered without proof, because a row had more than ``RANGES_MAX`` ranges.
    """
    keys = sorted(key for key, sent in delivered.items() if sent.seqs or sent.report is not None)
    if not keys:  # OpenTelemetry's events have no numbers
        return 0
    rows = [
        (*key, sent.sdk, sent.version, sent.host, _multirange(sent.seqs), str(sent.duplicates))
        for key in keys
        for sent in (delivered[key],)
    ]
    fragmented = [tuple(row)[:3] for row in await connection.fetch(_MERGE, *array_literals(rows)) if row[3] > RANGES_MAX]
    reports = [(key, report) for key in keys if (report := delivered[key].report) is not None]
    if reports:
        await connection.executemany(
            _REPORT,
            [(*key, encode(event.dropped).decode(), event.truncated, event.at_us, event.seq, event.event_id) for key, event in reports],
        )
    if not fragmented:
        return 0
    return sum(row[0] for row in await connection.fetch(_CLOSE_GAPS, *array_literals(fragmented), RANGES_MAX, RANGES_KEPT))


def _multirange(seqs: Iterable[int]) -> str:
    return f"{{{','.join(f'[{lower},{upper})' for lower, upper in ranges(seqs))}}}"


async def delete(connection: Connection, key: TaskKey) -> None:
    """Delete a task's producers."""
    await connection.execute(_DELETE, *key)
