"""Table ``api_keys``. The secret is stored as its SHA-256: it has 190 random bits, so a slow hash would add nothing."""

import hashlib
from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_contracts.claims import Scope
from ams_identity.store import Executor
from ams_kit.auth.api_keys import ID_CHARS

KEY_ID_PATTERN = rf"[0-9A-Za-z]{{{ID_CHARS}}}"
LAST_USED_STEP = "1 minute"  # people read last_used_at, so one write per key and minute is enough


class RevokedKey(Struct, frozen=True):
    """A key that was revoked, and its project."""

    project_id: str
    key_id: str


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key of a project.

    Attributes:
        created_by: The account that it belongs to: the person who created it, or a service account; ``None``: an operator, on the command line.
        has_holder: The project has an active owner, and the account that the key belongs to is an active member of it.
        addresses: Networks from which it may be used; ``None``: from everywhere.
        last_used_address: The address of the last use.
        last_used_program: The ``User-Agent`` of the last use, such as the version of the SDK.
        replaced_by: The key that a rotation made in its place; it expires soon.
        masking: Whether intake masks secrets of the project; read with ``by_id``.
    """

    project_id: str
    key_id: str
    name: str
    secret_hash: bytes
    scopes: list[Scope]
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    has_holder: bool = True
    masking: bool = True
    addresses: list[str] | None = None
    last_used_address: str | None = None
    last_used_program: str | None = None
    replaced_by: str | None = None


def secret_hash(secret: str) -> bytes:
    """What is stored of a key's secret."""
    return hashlib.sha256(secret.encode()).digest()


def is_usable(key: ApiKey, at: datetime) -> bool:
    """Whether a key is neither revoked nor expired at a time, and its people still have access."""
    return key.has_holder and key.revoked_at is None and (key.expires_at is None or at < key.expires_at)


_HAS_OWNER = """
exists (select from members m join users u on u.id = m.user_id where m.project_id = k.project_id and m.role = 'owner' and u.disabled_at is null)
"""
_HAS_HOLDER = f"""
{_HAS_OWNER} and (k.created_by is null or exists (
    select from members m join users u on u.id = m.user_id where m.project_id = k.project_id and m.user_id = k.created_by and u.disabled_at is null
))
"""
_MASKING = "(select p.masking from projects p where p.project_id = k.project_id)"
_COLUMNS = """project_id, key_id, name, secret_hash, scopes, created_by, created_at, expires_at, last_used_at, revoked_at,
    addresses, host(last_used_address) as last_used_address, last_used_program, replaced_by"""


def _key(row: Any) -> ApiKey:
    created_by = row["created_by"]
    values: dict[str, Any] = {
        **dict(row),
        "project_id": str(row["project_id"]),
        "created_by": str(created_by) if created_by else None,
        "scopes": [Scope(s) for s in row["scopes"]],
    }
    return ApiKey(**values)


async def insert(database: Executor, key: ApiKey) -> None:
    """Add a key."""
    await database.execute(
        """
        insert into api_keys (project_id, key_id, name, secret_hash, scopes, created_by, created_at, expires_at, addresses)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        key.project_id,
        key.key_id,
        key.name,
        key.secret_hash,
        [scope.value for scope in key.scopes],
        key.created_by,
        key.created_at,
        key.expires_at,
        key.addresses,
    )


async def by_id(database: Executor, key_id: str) -> ApiKey | None:
    """A key by its id, in any project: the key determines the project."""
    row = await database.fetchrow(
        f"select {_COLUMNS}, {_HAS_HOLDER} as has_holder, {_MASKING} as masking from api_keys k where key_id = $1", key_id
    )
    return None if row is None else _key(row)


async def of_project(database: Executor, project_id: str, *, after: str | None, limit: int) -> list[ApiKey]:
    """The keys of a project that are not revoked, in the order of their ids."""
    sql = f"select {_COLUMNS} from api_keys where project_id = $1 and revoked_at is null and ($2::text is null or key_id > $2) order by key_id limit $3"
    return [_key(row) for row in await database.fetch(sql, project_id, after, limit)]


async def count(database: Executor, project_id: str, at: datetime) -> tuple[int, int]:
    """How many keys of a project are neither revoked nor expired at a time: those that no other key replaces, and all."""
    sql = """
        select count(*) filter (where replaced_by is null), count(*) from api_keys
        where project_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
    """
    [row] = await database.fetch(sql, project_id, at)
    return row[0], row[1]


async def touch(database: Executor, key: ApiKey, at: datetime, *, address: str | None, program: str | None) -> None:
    """Record the last use of a key, to the minute, with the address and the program of that use."""
    sql = f"""
        update api_keys set last_used_at = $3, last_used_address = $4, last_used_program = $5
        where project_id = $1 and key_id = $2 and (last_used_at is null or last_used_at < $3::timestamptz - interval '{LAST_USED_STEP}')
    """
    await database.execute(sql, key.project_id, key.key_id, at, address, program)


async def lock(database: Executor, project_id: str, key_id: str) -> ApiKey | None:
    """Lock a key of a project that is not revoked; ``None`` when there is none."""
    sql = f"select {_COLUMNS} from api_keys where project_id = $1 and key_id = $2 and revoked_at is null for update"
    row = await database.fetchrow(sql, project_id, key_id)
    return None if row is None else _key(row)


async def replace(database: Executor, key: ApiKey, *, by: str, expires_at: datetime) -> None:
    """Let a key expire at a time because another one was made in its place."""
    sql = "update api_keys set replaced_by = $3, expires_at = $4 where project_id = $1 and key_id = $2"
    await database.execute(sql, key.project_id, key.key_id, by, expires_at)


async def update(database: Executor, key: ApiKey, *, name: str, addresses: list[str] | None) -> None:
    """Change what a person may change of a key."""
    sql = "update api_keys set name = $3, addresses = $4 where project_id = $1 and key_id = $2"
    await database.execute(sql, key.project_id, key.key_id, name, addresses)


async def revoke(database: Executor, project_id: str, key_id: str, at: datetime) -> bool:
    """Revoke a key. False when the project has no such key, or it is revoked already."""
    sql = "update api_keys set revoked_at = $3 where project_id = $1 and key_id = $2 and revoked_at is null returning 1"
    return await database.fetchval(sql, project_id, key_id, at) is not None


async def revoke_all(database: Executor, project_id: str, at: datetime) -> None:
    """Revoke every key of a project."""
    await database.execute("update api_keys set revoked_at = $2 where project_id = $1 and revoked_at is null", project_id, at)


async def revoke_of_member(database: Executor, project_id: str, user_id: str, at: datetime) -> list[RevokedKey]:
    """Revoke the keys that a person created in a project."""
    sql = """
        update api_keys set revoked_at = $3 where project_id = $1 and created_by = $2 and revoked_at is null
        returning project_id::text, key_id
    """
    return [RevokedKey(*row) for row in await database.fetch(sql, project_id, user_id, at)]


async def revoke_of_account(database: Executor, user_id: str, at: datetime) -> list[RevokedKey]:
    """Revoke the keys that a disabled account created, and all keys of its projects without another active owner."""
    sql = f"""
        update api_keys k set revoked_at = $2
        where k.revoked_at is null and (
            k.created_by = $1 or k.project_id in (select project_id from members where user_id = $1 and role = 'owner') and not {_HAS_OWNER}
        )
        returning k.project_id::text, k.key_id
    """
    return [RevokedKey(*row) for row in await database.fetch(sql, user_id, at)]
