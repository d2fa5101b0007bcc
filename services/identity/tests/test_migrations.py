"""The migration of identity's database."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from ams_contracts.claims import Role
from ams_identity.migrations import HEAD
from ams_identity.migrations.run import migrate, revision_of
from ams_identity.store import members


async def test_the_address_of_the_database_may_carry_parameters_of_postgres(empty_database_url: str) -> None:
    url = f"{empty_database_url}{'&' if '?' in empty_database_url else '?'}sslmode=prefer&target_session_attrs=read-write"

    await asyncio.to_thread(migrate, url)

    assert await revision_of(url) == HEAD


async def test_a_database_of_a_later_release_stays_as_it_is(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute("create table alembic_version (version_num text); insert into alembic_version values ('9999')")

        await asyncio.to_thread(migrate, empty_database_url)

        assert await revision_of(empty_database_url) == "9999"
        assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 1
    finally:
        await connection.close()


async def test_a_service_of_the_previous_release_changes_roles_by_hand(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    user, project, at = str(uuid4()), str(uuid4()), datetime.now(UTC)
    try:
        await connection.execute(
            "set session_replication_role = replica; alter table members enable always trigger members_by_hand"
        )  # no user, no project
        await connection.execute(
            "insert into members (project_id, user_id, role, created_at) values ($1, $2, 'member', $3)", project, user, at
        )
        assert await members.roles_of(connection, project, user) == (Role.MEMBER, Role.MEMBER)

        async with connection.transaction():
            await members.put_by_group(connection, project, user, Role.OWNER, at)
            assert await members.roles_of(connection, project, user) == (Role.OWNER, Role.MEMBER)
            await connection.execute("update members set role = 'viewer' where user_id = $1", user)
            assert await members.roles_of(connection, project, user) == (Role.VIEWER, Role.VIEWER)
            await members.delete(connection, project, user)
            await members.put_by_group(connection, project, user, Role.OWNER, at)
            assert await members.roles_of(connection, project, user) == (Role.OWNER, None)
        await connection.execute("update members set role = 'member' where user_id = $1", user)
        assert await members.roles_of(connection, project, user) == (Role.MEMBER, Role.MEMBER)
    finally:
        await connection.close()
