"""Table ``root_secret``: one row, encrypted."""

from datetime import datetime

from msgspec import Struct

from ams_identity.store import Executor

LOCK = 0x616D735F7273  # "ams_rs": processes that start at the same time create or rewrap it once


class WrappedSecret(Struct, frozen=True):
    """The root secret in its stored form."""

    nonce: bytes
    wrapped: bytes


async def lock(database: Executor) -> None:
    """Wait until no other process creates or rewraps the secret."""
    await database.execute("select pg_advisory_xact_lock($1)", LOCK)


async def read(database: Executor) -> WrappedSecret | None:
    """The secret; ``None`` before the first start."""
    row = await database.fetchrow("select nonce, wrapped from root_secret")
    return None if row is None else WrappedSecret(row["nonce"], row["wrapped"])


async def write(database: Executor, secret: WrappedSecret, at: datetime) -> None:
    """Store the secret, or store it under another key."""
    await database.execute(
        """
        insert into root_secret (nonce, wrapped, created_at, wrapped_at) values ($1, $2, $3, $3)
        on conflict (id) do update set nonce = excluded.nonce, wrapped = excluded.wrapped, wrapped_at = excluded.wrapped_at
        """,
        secret.nonce,
        secret.wrapped,
        at,
    )
