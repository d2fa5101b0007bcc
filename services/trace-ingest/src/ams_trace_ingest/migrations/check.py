"""Checks whether the database is up to date, without alembic or SQLAlchemy, which take longer to import than to run."""

from pathlib import Path

import asyncpg

VERSIONS = Path(__file__).parent / "versions"


def head() -> str:
    """The newest revision: versions are numbered files in one line (``0001_name.py``)."""
    return max(path.name for path in VERSIONS.glob("[0-9]*.py")).split("_")[0]


async def stored_revision(url: str) -> str | None:
    """The revision of a database; null when it has never been migrated."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        if await connection.fetchval("SELECT to_regclass('public.trace_ingest_version')") is None:
            return None
        return await connection.fetchval("SELECT version_num FROM public.trace_ingest_version")
    finally:
        await connection.close()
