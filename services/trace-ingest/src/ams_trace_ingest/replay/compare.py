"""Compares two generations at the same positions: counts and checksums per table and partition, and examples of what differs."""

from collections.abc import Callable, Iterable, Mapping

import asyncpg
from msgspec import Struct

from ams_contracts.topics import INBOUND
from ams_trace_ingest.replay.generations import Generation

EXAMPLES_MAX = 3
PARTITION_OF_TASK = 'coalesce(k."partition", -1)'
TASK_JOIN = "LEFT JOIN {schema}.tasks k ON k.project_id = t.project_id AND k.task_id = t.task_id"

# decided by the clock and not by an event: a task without a root is shown by its steps after a minute
_BY_THE_CLOCK = {"flags", "status", "name", "agent", "started_at_us", "ended_at_us", "duration_us", "sort_at_us"}
_COSTS = {
    "tasks": {"cost_nusd", "priced_steps", "unpriced_steps"},
    "steps": {"cost_nusd", "cost_source", "counted_nusd"},
    "hourly_rollups": {"cost_nusd", "priced_steps", "costs"},
}
_MAPPED = frozenset({"tasks", "steps", "step_text", "hourly_rollups", "agents", "response_claims", "response_claims_overflow"})
# a text is identified by its event's id and its length: reading a gigabyte of texts would prove no more
_TEXTS = {
    "step_payloads": {"text": "octet_length(t.text)"},
    "step_text": {"words": "length(t.words)"},
    "media": {"data": "octet_length(t.data)"},
}


class Table(Struct, frozen=True):
    """A table to compare.

    Attributes:
        name: Of the table.
        keys: What names a row for a person.
        partition: SQL of the log's partition that a row came from.
        join: What that needs.
        without: Columns that no event decides.
        where: The rows that both generations have; others are not compared.
    """

    name: str
    keys: tuple[str, ...]
    partition: str = "-1"
    join: str = ""
    without: frozenset[str] = frozenset()
    where: str = "true"


TABLES = (
    Table("tasks", ("task_id",), 't."partition"'),
    Table("steps", ("task_id", "step_id"), PARTITION_OF_TASK, TASK_JOIN),
    Table("step_payloads", ("task_id", "step_id", "slot"), PARTITION_OF_TASK, TASK_JOIN),
    Table("step_text", ("task_id", "step_id", "slot"), PARTITION_OF_TASK, TASK_JOIN),
    Table("media", ("sha256",)),
    Table("task_media", ("task_id", "sha256"), PARTITION_OF_TASK, TASK_JOIN),
    # how far the payloads lagged decides which gaps were closed for a while
    Table("task_producers", ("task_id", "instance_id"), PARTITION_OF_TASK, TASK_JOIN, frozenset({"unproven"})),
    Table("scores", ("task_id", "score_id"), PARTITION_OF_TASK, TASK_JOIN),
    Table("step_logs", ("task_id", "step_id", "event_id"), PARTITION_OF_TASK, TASK_JOIN),
    Table("step_log_counts", ("task_id", "step_id"), PARTITION_OF_TASK, TASK_JOIN),
    Table("hourly_rollups", ("hour", "agent", "model", "type", "status", "tool"), 't."partition"'),
    Table("agents", ("name",)),
    Table("response_claims", ("response_id",)),
    Table("response_claims_overflow", ("task_id", "step_id")),
    Table("deleted_tasks", ("task_id",)),
    Table(
        "dead_letters",
        ("topic", "partition", "offset", "index"),
        't."partition"',
        "",
        frozenset({"replayed_at_us"}),
        f"t.topic <> '{INBOUND.name}'",
    ),
)

_TOTALS = """
SELECT count(*), coalesce(sum(steps), 0)::bigint, coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint,
       coalesce(sum(cost_nusd), 0)::bigint
FROM {schema}.tasks
"""
_SUMS = """
SELECT part, count(*), sum(hashtextextended(r::text, 0)::numeric)
FROM (SELECT {partition} AS part, s.* FROM {schema}.{table} t {join} CROSS JOIN LATERAL (SELECT {values}) s WHERE {where}) r
GROUP BY part
"""
_EXAMPLES = """
SELECT {keys} FROM (SELECT {values} FROM {one}.{table} t WHERE {where} EXCEPT SELECT {values} FROM {other}.{table} t WHERE {where}) x LIMIT {limit}
"""
_BEGUN_BEFORE = """
SELECT count(*) FROM {schema}.tasks t JOIN unnest($1::int[], $2::bigint[]) AS log (part, start)
ON t."partition" = log.part AND t.first_offset < log.start
"""
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname"
Sums = dict[int, tuple[int, int]]
"""Per partition: rows and checksum."""


class Totals(Struct, frozen=True):
    """What a generation holds."""

    tasks: int
    steps: int
    input_tokens: int
    output_tokens: int
    cost_nusd: int


async def totals(connection: asyncpg.Connection, generation: Generation) -> Totals:
    """What a generation holds, by its tasks' own totals."""
    rows = await connection.fetch(_TOTALS.format(schema=generation.name))
    return Totals(*rows[0])


def priced_otherwise(old: Generation, new: Generation) -> bool:
    """Whether costs may differ: the catalog changes, and intake has priced what arrived since the last replay."""
    return old.prices is not None or new.prices is not None


async def differences(
    connection: asyncpg.Connection,
    old: Generation,
    new: Generation,
    on_table: Callable[[str, int], None] = lambda _name, _rows: None,
    *,
    remap: bool = False,
) -> list[str]:
    """What differs, a sentence each; nothing when all rows are the same.

    Args:
        connection: As ``ams_writer``, in a snapshot in which both have the same positions.
        old: Serves.
        new: Was built with the same prices or with others; then costs may differ.
        on_table: Called with each table that was compared, and its number of rows.
        remap: What the mapping decides may differ, and is not compared.
    """
    other_prices = priced_otherwise(old, new)
    found: list[str] = []
    for table in TABLES:
        if remap and table.name in _MAPPED:
            continue
        without = table.without | (_COSTS.get(table.name, set()) if other_prices else set())
        columns = [row[0] for row in await connection.fetch(_COLUMNS, f"{new.name}.{table.name}")]
        values = _values(table, [column for column in columns if column not in without])
        before = await _sums(connection, old, table, values)
        after = await _sums(connection, new, table, values)
        on_table(table.name, sum(rows for rows, _ in after.values()))
        if before != after:
            found += _sentences(table, old, new, before, after)
            found += await _examples(connection, table, values, old, new)
    return found


def _values(table: Table, columns: Iterable[str]) -> str:
    replaced: Mapping[str, str] = _TEXTS.get(table.name, {})
    parts: list[str] = []
    for column in columns:
        value = replaced.get(column, f't."{column}"')
        if table.name == "tasks" and column in _BY_THE_CLOCK:
            value = f"CASE WHEN t.document IS NULL AND t.root_step_id IS NULL THEN NULL ELSE {value} END"
        parts.append(f'{value} AS "{column}"')
    return ", ".join(parts)


async def _sums(connection: asyncpg.Connection, generation: Generation, table: Table, values: str) -> Sums:
    join = table.join.format(schema=generation.name)
    rows = await connection.fetch(
        _SUMS.format(schema=generation.name, table=table.name, partition=table.partition, join=join, values=values, where=table.where)
    )
    return {row[0]: (row[1], int(row[2])) for row in rows}


def _sentences(table: Table, old: Generation, new: Generation, before: Sums, after: Sums) -> list[str]:
    sentences: list[str] = []
    for partition in sorted(before.keys() | after.keys()):
        ours, theirs = before.get(partition, (0, 0)), after.get(partition, (0, 0))
        where = f"{table.name}, partition {partition}" if partition >= 0 else table.name
        if ours[0] != theirs[0]:
            sentences.append(f"{where}: {old.name} has {ours[0]:,} rows, {new.name} has {theirs[0]:,}")
        elif ours != theirs:
            sentences.append(f"{where}: {ours[0]:,} rows in both, but not all with the same values")
    return sentences


async def _examples(connection: asyncpg.Connection, table: Table, values: str, old: Generation, new: Generation) -> list[str]:
    sentences: list[str] = []
    keys = ", ".join(f'x."{key}"' for key in table.keys)
    for one, other in ((old, new), (new, old)):
        rows = await connection.fetch(
            _EXAMPLES.format(
                keys=keys, values=values, one=one.name, other=other.name, table=table.name, where=table.where, limit=EXAMPLES_MAX
            )
        )
        if rows:
            names = ", ".join("/".join(str(value) for value in row) for row in rows)
            sentences.append(f"  in {one.name} and not so in {other.name}, for example: {names}")
    return sentences


async def begun_before(connection: asyncpg.Connection, generation: Generation, log_starts: Mapping[int, int]) -> int:
    """How many tasks began in a part of the log that is deleted."""
    partitions = [partition for partition, start in log_starts.items() if start > 0]
    starts = [log_starts[partition] for partition in partitions]
    return int(await connection.fetchval(_BEGUN_BEFORE.format(schema=generation.name), partitions, starts) or 0)
