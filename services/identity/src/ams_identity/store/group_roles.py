"""Table ``group_roles``: the roles that the groups of OpenID providers gave at the last sign-in."""

from collections.abc import Mapping

from ams_contracts.claims import Role
from ams_identity.store import Executor


async def replace(database: Executor, user_id: str, issuer: str, roles: Mapping[str, Role]) -> set[str]:
    """Replace what a provider gives an account, by project. Returns the projects that it gave or gives a role in."""
    sql = "delete from group_roles where user_id = $1 and issuer = $2 returning project_id::text"
    before = {row["project_id"] for row in await database.fetch(sql, user_id, issuer)}
    await database.executemany(
        "insert into group_roles (user_id, issuer, project_id, role) select $1, $2, p.project_id, $4 from projects p where p.project_id = $3",
        [(user_id, issuer, project_id, role.value) for project_id, role in roles.items()],
    )
    return before | roles.keys()


async def of_project(database: Executor, user_id: str, project_id: str) -> list[Role]:
    """The roles that all providers give an account in a project."""
    sql = "select role from group_roles where user_id = $1 and project_id = $2"
    return [Role(row["role"]) for row in await database.fetch(sql, user_id, project_id)]
