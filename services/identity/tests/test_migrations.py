"""The migration of identity's database."""

import asyncio

from ams_identity.migrations import HEAD
from ams_identity.migrations.run import migrate, revision_of


async def test_the_address_of_the_database_may_carry_parameters_of_postgres(empty_database_url: str) -> None:
    url = f"{empty_database_url}{'&' if '?' in empty_database_url else '?'}sslmode=prefer&target_session_attrs=read-write"

    await asyncio.to_thread(migrate, url)

    assert await revision_of(url) == HEAD
