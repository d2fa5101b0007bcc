"""Lists, makes, changes over and drops generations of tables, on the owner's connection."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg
from msgspec import Struct

from ams_contracts.topics import INBOUND
from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.migrations.generation_sql import all_generation_sql, read_sql
from ams_trace_ingest.pricing.version import price_version
from ams_trace_ingest.store.retention import ADVISORY_LOCK as RETENTION_LOCK

ADVISORY_LOCK = 7_232_002  # any number that no migration uses
RETENTION_SECONDS_MAX = 1_800
READERS_SECONDS_MAX = 10.0  # no transaction of a service lives longer than 8 s, so none works on the old tables then
FOLD_VERSION = 1

LATE_INDEXES = {
    **dict.fromkeys(("steps_in_order", "steps_by_time"), "generation.sql"),
    **dict.fromkeys(("steps_costly", "steps_slow", "steps_long"), "outlier_indexes.sql"),
    "step_text_words": "text.sql",
}
"""Indexes that only readers use, and the file that defines them: made when the rows exist, which is a fraction of the work."""

_LIST = """
SELECT name, current, prices::text, current_since, mapper_version, price_version, remap FROM public.generations ORDER BY substr(name, 2)::int
"""
_INSERT = """
INSERT INTO public.generations (name, current, fold_version, mapper_version, prices, price_version, remap)
VALUES ($1, false, $2, $3, $4::jsonb, $5, $6)
"""
_COPY_PARTITIONS = """
SELECT {new}.ensure_partitions(to_date(right(child.relname, 8), 'YYYYMMDD'), to_date(right(child.relname, 8), 'YYYYMMDD'))
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class child ON child.oid = i.inhrelid
WHERE i.inhparent = '{old}.steps'::regclass AND child.relname ~ '_[0-9]{{8}}$'
"""
_KEEP_REMAPPED = "INSERT INTO {new}.remapped SELECT * FROM {old}.remapped"
_POSITIONS = 'SELECT projection, topic, "partition", next_offset FROM {schema}.positions'
_MAKE_AHEAD = "SELECT {new}.ensure_partitions((now() AT TIME ZONE 'UTC')::date - 2, (now() AT TIME ZONE 'UTC')::date + 7)"
# nothing is unread between the two positions, but the log may have deleted the record that the older one remembers
_TAKE_POSITIONS = """
INSERT INTO {new}.positions (projection, topic, "partition", next_offset, last_timestamp_ms)
SELECT projection, topic, "partition", next_offset, last_timestamp_ms FROM {old}.positions
WHERE (projection, topic, "partition") IN (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]))
ON CONFLICT (projection, topic, "partition") DO UPDATE
SET next_offset = EXCLUDED.next_offset, last_timestamp_ms = EXCLUDED.last_timestamp_ms
WHERE positions.next_offset < EXCLUDED.next_offset
"""
# what strangers send to this topic is no part of the tables' source: its events are in the others, and it is not read again
_TAKE_INBOUND = "INSERT INTO {new}.{table} SELECT * FROM {old}.{table} WHERE topic = $1 ON CONFLICT DO NOTHING"


Place = tuple[str, str, int]
"""Projection, topic and partition."""


class ReplayError(Exception):
    """The replay cannot start or continue. The text is one sentence for a person."""


class Generation(Struct, frozen=True):
    """One set of tables.

    Attributes:
        name: The schema: g1, g2 ...
        current: It serves.
        prices: The price file (JSON) that it was built with; ``{}`` for the catalog alone, null for the costs of the events.
        current_since: When it began to serve; null for the first one, and before.
        mapping_version: Of the mapping when it was made; a replay that resumes keeps it.
        price_version: Of the prices when it was made; a replay that resumes keeps it.
        remap: ``again``: its originals were mapped again when it was made; ``kept``: it took over the documents of one that was; else empty.
    """

    name: str
    current: bool
    prices: str | None
    current_since: datetime | None
    mapping_version: int
    price_version: str
    remap: str = ""

    @property
    def number(self) -> int:
        return int(self.name[1:])


class Generations(Struct, frozen=True):
    """All generations: those that served before, the one that serves, and the one that is being built."""

    old: list[Generation]
    current: Generation
    next: Generation | None


async def lock(connection: asyncpg.Connection) -> None:
    """Lock out other replays on this database for as long as the connection lives.

    Raises:
        ReplayError: Another one is at work.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
        raise ReplayError("another replay runs on this database; wait for it, or stop it")


async def hold_retention(connection: asyncpg.Connection, on_wait: Callable[[], None]) -> None:
    """Let nobody move the cuts of retention for as long as the connection lives.

    Args:
        connection: The owner's.
        on_wait: Called once when a run is under way, which is waited for.

    Raises:
        ReplayError: It does not end.
    """
    for attempt in range(RETENTION_SECONDS_MAX):
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", RETENTION_LOCK):
            return
        if attempt == 0:
            on_wait()
        await asyncio.sleep(1)
    raise ReplayError("retention has been deleting old tasks for a long time; try again later")


async def look(connection: asyncpg.Connection) -> Generations:
    """Which generations there are.

    Raises:
        ReplayError: None is current.
    """
    known = [Generation(*row) for row in await connection.fetch(_LIST)]
    current = next((one for one in known if one.current), None)
    if current is None:
        raise ReplayError("the database has no tables yet: start the platform once, or run ams-trace-ingest migrate")
    later = [one for one in known if one.number > current.number]
    return Generations([one for one in known if one.number < current.number], current, later[-1] if later else None)


async def make_next(
    connection: asyncpg.Connection, current: Generation, prices: str | None, *, remap: bool = False, own: str = ""
) -> Generation:
    """Make empty tables beside the current ones, with partitions for the same days.

    Without ``remap`` they take over the documents that an earlier remap made, and its versions. ``own`` names the projects' own prices that
    costs are computed with.
    """
    name, version, mapping = f"g{current.number + 1}", price_version(prices, own), MAPPING_VERSION
    how = "again" if remap else "kept" if current.remap else ""
    if how == "kept":
        mapping, version = current.mapping_version, version if prices is not None else current.price_version
    async with connection.transaction():
        for sql in all_generation_sql():
            await connection.execute(sql.replace("{schema}", name))
        await connection.execute(f"DROP INDEX {', '.join(f'{name}.{index}' for index in LATE_INDEXES)}")
        await connection.execute(_MAKE_AHEAD.format(new=name))
        await connection.execute(_COPY_PARTITIONS.format(new=name, old=current.name))
        if how == "kept":
            await connection.execute(_KEEP_REMAPPED.format(new=name, old=current.name))
        await connection.execute(_INSERT, name, FOLD_VERSION, mapping, prices, version, how)
    return Generation(name, False, prices, None, mapping, version, how)  # noqa: FBT003  the fields are the columns


async def make_late_indexes(connection: asyncpg.Connection, generation: Generation, on_index: Callable[[str], None]) -> None:
    """Make the indexes that ``make_next`` has left out. No projection writes at that time, and the generation does not serve yet.

    Args:
        connection: The owner's.
        generation: The next one.
        on_index: Called with the name of each index before it is made.
    """
    for index, file in LATE_INDEXES.items():
        if not await connection.fetchval("SELECT to_regclass($1) IS NULL", f"{generation.name}.{index}"):
            continue
        on_index(index)
        lines = read_sql(file).replace("{schema}", generation.name).splitlines()
        async with connection.transaction():
            await connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
            await connection.execute(next(line for line in lines if line.startswith(f"CREATE INDEX {index} ")))


async def drop(connection: asyncpg.Connection, generation: Generation) -> None:
    """Drop a generation that does not serve."""
    async with connection.transaction():
        if await connection.fetchval("DELETE FROM public.generations WHERE name = $1 AND NOT current RETURNING 1", generation.name):
            await connection.execute(f"DROP SCHEMA {generation.name} CASCADE")


async def drop_old(connection: asyncpg.Connection) -> list[str]:
    """Drop the generations that served before, once no transaction can read them any more."""
    known = await look(connection)
    if known.old and known.current.current_since is not None:
        served = (datetime.now(UTC) - known.current.current_since).total_seconds()
        await asyncio.sleep(max(0.0, READERS_SECONDS_MAX - served))
    for generation in known.old:
        await drop(connection, generation)
    return [generation.name for generation in known.old]


async def positions(connection: asyncpg.Connection, generation: Generation) -> dict[Place, int]:
    """The position of each projection in this generation."""
    rows = await connection.fetch(_POSITIONS.format(schema=generation.name))
    return {(row[0], row[1], row[2]): row[3] for row in rows}


async def hold_positions(connection: asyncpg.Connection, generation: Generation) -> None:
    """Lock the positions of this generation until the transaction ends. Transactions in progress finish first; readers are not affected."""
    await connection.execute(f"LOCK TABLE {generation.name}.positions IN EXCLUSIVE MODE")


async def change_over(connection: asyncpg.Connection, old: Generation, new: Generation, reached: list[Place]) -> None:
    """Let ``new`` serve, in the transaction that holds the positions of ``old``.

    A projector that waits for its position finishes its batch in the old tables, where nobody looks; its next transaction finds the new
    position, which is not the one it expects, and continues from there.

    Args:
        connection: In that transaction.
        old: Serves.
        new: At the positions of ``old``.
        reached: Where the log holds nothing up to the position of ``old`` that ``new`` has not.
    """
    columns = [list(column) for column in zip(*reached, strict=True)] or [[], [], []]
    await connection.execute(_TAKE_POSITIONS.format(new=new.name, old=old.name), *columns)
    for table in ("positions", "dead_letters"):
        await connection.execute(_TAKE_INBOUND.format(new=new.name, old=old.name, table=table), INBOUND.name)
    await connection.execute(_MAKE_AHEAD.format(new=new.name))
    await connection.execute("UPDATE public.generations SET current = false WHERE name = $1", old.name)
    await connection.execute("UPDATE public.generations SET current = true, current_since = now() WHERE name = $1", new.name)
