"""Hourly rollups as rows: differences are added, bucket by bucket."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from ams_trace_ingest.store.columns import array_literal, array_literals, quoted
from ams_trace_ingest.store.connections import Connection, affected

VALUES_MAX = 1_000
"""Values of one dimension and project with rows of their own; further ones count as ``other``."""

RollupKey = tuple[str, int, str, str, str, str, str, int, date]
"""Project, hour since 1970, agent, model, type, status, tool, partition, day of the task."""
ValueKey = tuple[str, str, str]
"""Project, dimension, value."""

_KEY_TYPES = {
    "project_id": "text", "hour": "integer", "agent": "text", "model": "text", "type": "text", "status": "text", "tool": "text", "partition": "integer", "day": "date",
}  # fmt: skip
_KEY = ", ".join(map(quoted, _KEY_TYPES))
_SUMS = ("steps", "input_tokens", "output_tokens", "cost_nusd", "priced_steps", "duration_us", "timed_steps")
_BUCKETS = ("durations", "tokens", "costs")
_TYPES = (*_KEY_TYPES.values(), *("bigint" for _ in _SUMS), *("text" for _ in _BUCKETS))
# inline, because a call of a function costs 20 us a row. Sums of counts have no zeros at their ends when both have none
_SUM_OF_BUCKETS = (
    "ARRAY(SELECT coalesce(one, 0) + coalesce(other, 0) FROM unnest(hourly_rollups.{0}, EXCLUDED.{0}) AS both_sides (one, other))"
)
_ADD = f"""
INSERT INTO hourly_rollups ({_KEY}, {", ".join((*_SUMS, *_BUCKETS))})
SELECT {", ".join((_KEY, *_SUMS, *(f"{name}::bigint[]" for name in _BUCKETS)))}
FROM unnest({", ".join(f"${place}::text::{kind}[]" for place, kind in enumerate(_TYPES, 1))}) AS added ({", ".join((_KEY, *_SUMS, *_BUCKETS))})
ON CONFLICT ({_KEY}) DO UPDATE SET
    {", ".join(f"{name} = hourly_rollups.{name} + EXCLUDED.{name}" for name in _SUMS)},
    {{buckets}}
"""
_ADD_COUNTS = _ADD.format(buckets=", ".join(f"{name} = {_SUM_OF_BUCKETS.format(name)}" for name in _BUCKETS))
_ADD_DIFFERENCES = _ADD.format(buckets=", ".join(f"{name} = add_buckets(hourly_rollups.{name}, EXCLUDED.{name})" for name in _BUCKETS))
_DELETE_EMPTY = f"""
DELETE FROM hourly_rollups WHERE ({_KEY}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9) AND steps = 0
"""
# several new values of one statement see the same count, so they are numbered
_ADMIT = f"""
INSERT INTO rollup_values (project_id, dimension, value)
SELECT project_id, dimension, value FROM (
    SELECT wanted.*, row_number() OVER (PARTITION BY project_id, dimension ORDER BY value) AS place
    FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, dimension, value)
    WHERE NOT EXISTS (
        SELECT FROM rollup_values v WHERE v.project_id = wanted.project_id AND v.dimension = wanted.dimension AND v.value = wanted.value
    )
) fresh
WHERE place + (SELECT count(*) FROM rollup_values v WHERE v.project_id = fresh.project_id AND v.dimension = fresh.dimension) <= {VALUES_MAX}
ORDER BY project_id, dimension, value
ON CONFLICT DO NOTHING
"""
_ADMITTED = """
SELECT v.project_id, v.dimension, v.value
FROM unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS wanted (project_id, dimension, value)
JOIN rollup_values v ON v.project_id = wanted.project_id AND v.dimension = wanted.dimension AND v.value = wanted.value
"""
_DELETE_DAYS = """
DELETE FROM hourly_rollups WHERE ctid = ANY(ARRAY(SELECT ctid FROM hourly_rollups WHERE project_id = $1 AND day < $2 LIMIT $3))
"""


class Rollup(Struct, gc=False):
    """What is to be added to one row; subtracted steps have negative numbers. Buckets by number."""

    durations: dict[int, int]
    tokens: dict[int, int]
    costs: dict[int, int]
    steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    priced_steps: int = 0
    duration_us: int = 0
    timed_steps: int = 0


async def admit(connection: Connection, wanted: Iterable[ValueKey]) -> set[ValueKey]:
    """Give values rows of their own, while their dimension has room.

    Args:
        connection: In a transaction.
        wanted: At least one.

    Returns:
        Those that have rows of their own.
    """
    columns = array_literals(sorted(wanted))
    await connection.execute(_ADMIT, *columns)
    return {(row[0], row[1], row[2]) for row in await connection.fetch(_ADMITTED, *columns)}


async def add(connection: Connection, rollups: Mapping[RollupKey, Rollup]) -> None:
    """Add to rows, in order of their keys; a row without steps is deleted."""
    ordered = sorted(rollups.items())
    counts_only = all(rollup.steps > 0 and _counts_only(rollup) for _, rollup in ordered)
    columns = zip(*((*key, *_values(rollup)) for key, rollup in ordered), strict=True)
    await connection.fetch(_ADD_COUNTS if counts_only else _ADD_DIFFERENCES, *(array_literal(list(map(str, column))) for column in columns))
    emptied = [key for key, rollup in ordered if rollup.steps <= 0]
    if emptied:
        await connection.executemany(_DELETE_EMPTY, emptied)


def _counts_only(rollup: Rollup) -> bool:
    return all(count > 0 for buckets in (rollup.durations, rollup.tokens, rollup.costs) for count in buckets.values())


def _values(rollup: Rollup) -> tuple[Any, ...]:
    return (
        rollup.steps, rollup.input_tokens, rollup.output_tokens, rollup.cost_nusd, rollup.priced_steps, rollup.duration_us, rollup.timed_steps,
        _dense(rollup.durations), _dense(rollup.tokens), _dense(rollup.costs),
    )  # fmt: skip


def _dense(buckets: Mapping[int, int]) -> str:
    counts = (buckets.get(bucket, 0) for bucket in range(max(buckets) + 1)) if buckets else ()
    return f"{{{','.join(map(str, counts))}}}"


async def delete_days(connection: Connection, project_id: str, before: date, limit: int) -> int:
    """Delete at most ``limit`` rows of tasks of days before a day; how many were deleted."""
    return affected(await connection.execute(_DELETE_DAYS, project_id, before, limit))
