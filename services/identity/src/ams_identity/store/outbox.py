"""Table ``outbox``: events that were committed together with their change, and are not published yet."""

from datetime import datetime

from msgspec import Struct

from ams_identity.store import Executor

LOCK = 0x616D735F6F62  # "ams_ob": one publisher at a time keeps the order


class PendingEvent(Struct, frozen=True, kw_only=True):
    """An event that is not published yet."""

    outbox_id: int
    key: bytes
    value: bytes


_INSERT = """
insert into outbox (key, value, created_at) select $1::bytea, $2::bytea, $3::timestamptz
where (select count(*) from (select from outbox limit $4) waiting) < $4
"""


async def insert(database: Executor, key: bytes, value: bytes, at: datetime, *, events_max: int) -> bool:
    """Add an event. False when ``events_max`` wait already; transactions that commit at the same time may exceed it by one each."""
    return await database.execute(_INSERT, key, value, at, events_max) != "INSERT 0 0"


async def count(database: Executor) -> int:
    """How many events wait."""
    return int(await database.fetchval("select count(*) from outbox") or 0)


async def lock(database: Executor) -> bool:
    """Become the publisher until the transaction ends. False when another process is the publisher."""
    return bool(await database.fetchval("select pg_try_advisory_xact_lock($1)", LOCK))


async def oldest(database: Executor, limit: int) -> list[PendingEvent]:
    """The oldest events."""
    rows = await database.fetch("select outbox_id, key, value from outbox order by outbox_id limit $1", limit)
    return [PendingEvent(**dict(row)) for row in rows]


async def delete(database: Executor, outbox_ids: list[int]) -> None:
    """Delete events that were published."""
    await database.execute("delete from outbox where outbox_id = any($1::bigint[])", outbox_ids)
