"""Table ``projects``."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_contracts.claims import Role
from ams_identity.store import Executor


class Membership(Struct, frozen=True, kw_only=True):
    """A project as one of its members sees it."""

    project_id: str
    name: str
    role: Role
    created_at: datetime


def _membership(row: Any) -> Membership:
    return Membership(project_id=str(row["project_id"]), name=row["name"], role=Role(row["role"]), created_at=row["created_at"])


async def insert(database: Executor, project_id: str, name: str, user_id: str, at: datetime) -> None:
    """Add a project."""
    await database.execute(
        "insert into projects (project_id, name, created_by, created_at) values ($1, $2, $3, $4)", project_id, name, user_id, at
    )


async def of_user(database: Executor, user_id: str, *, after: str | None, limit: int) -> list[Membership]:
    """A user's projects, oldest first (project ids are made in the order of time)."""
    rows = await database.fetch(
        """
        select p.project_id, p.name, p.created_at, m.role
        from members m join projects p using (project_id)
        where m.user_id = $1 and ($2::uuid is null or p.project_id > $2)
        order by p.project_id limit $3
        """,
        user_id,
        after,
        limit,
    )
    return [_membership(row) for row in rows]


async def of_user_by_id(database: Executor, user_id: str, project_id: str) -> Membership | None:
    """One project as one of its members sees it; ``None`` when they are none."""
    row = await database.fetchrow(
        """
        select p.project_id, p.name, p.created_at, m.role
        from members m join projects p using (project_id)
        where p.project_id = $2 and m.user_id = $1
        """,
        user_id,
        project_id,
    )
    return None if row is None else _membership(row)


async def lock(database: Executor, project_id: str) -> None:
    """Decide about a project's members one after the other."""
    await database.fetchval("select 1 from projects where project_id = $1 for update", project_id)


async def exists(database: Executor, project_id: str) -> bool:
    """Whether there is such a project."""
    return bool(await database.fetchval("select exists(select 1 from projects where project_id = $1)", project_id))
