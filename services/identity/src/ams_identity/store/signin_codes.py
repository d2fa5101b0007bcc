"""Table ``signin_codes``: codes that sign in once. Stored as SHA-256."""

from datetime import datetime

from ams_identity.store import Executor


async def insert(database: Executor, code_hash: bytes, user_id: str, at: datetime, expires_at: datetime) -> None:
    """Add a code."""
    await database.execute(
        "insert into signin_codes (code_hash, user_id, created_at, expires_at) values ($1, $2, $3, $4)", code_hash, user_id, at, expires_at
    )


async def use(database: Executor, code_hash: bytes, at: datetime) -> str | None:
    """Consume a code. Returns its user's id; ``None`` when it does not exist, has expired, or was used."""
    user_id = await database.fetchval(
        "update signin_codes set used_at = $2 where code_hash = $1 and used_at is null and expires_at > $2 returning user_id",
        code_hash,
        at,
    )
    return None if user_id is None else str(user_id)


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete codes that expired before a time."""
    await database.execute("delete from signin_codes where expires_at < $1", before)


async def delete_beyond(database: Executor, user_id: str, at: datetime, *, kept: int) -> None:
    """Delete the codes of an account that were used or have expired, and the oldest of the others beyond a number."""
    await database.execute(
        """
        delete from signin_codes where user_id = $1 and code_hash not in (
            select code_hash from signin_codes where user_id = $1 and used_at is null and expires_at > $2
            order by created_at desc, code_hash limit $3
        )
        """,
        user_id,
        at,
        kept,
    )
