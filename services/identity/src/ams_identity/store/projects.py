"""Table ``projects``. A deleted project keeps its row, so that its id is not reused; the queries for people leave it out."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_contracts.claims import ProjectSettings, Role
from ams_identity.store import Executor


class Membership(Struct, frozen=True, kw_only=True):
    """A project as one of its members sees it.

    Attributes:
        retention_days: ``None`` means the maximum.
        retention_days_max: Set by the administrator; ``None`` means the platform's number of days.
        second_factor_required: Whether members without a second factor see nothing of it.
    """

    project_id: str
    name: str
    role: Role
    retention_days: int | None
    retention_days_max: int | None
    second_factor_required: bool
    masking: bool
    created_at: datetime


class LockedProject(Struct, frozen=True, kw_only=True):
    """A project whose row is locked until the transaction ends."""

    name: str
    retention_days: int | None
    second_factor_required: bool
    masking: bool
    deleted_at: datetime | None


def _membership(row: Any) -> Membership:
    values: dict[str, Any] = {**dict(row), "project_id": str(row["project_id"]), "role": Role(row["role"])}
    return Membership(**values)


async def insert(database: Executor, project_id: str, name: str, user_id: str, at: datetime) -> None:
    """Add a project."""
    await database.execute(
        "insert into projects (project_id, name, created_by, created_at) values ($1, $2, $3, $4)", project_id, name, user_id, at
    )


async def of_user(database: Executor, user_id: str, *, after: str | None, limit: int) -> list[Membership]:
    """A user's projects, oldest first (project ids are ordered by time)."""
    rows = await database.fetch(
        """
        select p.project_id, p.name, p.retention_days, p.retention_days_max, p.second_factor_required, p.masking, p.created_at, m.role
        from members m join projects p using (project_id)
        where m.user_id = $1 and ($2::uuid is null or p.project_id > $2) and p.deleted_at is null
        order by p.project_id limit $3
        """,
        user_id,
        after,
        limit,
    )
    return [_membership(row) for row in rows]


async def of_user_by_id(database: Executor, user_id: str, project_id: str) -> Membership | None:
    """One project as one of its members sees it; ``None`` when the user is not a member, or the project was deleted."""
    row = await database.fetchrow(
        """
        select p.project_id, p.name, p.retention_days, p.retention_days_max, p.second_factor_required, p.masking, p.created_at, m.role
        from members m join projects p using (project_id)
        where p.project_id = $2 and m.user_id = $1 and p.deleted_at is null
        """,
        user_id,
        project_id,
    )
    return None if row is None else _membership(row)


async def own_of_user(database: Executor, user_id: str) -> str | None:
    """The oldest project that a user created and owns. Memberships that other users created do not count."""
    project_id = await database.fetchval(
        """
        select p.project_id from members m join projects p using (project_id)
        where m.user_id = $1 and p.created_by = $1 and m.role = 'owner' and p.deleted_at is null
        order by p.project_id limit 1
        """,
        user_id,
    )
    return None if project_id is None else str(project_id)


async def count_of_user(database: Executor, user_id: str) -> int:
    """How many projects a user is a member of."""
    sql = "select count(*) from members m join projects p using (project_id) where m.user_id = $1 and p.deleted_at is null"
    return int(await database.fetchval(sql, user_id) or 0)


async def lock(database: Executor, project_id: str) -> LockedProject | None:
    """Lock a project, deleted or not, so that changes of it and of its members and keys happen one after the other."""
    sql = "select name, retention_days, second_factor_required, masking, deleted_at from projects where project_id = $1 for update"
    row = await database.fetchrow(sql, project_id)
    return None if row is None else LockedProject(**dict(row))


async def update(
    database: Executor, project_id: str, name: str, retention_days: int | None, *, second_factor_required: bool, masking: bool
) -> None:
    """Set the settings of a project."""
    sql = "update projects set name = $2, retention_days = $3, second_factor_required = $4, masking = $5 where project_id = $1"
    await database.execute(sql, project_id, name, retention_days, second_factor_required, masking)


async def requiring_factor(database: Executor, user_id: str) -> list[tuple[str, str]]:
    """The projects of an account that require a second factor, with its roles. The limit of projects of an account bounds them."""
    rows = await database.fetch(
        """
        select p.project_id::text, m.role from members m join projects p using (project_id)
        where m.user_id = $1 and p.second_factor_required and p.deleted_at is null order by p.project_id
        """,
        user_id,
    )
    return [(row["project_id"], row["role"]) for row in rows]


async def delete(database: Executor, project_id: str, user_id: str, at: datetime) -> None:
    """Mark a project as deleted."""
    await database.execute("update projects set deleted_at = $3, deleted_by = $2 where project_id = $1", project_id, user_id, at)


async def deleted_by(database: Executor, project_id: str) -> str | None:
    """Who deleted a project; ``None`` when it is not deleted, or does not exist."""
    user_id = await database.fetchval("select deleted_by from projects where project_id = $1 and deleted_at is not null", project_id)
    return None if user_id is None else str(user_id)


async def settings(database: Executor, *, after: str | None, limit: int) -> list[ProjectSettings]:
    """The settings of projects that other services need, in the order of their ids, deleted ones included."""
    rows = await database.fetch(
        """
        select project_id, least(retention_days, retention_days_max) as retention_days, (extract(epoch from deleted_at) * 1000000)::bigint as deleted_at_us
        from projects where $1::uuid is null or project_id > $1
        order by project_id limit $2
        """,
        after,
        limit,
    )
    return [
        ProjectSettings(project_id=str(row["project_id"]), retention_days=row["retention_days"], deleted_at_us=row["deleted_at_us"])
        for row in rows
    ]
