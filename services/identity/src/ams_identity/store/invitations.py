"""Table ``invitations``: links that make the person who accepts one a member of a project. Stored as SHA-256."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_contracts.claims import Role
from ams_identity.store import Executor


class Invitation(Struct, frozen=True, kw_only=True):
    """An invitation. ``invited_by`` is the username of the owner who created it."""

    project_id: str
    invitation_id: str
    role: Role
    project_name: str
    invited_by: str
    created_at: datetime
    expires_at: datetime


_SELECT = """
select i.project_id::text, i.invitation_id::text, i.role, p.name as project_name, u.username as invited_by, i.created_at, i.expires_at
from invitations i join projects p using (project_id) join users u on u.id = i.created_by
"""
# an owner who has left, or was disabled, invites nobody
_IS_OPEN = """
i.ended_at is null and i.expires_at > $2 and p.deleted_at is null and u.disabled_at is null
and exists (select from members m where m.project_id = i.project_id and m.user_id = i.created_by and m.role = 'owner')
"""


def _invitation(row: Any) -> Invitation:
    values: dict[str, Any] = {**dict(row), "role": Role(row["role"])}
    return Invitation(**values)


async def insert(database: Executor, item: Invitation, token_hash: bytes, user_id: str) -> None:
    """Add an invitation."""
    await database.execute(
        """
        insert into invitations (project_id, invitation_id, token_hash, role, created_by, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        item.project_id,
        item.invitation_id,
        token_hash,
        item.role.value,
        user_id,
        item.created_at,
        item.expires_at,
    )


async def open_of_project(database: Executor, project_id: str, at: datetime, limit: int) -> list[Invitation]:
    """The invitations of a project that can be accepted, newest first."""
    sql = f"{_SELECT} where i.project_id = $1 and {_IS_OPEN} order by i.created_at desc, i.invitation_id limit $3"
    return [_invitation(row) for row in await database.fetch(sql, project_id, at, limit)]


async def open_by_token(database: Executor, token_hash: bytes, at: datetime) -> Invitation | None:
    """The invitation of a link, if it can be accepted."""
    row = await database.fetchrow(f"{_SELECT} where i.token_hash = $1 and {_IS_OPEN}", token_hash, at)
    return None if row is None else _invitation(row)


async def end(database: Executor, project_id: str, invitation_id: str, at: datetime, *, accepted_by: str | None = None) -> bool:
    """End an invitation: it was accepted, or withdrawn. False when it has ended already."""
    sql = """
        update invitations set ended_at = $3, accepted_by = $4
        where project_id = $1 and invitation_id = $2 and ended_at is null and expires_at > $3 returning 1
    """
    return await database.fetchval(sql, project_id, invitation_id, at, accepted_by) is not None


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete invitations that expired before a time."""
    await database.execute("delete from invitations where expires_at < $1", before)
