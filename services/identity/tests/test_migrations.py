"""The migration of identity's database."""

import asyncio

import asyncpg

from ams_identity.migrations import HEAD
from ams_identity.migrations.run import migrate, revision_of


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
