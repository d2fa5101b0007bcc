"""Table ``password_resets``: links that replace a forgotten password. Stored as SHA-256, at most one per account."""

from datetime import datetime

from ams_identity.store import Executor


async def put(database: Executor, *, user_id: str, token_hash: bytes, created_by: str, at: datetime, expires_at: datetime) -> None:
    """Add the link of an account. It replaces an earlier one, which is void from here on."""
    await database.execute(
        """
        insert into password_resets (user_id, token_hash, created_by, created_at, expires_at) values ($1, $2, $3, $4, $5)
        on conflict (user_id) do update
        set token_hash = excluded.token_hash, created_by = excluded.created_by, created_at = excluded.created_at, expires_at = excluded.expires_at
        """,
        user_id,
        token_hash,
        created_by,
        at,
        expires_at,
    )


async def find(database: Executor, token_hash: bytes, at: datetime) -> tuple[str, str] | None:
    """The accounts that a link is for and from. ``None`` when it was used or replaced, has expired, or one of the two accounts is disabled."""
    row = await database.fetchrow(
        """
        select r.user_id::text, r.created_by::text from password_resets r join users u on u.id = r.user_id join users c on c.id = r.created_by
        where r.token_hash = $1 and r.expires_at > $2 and u.disabled_at is null and c.disabled_at is null
        """,
        token_hash,
        at,
    )
    return None if row is None else (row["user_id"], row["created_by"])


async def take(database: Executor, user_id: str, token_hash: bytes, at: datetime) -> bool:
    """Use up a link. False when another request was faster, or it has expired."""
    sql = "delete from password_resets where user_id = $1 and token_hash = $2 and expires_at > $3 returning 1"
    return await database.fetchval(sql, user_id, token_hash, at) is not None


async def void(database: Executor, user_id: str) -> None:
    """Void the link of an account."""
    await database.execute("delete from password_resets where user_id = $1", user_id)


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete links that expired before a time."""
    await database.execute("delete from password_resets where expires_at < $1", before)
