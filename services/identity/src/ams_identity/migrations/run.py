"""``ams-identity migrate``: migrates the database to the newest revision. A database that is current costs one connection."""

import asyncio
import importlib
from pathlib import Path

import asyncpg

from ams_identity.migrations import HEAD

CONNECT_SECONDS = 10
VERSIONS = Path(__file__).parent / "versions"
UPGRADE_MODULE = "ams_identity.migrations.upgrade"  # loads alembic and SQLAlchemy (0.5 s), which a start without anything to migrate avoids


async def revision_of(database_url: str) -> str | None:
    """The revision of a database, ``None`` for an empty one."""
    connection = await asyncpg.connect(database_url, timeout=CONNECT_SECONDS)
    try:
        if await connection.fetchval("select to_regclass('alembic_version')") is None:
            return None
        return await connection.fetchval("select version_num from alembic_version")
    finally:
        await connection.close()


def migrate(database_url: str) -> None:
    """Migrate a database to the newest revision. Several processes may call it at once; they wait for each other.

    A database that a later release has migrated stays as it is: this release runs on it (a rollback).

    Args:
        database_url: ``postgresql://...`` of a role that owns the database.
    """
    if (asyncio.run(revision_of(database_url)) or "") < HEAD:
        importlib.import_module(UPGRADE_MODULE).upgrade(database_url)
