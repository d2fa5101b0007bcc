"""Table ``sessions``: one row per sign-in. A refresh token is derived from salt and generation, so none is stored."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor


class Session(Struct, frozen=True, kw_only=True):
    """A sign-in.

    Attributes:
        generation: Counts its refresh tokens; only the newest one is valid.
        proved_at: When the person last proved who they are; ``None`` for sessions from before this was stored.
        identity_id: The identity at a provider by which it began; ``None`` for other ways to sign in.
    """

    session_id: str
    user_id: str
    salt: bytes
    generation: int
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    address: str | None = None
    user_agent: str | None = None
    proved_at: datetime | None = None
    identity_id: str | None = None


_COLUMNS = (
    "session_id, user_id, salt, generation, created_at, rotated_at, expires_at, ended_at, host(address) as address, user_agent, proved_at, "
    "identity_id::text"
)


def _session(row: Any) -> Session | None:
    if row is None:
        return None
    values: dict[str, Any] = {**dict(row), "session_id": str(row["session_id"]), "user_id": str(row["user_id"])}
    return Session(**values)


async def insert(database: Executor, session: Session) -> None:
    """Add a session."""
    await database.execute(
        """
        insert into sessions (session_id, user_id, salt, generation, created_at, rotated_at, expires_at, address, user_agent, proved_at, identity_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        session.session_id,
        session.user_id,
        session.salt,
        session.generation,
        session.created_at,
        session.rotated_at,
        session.expires_at,
        session.address,
        session.user_agent,
        session.proved_at,
        session.identity_id,
    )


async def lock(database: Executor, session_id: str) -> Session | None:
    """Read and lock a session until the transaction ends."""
    return _session(await database.fetchrow(f"select {_COLUMNS} from sessions where session_id = $1 for update", session_id))


async def rotate(
    database: Executor,
    session_id: str,
    generation: int,
    *,
    at: datetime,
    expires_at: datetime,
    address: str | None,
    user_agent: str | None,
) -> None:
    """Replace the refresh token by the one of this generation, and record the client."""
    await database.execute(
        "update sessions set generation = $2, rotated_at = $3, expires_at = $4, address = $5, user_agent = $6 where session_id = $1",
        session_id,
        generation,
        at,
        expires_at,
        address,
        user_agent,
    )


async def proved_at(database: Executor, session_id: str) -> datetime | None:
    """When the person of a session last proved who they are."""
    return await database.fetchval("select proved_at from sessions where session_id = $1", session_id)


async def set_proved(database: Executor, session_id: str, at: datetime) -> None:
    """Record that the person of a session proved who they are."""
    await database.execute("update sessions set proved_at = $2 where session_id = $1", session_id, at)


async def active(database: Executor, user_id: str, at: datetime, limit: int) -> list[Session]:
    """The active sessions of an account, the last used first."""
    sql = f"""
        select {_COLUMNS} from sessions where user_id = $1 and ended_at is null and expires_at > $2
        order by rotated_at desc, session_id limit $3
    """
    return [found for row in await database.fetch(sql, user_id, at, limit) if (found := _session(row)) is not None]


async def least_used(database: Executor, user_id: str, at: datetime, *, kept: int) -> list[str]:
    """The ids of an account's active sessions beyond a number, those that were not used for the longest time. Locks them."""
    sql = """
        select session_id from sessions where user_id = $1 and ended_at is null and expires_at > $2
        order by rotated_at desc, session_id offset $3 for update
    """
    return [str(row["session_id"]) for row in await database.fetch(sql, user_id, at, kept)]


async def lock_active(database: Executor, user_id: str, *, keep: str | None) -> list[str]:
    """Lock an account's sessions that have not ended, except one if given. Returns their ids; the limit of an account bounds them."""
    sql = """
        select session_id from sessions where user_id = $1 and ended_at is null and ($2::uuid is null or session_id <> $2)
        order by session_id for update
    """
    return [str(row["session_id"]) for row in await database.fetch(sql, user_id, keep)]


async def end(database: Executor, session_id: str, at: datetime, reason: str) -> bool:
    """End a session. False when it has ended already."""
    sql = "update sessions set ended_at = $2, end_reason = $3 where session_id = $1 and ended_at is null returning 1"
    return await database.fetchval(sql, session_id, at, reason) is not None


async def end_all(database: Executor, user_id: str, at: datetime, reason: str, *, keep: str | None = None) -> list[str]:
    """End a user's sessions, except one if given. Returns their ids."""
    rows = await database.fetch(
        """
        update sessions set ended_at = $2, end_reason = $3
        where user_id = $1 and ended_at is null and ($4::uuid is null or session_id <> $4)
        returning session_id
        """,
        user_id,
        at,
        reason,
        keep,
    )
    return [str(row["session_id"]) for row in rows]


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete sessions that expired before a time."""
    await database.execute("delete from sessions where expires_at < $1", before)
