"""Table ``share_links``: public links to single tasks. Stored as SHA-256: a secret has 190 random bits, so a slow hash would add nothing."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor

LAST_USED_STEP = "1 minute"  # people read last_used_at, so one write per link and minute is enough


class StoredLink(Struct, frozen=True, kw_only=True):
    """A link that works. ``created_by`` is the username of the member who created it."""

    project_id: str
    link_id: str
    task_id: str
    payloads: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


_SELECT = """
select s.project_id::text, s.link_id::text, s.task_id, s.payloads, u.username as created_by, s.created_at, s.expires_at, s.last_used_at
from share_links s join projects p using (project_id) join users u on u.id = s.created_by
"""
# a person who has left, may only read by now, or was disabled shares nothing
_IS_OPEN = """
s.revoked_at is null and s.expires_at > $2 and p.deleted_at is null and u.disabled_at is null
and exists (select from members m where m.project_id = s.project_id and m.user_id = s.created_by and m.role in ('member', 'owner'))
"""


def _link(row: Any) -> StoredLink:
    return StoredLink(**dict(row))


async def insert(database: Executor, item: StoredLink, secret_hash: bytes, user_id: str) -> None:
    """Add a link."""
    await database.execute(
        """
        insert into share_links (project_id, link_id, secret_hash, task_id, payloads, created_by, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        item.project_id,
        item.link_id,
        secret_hash,
        item.task_id,
        item.payloads,
        user_id,
        item.created_at,
        item.expires_at,
    )


async def open_of_project(database: Executor, project_id: str, at: datetime, limit: int) -> list[StoredLink]:
    """The links of a project that work, newest first."""
    sql = f"{_SELECT} where s.project_id = $1 and {_IS_OPEN} order by s.created_at desc, s.link_id limit $3"
    return [_link(row) for row in await database.fetch(sql, project_id, at, limit)]


async def open_by_secret(database: Executor, secret_hash: bytes, at: datetime) -> StoredLink | None:
    """The link of a secret, if it works."""
    row = await database.fetchrow(f"{_SELECT} where s.secret_hash = $1 and {_IS_OPEN}", secret_hash, at)
    return None if row is None else _link(row)


async def is_open(database: Executor, project_id: str, link_id: str, at: datetime) -> bool:
    """Whether a link of a project works."""
    return (
        await database.fetchrow(f"{_SELECT} where s.link_id = $1 and {_IS_OPEN} and s.project_id = $3", link_id, at, project_id) is not None
    )


async def touch(database: Executor, link_id: str, at: datetime) -> None:
    """Remember that a link was opened."""
    sql = f"update share_links set last_used_at = $2 where link_id = $1 and (last_used_at is null or last_used_at < $2::timestamptz - interval '{LAST_USED_STEP}')"
    await database.execute(sql, link_id, at)


async def revoke(database: Executor, project_id: str, link_id: str, at: datetime) -> bool:
    """Revoke a link. False when the project has no such link, or it was revoked already."""
    sql = "update share_links set revoked_at = $3 where project_id = $1 and link_id = $2 and revoked_at is null returning 1"
    return await database.fetchval(sql, project_id, link_id, at) is not None


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete links that expired before a time."""
    await database.execute("delete from share_links where expires_at < $1", before)
