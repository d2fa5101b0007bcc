"""Tables ``totp_factors`` and ``recovery_codes``: second factors of accounts. Secrets are encrypted, codes are stored as SHA-256."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from ams_identity.store import Executor


class Totp(Struct, frozen=True, kw_only=True):
    """The authenticator app of an account. ``confirmed_at``: ``None`` until a first code proved that the app has the secret; it is no factor before."""

    sealed_secret: bytes
    created_at: datetime
    confirmed_at: datetime | None
    last_step: int


async def totp_of(database: Executor, user_id: str) -> Totp | None:
    """The authenticator app of an account, confirmed or not."""
    row = await database.fetchrow("select sealed_secret, created_at, confirmed_at, last_step from totp_factors where user_id = $1", user_id)
    return None if row is None else Totp(**dict(row))


async def put_totp(database: Executor, user_id: str, sealed_secret: bytes, at: datetime) -> bool:
    """Begin an enrolment; it replaces one that was not confirmed. False when the account has a confirmed app."""
    sql = """
        insert into totp_factors as f (user_id, sealed_secret, created_at) values ($1, $2, $3)
        on conflict (user_id) do update set sealed_secret = excluded.sealed_secret, created_at = excluded.created_at, last_step = 0
        where f.confirmed_at is null returning 1
    """
    return await database.fetchval(sql, user_id, sealed_secret, at) is not None


async def confirm_totp(database: Executor, user_id: str, sealed_secret: bytes, step: int, at: datetime) -> bool:
    """Make an app a factor. False when another request confirmed or replaced it."""
    sql = """
        update totp_factors set confirmed_at = $4, last_step = $3
        where user_id = $1 and sealed_secret = $2 and confirmed_at is null returning 1
    """
    return await database.fetchval(sql, user_id, sealed_secret, step, at) is not None


async def use_step(database: Executor, user_id: str, step: int) -> bool:
    """Use up the code of a time step. False when it, or a later one, was used already."""
    sql = "update totp_factors set last_step = $2 where user_id = $1 and last_step < $2 and confirmed_at is not null returning 1"
    return await database.fetchval(sql, user_id, step) is not None


async def delete_totp(database: Executor, user_id: str) -> bool:
    """Remove the app of an account. False when it has no confirmed one."""
    return (
        await database.fetchval("delete from totp_factors where user_id = $1 and confirmed_at is not null returning 1", user_id) is not None
    )


async def replace_recovery_codes(database: Executor, user_id: str, hashes: Sequence[bytes], at: datetime) -> None:
    """Replace all recovery codes of an account; without hashes it has none."""
    await database.execute("delete from recovery_codes where user_id = $1", user_id)
    await database.executemany(
        "insert into recovery_codes (user_id, code_hash, created_at) values ($1, $2, $3)", [(user_id, item, at) for item in hashes]
    )


async def use_recovery_code(database: Executor, user_id: str, code_hash: bytes, at: datetime) -> bool:
    """Use up a recovery code. False when there is none, or it was used already."""
    sql = "update recovery_codes set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null returning 1"
    return await database.fetchval(sql, user_id, code_hash, at) is not None


async def recovery_codes_left(database: Executor, user_id: str) -> int:
    """How many recovery codes were not used yet."""
    return int(await database.fetchval("select count(*) from recovery_codes where user_id = $1 and used_at is null", user_id) or 0)


async def has_any(database: Executor, user_id: str) -> bool:
    """Whether an account has a second factor: a confirmed app or a passkey."""
    sql = """
        select exists (select from totp_factors where user_id = $1 and confirmed_at is not null)
            or exists (select from passkeys where user_id = $1)
    """
    return bool(await database.fetchval(sql, user_id))


async def delete_all(database: Executor, user_id: str) -> bool:
    """Remove every factor of an account, and its recovery codes. False when it had none."""
    had = await has_any(database, user_id)
    for table in ("totp_factors", "recovery_codes", "passkeys"):
        await database.execute(f"delete from {table} where user_id = $1", user_id)
    return had


async def spend(database: Executor, digest: bytes, expires_at: datetime) -> bool:
    """Use up a challenge. False when it was answered before."""
    sql = "insert into spent_challenges (challenge_hash, expires_at) values ($1, $2) on conflict do nothing returning 1"
    return await database.fetchval(sql, digest, expires_at) is not None


async def delete_expired(database: Executor, before: datetime) -> None:
    """Delete answered challenges that are over, and enrolments that nobody confirmed."""
    await database.execute("delete from spent_challenges where expires_at < $1", before)
    await database.execute("delete from totp_factors where confirmed_at is null and created_at < $1", before)
