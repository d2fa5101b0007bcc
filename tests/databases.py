"""Databases that live as long as a fixture."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


@contextmanager
def temporary_database(admin_url: str, prefix: str) -> Iterator[str]:
    """An empty database of its own name; its URL, as the owner."""
    name = f"{prefix}_{secrets.token_hex(6)}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(admin_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f"CREATE DATABASE {name}"))
    yield f"{admin_url.rsplit('/', 1)[0]}/{name}"
    asyncio.run(execute(f"DROP DATABASE {name} WITH (FORCE)"))
