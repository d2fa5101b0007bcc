"""Table ``signing_keys``: encrypted private keys, and their public keys in clear."""

from datetime import datetime

from msgspec import Struct

from ams_identity.store import Executor

LOCK = 0x616D735F6B79  # "ams_ky": processes that start at the same time create one first key


class WrappedKey(Struct, frozen=True, kw_only=True):
    """A signing key in its stored form."""

    kid: str
    public_key: bytes
    nonce: bytes
    wrapped_key: bytes
    created_at: datetime


async def lock(database: Executor) -> None:
    """Wait until no other process is creating the first key."""
    await database.execute("select pg_advisory_xact_lock($1)", LOCK)


async def insert(database: Executor, key: WrappedKey) -> None:
    """Add a key."""
    sql = "insert into signing_keys (kid, public_key, nonce, wrapped_key, created_at) values ($1, $2, $3, $4, $5)"
    await database.execute(sql, key.kid, key.public_key, key.nonce, key.wrapped_key, key.created_at)


async def current(database: Executor) -> list[WrappedKey]:
    """Keys whose tokens are accepted, newest first. The first one signs."""
    rows = await database.fetch(
        "select kid, public_key, nonce, wrapped_key, created_at from signing_keys where retired_at is null order by created_at desc, kid limit 10"
    )
    return [WrappedKey(**dict(row)) for row in rows]
