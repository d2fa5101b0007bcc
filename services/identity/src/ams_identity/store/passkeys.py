"""Table ``passkeys``: the public keys of passkeys."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor


class Passkey(Struct, frozen=True, kw_only=True):
    """A passkey. ``credential_id`` is what authenticators know it by; ``sign_count`` stays 0 for those without a counter."""

    user_id: str
    passkey_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]
    name: str
    created_at: datetime
    last_used_at: datetime | None = None


_COLUMNS = "user_id::text, passkey_id::text, credential_id, public_key, sign_count, transports, name, created_at, last_used_at"


def _passkey(row: Any) -> Passkey:
    return Passkey(**dict(row))


async def insert(database: Executor, item: Passkey) -> bool:
    """Add a passkey. False when it is known already."""
    sql = """
        insert into passkeys (user_id, passkey_id, credential_id, public_key, sign_count, transports, name, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning 1
    """
    values = (
        item.user_id,
        item.passkey_id,
        item.credential_id,
        item.public_key,
        item.sign_count,
        item.transports,
        item.name,
        item.created_at,
    )
    return await database.fetchval(sql, *values) is not None


async def of_user(database: Executor, user_id: str, limit: int) -> list[Passkey]:
    """The passkeys of an account, oldest first."""
    sql = f"select {_COLUMNS} from passkeys where user_id = $1 order by passkey_id limit $2"
    return [_passkey(row) for row in await database.fetch(sql, user_id, limit)]


async def by_credential(database: Executor, credential_id: bytes) -> Passkey | None:
    """A passkey by the id that authenticators know it by."""
    row = await database.fetchrow(f"select {_COLUMNS} from passkeys where credential_id = $1", credential_id)
    return None if row is None else _passkey(row)


async def use(database: Executor, item: Passkey, sign_count: int, at: datetime) -> bool:
    """Record a use and the new counter. False when the passkey was removed, or another request used it at the same time."""
    sql = """
        update passkeys set sign_count = $3, last_used_at = $4
        where user_id = $1 and passkey_id = $2 and sign_count = $5 returning 1
    """
    return await database.fetchval(sql, item.user_id, item.passkey_id, sign_count, at, item.sign_count) is not None


async def rename(database: Executor, user_id: str, passkey_id: str, name: str) -> bool:
    """Rename a passkey. False when the account has none with this id."""
    sql = "update passkeys set name = $3 where user_id = $1 and passkey_id = $2 returning 1"
    return await database.fetchval(sql, user_id, passkey_id, name) is not None


async def delete(database: Executor, user_id: str, passkey_id: str) -> bool:
    """Remove a passkey. False when the account has none with this id."""
    sql = "delete from passkeys where user_id = $1 and passkey_id = $2 returning 1"
    return await database.fetchval(sql, user_id, passkey_id) is not None
