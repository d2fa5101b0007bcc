"""Table ``signing_keys``: encrypted private keys, and their public keys in clear.

A key is *next* (``signs_from`` is null): published so that every service knows it before it signs; *current*; or *previous* (``signs_until`` is set): its tokens are still accepted.
"""

from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from ams_identity.store import Executor

LOCK = 0x616D735F6B79  # "ams_ky": processes that start or rotate at the same time do so one after the other
PUBLISHED_MAX = 60


class WrappedKey(Struct, frozen=True, kw_only=True):
    """A signing key in its stored form.

    Attributes:
        nonce: Of the encryption; ``None`` when the private key was deleted.
        wrapped_key: The private key, encrypted; ``None`` when it was deleted.
        signs_from: From when it signs; ``None``: it is the next one.
        signs_until: Until when it signed; ``None``: it is not replaced.
    """

    kid: str
    public_key: bytes
    nonce: bytes | None
    wrapped_key: bytes | None
    created_at: datetime
    signs_from: datetime | None
    signs_until: datetime | None = None


_COLUMNS = "kid, public_key, nonce, wrapped_key, created_at, signs_from, signs_until"


def decrypts(key: WrappedKey, wrapping_key: bytes) -> bool:
    """Whether a key encrypted this one."""
    if key.nonce is None or key.wrapped_key is None:
        return False
    try:
        AESGCM(wrapping_key).decrypt(key.nonce, key.wrapped_key, key.kid.encode())
    except InvalidTag:
        return False
    return True


async def lock(database: Executor) -> None:
    """Wait until no other process is creating or rotating keys."""
    await database.execute("select pg_advisory_xact_lock($1)", LOCK)


async def insert(database: Executor, key: WrappedKey) -> None:
    """Add a key."""
    sql = "insert into signing_keys (kid, public_key, nonce, wrapped_key, created_at, signs_from) values ($1, $2, $3, $4, $5, $6)"
    await database.execute(sql, key.kid, key.public_key, key.nonce, key.wrapped_key, key.created_at, key.signs_from)


async def published(database: Executor) -> list[WrappedKey]:
    """Keys whose tokens are accepted, and the next one; the one that signs last comes first."""
    sql = (
        f"select {_COLUMNS} from signing_keys where retired_at is null order by signs_from desc nulls first, kid limit {PUBLISHED_MAX + 4}"
    )
    return [WrappedKey(**dict(row)) for row in await database.fetch(sql)]


async def newest(database: Executor) -> WrappedKey | None:
    """The newest key that can still sign."""
    sql = f"select {_COLUMNS} from signing_keys where retired_at is null and wrapped_key is not null order by created_at desc, kid limit 1"
    row = await database.fetchrow(sql)
    return None if row is None else WrappedKey(**dict(row))


async def replace(database: Executor, next_kid: str, at: datetime) -> None:
    """Let the next key sign from a time on, and the current one until then."""
    await database.execute("update signing_keys set signs_until = $1 where signs_from is not null and signs_until is null", at)
    await database.execute("update signing_keys set signs_from = $2 where kid = $1", next_kid, at)


async def retire(database: Executor, *, private_before: datetime, public_before: datetime, at: datetime) -> None:
    """Delete the private keys that were replaced before a time, and withdraw the public keys that were replaced before another."""
    await database.execute(
        "update signing_keys set wrapped_key = null, nonce = null where signs_until < $1 and wrapped_key is not null", private_before
    )
    await database.execute("update signing_keys set retired_at = $2 where signs_until < $1 and retired_at is null", public_before, at)
