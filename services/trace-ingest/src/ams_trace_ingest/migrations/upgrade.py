"""Bring the traces database up to date, one process at a time."""

from functools import partial
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

ADVISORY_LOCK = 7_232_001  # any number that no other migration of the platform uses


async def upgrade(url: str) -> None:
    """Run what is missing in one transaction, under an advisory lock that every migrating process takes.

    Args:
        url: ``postgresql://...`` of a role that owns the database and may create roles (or finds ams_writer and ams_reader there).
    """
    # asyncpg reads the URL itself: SQLAlchemy does not know several hosts, sslmode and target_session_attrs
    engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(asyncpg.connect, url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
