"""Table ``members``: the roles of users in projects. ``by_hand`` is the role that people gave; the groups of an OpenID provider can give a higher one."""

from datetime import datetime

from msgspec import Struct

from ams_contracts.claims import Role
from ams_identity.store import Executor
from ams_identity.store.identities import proves_factor
from ams_identity.store.users import Kind


class Member(Struct, frozen=True, kw_only=True):
    """A user in a project. ``kind``: ``service`` for the account of a program."""

    user_id: str
    username: str
    role: Role
    created_at: datetime
    kind: Kind = "person"


async def insert(database: Executor, project_id: str, user_id: str, role: Role, at: datetime) -> bool:
    """Add a member by hand. False when the user is a member already."""
    sql = "insert into members (project_id, user_id, role, by_hand, created_at) values ($1, $2, $3, $3, $4) on conflict do nothing returning 1"
    return await database.fetchval(sql, project_id, user_id, role.value, at) is not None


async def role_of(database: Executor, project_id: str, user_id: str) -> Role | None:
    """The role of an active account in a project; ``None`` when it is not a member."""
    role = await database.fetchval(
        """
        select m.role from members m join users u on u.id = m.user_id join projects p using (project_id)
        where m.project_id = $1 and m.user_id = $2 and u.disabled_at is null and p.deleted_at is null
        """,
        project_id,
        user_id,
    )
    return None if role is None else Role(role)


class MemberAccess(Struct, frozen=True, kw_only=True):
    """What decides about the access of a member.

    Attributes:
        role: In the project.
        lacks_factor: Whether the project requires a second factor that the account does not have.
        masking: Whether intake masks secrets of the project.
    """

    role: Role
    lacks_factor: bool
    masking: bool


async def access_of(database: Executor, project_id: str, user_id: str, *, password_login: bool) -> MemberAccess | None:
    """The access of an active account to a project; ``None`` when it is not a member."""
    row = await database.fetchrow(
        f"""
        select m.role, p.second_factor_required
            and not exists (select from totp_factors f where f.user_id = m.user_id and f.confirmed_at is not null)
            and not exists (select from passkeys k where k.user_id = m.user_id)
            and not ({proves_factor("$3")}) as lacks_factor, p.masking
        from members m join users u on u.id = m.user_id join projects p using (project_id)
        where m.project_id = $1 and m.user_id = $2 and u.disabled_at is null and p.deleted_at is null
        """,
        project_id,
        user_id,
        password_login,
    )
    return None if row is None else MemberAccess(role=Role(row["role"]), lacks_factor=row["lacks_factor"], masking=row["masking"])


async def of_project(database: Executor, project_id: str, *, after: str | None, limit: int) -> list[Member]:
    """A project's members, in the order in which their accounts were created."""
    rows = await database.fetch(
        """
        select m.user_id, coalesce(u.service_name, u.username) as username, m.role, m.created_at, u.kind
        from members m join users u on u.id = m.user_id
        where m.project_id = $1 and ($2::uuid is null or m.user_id > $2)
        order by m.user_id limit $3
        """,
        project_id,
        after,
        limit,
    )
    return [
        Member(
            user_id=str(row["user_id"]), username=row["username"], role=Role(row["role"]), created_at=row["created_at"], kind=row["kind"]
        )
        for row in rows
    ]


async def owners(database: Executor, project_id: str) -> int:
    """How many owners a project has."""
    return int(await database.fetchval("select count(*) from members where project_id = $1 and role = 'owner'", project_id) or 0)


async def count(database: Executor, project_id: str) -> int:
    """How many members a project has."""
    return int(await database.fetchval("select count(*) from members where project_id = $1", project_id) or 0)


async def people(database: Executor, project_id: str) -> int:
    """How many members are no service accounts."""
    sql = "select count(*) from members m join users u on u.id = m.user_id where m.project_id = $1 and u.kind <> 'service'"
    return int(await database.fetchval(sql, project_id) or 0)


async def service_accounts(database: Executor, project_id: str) -> list[str]:
    """The ids of a project's service accounts."""
    sql = "select m.user_id from members m join users u on u.id = m.user_id where m.project_id = $1 and u.kind = 'service'"
    return [str(row["user_id"]) for row in await database.fetch(sql, project_id)]


async def set_role(database: Executor, project_id: str, user_id: str, role: Role) -> None:
    """Change the role of a member by hand."""
    sql = "update members set role = $3, by_hand = $3 where project_id = $1 and user_id = $2"
    await database.execute(sql, project_id, user_id, role.value)


async def roles_of(database: Executor, project_id: str, user_id: str) -> tuple[Role | None, Role | None]:
    """The role of a user in a project, and the one that people gave; ``None`` for none."""
    row = await database.fetchrow("select role, by_hand from members where project_id = $1 and user_id = $2", project_id, user_id)
    return (None, None) if row is None else (Role(row["role"]), None if row["by_hand"] is None else Role(row["by_hand"]))


async def put_by_group(database: Executor, project_id: str, user_id: str, role: Role, at: datetime) -> None:
    """Add a member, or change the role, because of a group, in a transaction. A trigger takes other changes that leave ``by_hand`` out as made by people."""
    await database.execute("select set_config('ams.by_group', 'on', true)")
    sql = """
        insert into members (project_id, user_id, role, created_at) values ($1, $2, $3, $4)
        on conflict (project_id, user_id) do update set role = excluded.role
    """
    await database.execute(sql, project_id, user_id, role.value, at)
    await database.execute("select set_config('ams.by_group', '', true)")


async def delete(database: Executor, project_id: str, user_id: str) -> None:
    """Remove a member."""
    await database.execute("delete from members where project_id = $1 and user_id = $2", project_id, user_id)


async def delete_all(database: Executor, project_id: str) -> None:
    """Remove every member of a project."""
    await database.execute("delete from members where project_id = $1", project_id)
