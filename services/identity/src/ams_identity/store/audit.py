"""Tables ``audit``, ``audit_addresses``, ``audit_chain`` and ``audit_checkpoints``. Rows are only added; addresses can be erased."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from msgspec import Struct

from ams_identity.store import Executor

Outcome = Literal["ok", "refused"]
NO_PROJECT = "00000000-0000-0000-0000-000000000000"
LOCK = 0x616D735F6175  # "ams_au": one process at a time extends the chains


class Entry(Struct, frozen=True, kw_only=True):
    """What the chain covers of an entry. ``user_id`` and ``subject`` are ids; the names that belong to them are elsewhere and can be erased."""

    audit_id: int
    at: datetime
    action: str
    outcome: str
    user_id: str | None
    project_id: str | None
    subject: str | None
    address_mac: bytes | None


class Link(Struct, frozen=True, kw_only=True):
    """The place of an entry in the chain of its project, and the address that is stored beside it, if it is."""

    entry: Entry
    seq: int
    hash: bytes
    salt: bytes | None = None
    address: str | None = None


class Checkpoint(Struct, frozen=True, kw_only=True):
    """The end of a chain before the first entry of ``month``."""

    project_id: str
    month: date
    seq: int
    hash: bytes
    mac: bytes


class AuditEntry(Struct, frozen=True, kw_only=True):
    """An entry as an owner reads it. ``seq`` and ``hash``: ``None`` for an entry that is not in the chain yet, which takes about a second."""

    audit_id: int
    at: datetime
    action: str
    outcome: str
    user_id: str | None
    username: str | None
    subject: str | None
    address: str | None
    seq: int | None
    hash: str | None


_ENTRY = "a.audit_id, a.at, a.action, a.outcome, a.user_id::text, a.project_id::text, a.subject, a.address_mac"


def _entry(row: Any) -> Entry:
    return Entry(**{name: row[name] for name in Entry.__struct_fields__})


async def insert(
    database: Executor,
    *,
    at: datetime,
    action: str,
    outcome: Outcome,
    user_id: str | None,
    project_id: str | None,
    subject: str | None,
    address_mac: bytes | None,
    salt: bytes,
    address: str | None,
) -> None:
    """Add an entry, and the address beside it."""
    await database.execute(
        """
        with entry as (
            insert into audit (at, action, outcome, user_id, project_id, subject, address_mac)
            values ($1, $2, $3, $4, $5, $6, $7) returning audit_id
        )
        insert into audit_addresses (audit_id, salt, address) select audit_id, $8, $9::inet from entry where $9::inet is not null
        """,
        at,
        action,
        outcome,
        user_id,
        project_id,
        subject,
        address_mac,
        salt,
        address,
    )


async def lock(database: Executor) -> bool:
    """Become the process that extends the chains until the transaction ends. False when another one is."""
    return bool(await database.fetchval("select pg_try_advisory_xact_lock($1)", LOCK))


async def unchained(database: Executor, after: int, limit: int) -> list[Entry]:
    """Entries that are in no chain, in the order of their ids."""
    sql = f"""
        select {_ENTRY} from audit a
        where a.audit_id > $1 and not exists (select from audit_chain c where c.audit_id = a.audit_id)
        order by a.audit_id limit $2
    """
    return [_entry(row) for row in await database.fetch(sql, after, limit)]


async def newest_chained(database: Executor) -> int:
    """The largest id of an entry that is in a chain; 0 without one."""
    return int(await database.fetchval("select max(audit_id) from audit_chain") or 0)


async def heads(database: Executor, project_ids: Sequence[str]) -> dict[str, tuple[int, bytes, datetime | None]]:
    """The last place, hash and time of each project's chain. A chain whose entries have all expired ends at its last checkpoint."""
    rows = await database.fetch(
        """
        select p.project_id::text, coalesce(h.seq, k.seq, 0) as seq, coalesce(h.hash, k.hash, ''::bytea) as hash, h.at
        from unnest($1::uuid[]) as p (project_id)
        left join lateral (
            select c.seq, c.hash, a.at from audit_chain c join audit a using (audit_id)
            where c.project_id = p.project_id order by c.seq desc limit 1
        ) h on true
        left join lateral (
            select k.seq, k.hash from audit_checkpoints k where k.project_id = p.project_id order by k.month desc limit 1
        ) k on true
        """,
        list(project_ids),
    )
    return {row["project_id"]: (row["seq"], row["hash"], row["at"]) for row in rows}


async def extend(database: Executor, links: Sequence[tuple[str, int, int, bytes]]) -> None:
    """Add places to chains: project, seq, audit_id, hash."""
    await database.executemany("insert into audit_chain (project_id, seq, audit_id, hash) values ($1, $2, $3, $4)", links)


async def add_checkpoint(database: Executor, item: Checkpoint) -> None:
    """Add a checkpoint, unless the month has one."""
    await database.execute(
        "insert into audit_checkpoints (project_id, month, seq, hash, mac) values ($1, $2, $3, $4, $5) on conflict do nothing",
        item.project_id,
        item.month,
        item.seq,
        item.hash,
        item.mac,
    )


async def projects_with_chains(database: Executor, after: str | None, limit: int) -> list[str]:
    """The projects that have a chain, in the order of their ids."""
    sql = """
        select distinct project_id from (select project_id from audit_chain union select project_id from audit_checkpoints) p
        where $1::uuid is null or project_id > $1 order by project_id limit $2
    """
    return [str(row["project_id"]) for row in await database.fetch(sql, after, limit)]


async def links(database: Executor, project_id: str, after: int, limit: int) -> list[Link]:
    """A project's chain after a place."""
    rows = await database.fetch(
        f"""
        select {_ENTRY}, c.seq, c.hash, p.salt, host(p.address) as address
        from audit_chain c join audit a using (audit_id) left join audit_addresses p using (audit_id)
        where c.project_id = $1 and c.seq > $2 order by c.seq limit $3
        """,
        project_id,
        after,
        limit,
    )
    return [Link(entry=_entry(row), seq=row["seq"], hash=row["hash"], salt=row["salt"], address=row["address"]) for row in rows]


async def checkpoints(database: Executor, project_id: str) -> list[Checkpoint]:
    """A project's checkpoints, oldest first; one per month."""
    sql = "select project_id::text, month, seq, hash, mac from audit_checkpoints where project_id = $1 order by month limit 1200"
    return [Checkpoint(**dict(row)) for row in await database.fetch(sql, project_id)]


async def of_project(database: Executor, project_id: str, *, before: int | None, limit: int) -> list[AuditEntry]:
    """The entries of a project, newest first."""
    rows = await database.fetch(
        """
        select a.audit_id, a.at, a.action, a.outcome, a.user_id::text, coalesce(u.service_name, u.username) as username, a.subject, host(p.address) as address, c.seq, encode(c.hash, 'hex') as hash
        from audit a left join users u on u.id = a.user_id left join audit_addresses p using (audit_id) left join audit_chain c using (audit_id)
        where a.project_id = $1 and ($2::bigint is null or a.audit_id < $2)
        order by a.audit_id desc limit $3
        """,
        project_id,
        before,
        limit,
    )
    return [AuditEntry(**dict(row)) for row in rows]


async def erase_addresses(database: Executor, user_id: str) -> None:
    """Erase the addresses of what an account did."""
    await database.execute("delete from audit_addresses p using audit a where a.audit_id = p.audit_id and a.user_id = $1", user_id)


async def expire(database: Executor, before: datetime) -> None:
    """Delete the entries from before a time, at least a month old, with their places and addresses."""
    await database.execute("delete from audit_addresses p using audit a where a.audit_id = p.audit_id and a.at < $1", before)
    await database.execute("select audit_expire($1)", before)
