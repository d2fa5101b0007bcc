"""Table ``users``. Usernames and email addresses are unique in their canonical forms. A trigger maintains ``updated_at``."""

from datetime import datetime
from typing import Any, Literal

import asyncpg
from msgspec import Struct

from ams_identity.store import Executor

Kind = Literal["person", "machine", "service"]
FIRST_LOCK = 0x616D735F6669  # "ams_fi"
ADMINISTRATORS_LOCKED = 100  # enough to see another one
MACHINE_PREFIX = "~"
"""Prefix of a machine account's username when a person has its plain name. Registration rejects usernames with this prefix."""


class User(Struct, frozen=True, kw_only=True):
    """An account.

    Attributes:
        username_key: The canonical form of the username (``validation.username_key``); unique.
        email_key: The canonical form of the email address (``validation.email_key``); unique.
        password_hash: ``None`` for an account that signs in by code only.
        updated_at: When a column of the row last changed.
        disabled_at: ``None`` while the account is active.
        administrator: Whether it is the first person who registered, or was made an administrator. ``accounts.is_administrator`` decides.
        deleted_at: When it was deleted; the row stays without personal data.
        email_verified_at: When a link that was sent to the address was opened; ``None`` for an address that was not verified.
        service_name: The name of a service account, which another project's may have too; its username is made of its id. ``None`` for all others.
        kind: ``person``; ``machine``: an operator's command created it; ``service``: a program's, in one project. The latter two cannot be registered, and have no password.
    """

    user_id: str
    username: str
    username_key: str
    email: str
    email_key: str
    password_hash: str | None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None
    kind: Kind = "person"
    administrator: bool = False
    deleted_at: datetime | None = None
    email_verified_at: datetime | None = None
    service_name: str | None = None

    @property
    def shown_name(self) -> str:
        """The name that people see."""
        return self.service_name or self.username


_COLUMNS = "id, username, username_key, email, email_key, password_hash, created_at, updated_at, disabled_at, kind, administrator, deleted_at, email_verified_at, service_name"


def _user(row: Any) -> User | None:
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    return User(user_id=str(values.pop("id")), **values)


async def insert(database: Executor, user: User) -> bool:
    """Add a user. False when the username or the email address is taken."""
    return (
        await database.fetchval(
            """
            insert into users (id, username, username_key, email, email_key, password_hash, created_at, updated_at, kind, administrator, service_name)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            on conflict do nothing
            returning 1
            """,
            user.user_id,
            user.username,
            user.username_key,
            user.email,
            user.email_key,
            user.password_hash,
            user.created_at,
            user.updated_at,
            user.kind,
            user.administrator,
            user.service_name,
        )
        is not None
    )


async def by_id(database: Executor, user_id: str) -> User | None:
    """An account by its id."""
    return _user(await database.fetchrow(f"select {_COLUMNS} from users where id = $1", user_id))


async def by_username(database: Executor, username_key: str) -> User | None:
    """An account by the canonical form of its username."""
    return _user(await database.fetchrow(f"select {_COLUMNS} from users where username_key = $1", username_key))


async def page(database: Executor, *, after: str | None, limit: int) -> list[User]:
    """Accounts that were not deleted, oldest first."""
    sql = f"select {_COLUMNS} from users where deleted_at is null and ($1::uuid is null or id > $1) order by id limit $2"
    return [user for row in await database.fetch(sql, after, limit) if (user := _user(row)) is not None]


async def any_person(database: Executor) -> bool:
    """Whether a person has ever registered."""
    return bool(await database.fetchval("select exists (select from users where kind = 'person')"))


async def lock_first(database: Executor) -> None:
    """Wait for other registrations of a first person, until the transaction ends."""
    await database.execute("select pg_advisory_xact_lock($1)", FIRST_LOCK)


async def machine(database: Executor, name_key: str) -> User | None:
    """The machine account of a name, by the lower-case form of the name."""
    sql = f"select {_COLUMNS} from users where kind = 'machine' and username_key in ($1, $2) order by username limit 1"
    return _user(await database.fetchrow(sql, name_key, MACHINE_PREFIX + name_key))


async def by_email(database: Executor, email_key: str) -> User | None:
    """An account by the canonical form of its email address."""
    return _user(await database.fetchrow(f"select {_COLUMNS} from users where email_key = $1", email_key))


async def taken(database: Executor, username_key: str, email_key: str) -> str | None:
    """Which of the two is taken: ``username``, ``email`` or ``None``."""
    return await database.fetchval(
        """
        select case when bool_or(username_key = $1) then 'username' when bool_or(email_key = $2) then 'email' end
        from users where username_key = $1 or email_key = $2
        """,
        username_key,
        email_key,
    )


async def lock(database: Executor, user_id: str) -> None:
    """Lock an account, so that concurrent requests cannot both pass a limit."""
    await database.fetchval("select 1 from users where id = $1 for no key update", user_id)


async def set_password(database: Executor, user_id: str, password_hash: str, previous_hash: str) -> bool:
    """Replace a password hash. False when the stored hash is no longer the verified one."""
    sql = "update users set password_hash = $2 where id = $1 and password_hash = $3 returning 1"
    return await database.fetchval(sql, user_id, password_hash, previous_hash) is not None


async def disable(database: Executor, user_id: str, at: datetime) -> bool:
    """Disable an account. False when no such active account exists."""
    sql = "update users set disabled_at = $2 where id = $1 and disabled_at is null returning 1"
    return await database.fetchval(sql, user_id, at) is not None


async def set_administrator(database: Executor, user_id: str, *, administrator: bool) -> bool:
    """Let an account administer the installation or not. False when nothing changed."""
    sql = "update users set administrator = $2 where id = $1 and administrator <> $2 returning 1"
    return await database.fetchval(sql, user_id, administrator) is not None


async def give_up_administration(database: Executor, user_id: str) -> bool:
    """Take the role from an administrator, in a transaction. False when no other active account has it: of two who give it up at the same time one stays."""
    sql = "select id from users where administrator and disabled_at is null order by id limit $1 for no key update"
    active = await database.fetch(sql, ADMINISTRATORS_LOCKED)
    if all(str(row["id"]) == user_id for row in active):
        return False
    await set_administrator(database, user_id, administrator=False)
    return True


async def is_service(database: Executor, user_id: str) -> bool:
    """Whether an account is a service account."""
    return bool(await database.fetchval("select exists (select from users where id = $1 and kind = 'service')", user_id))


async def end_service(database: Executor, user_id: str, at: datetime) -> None:
    """End a service account, which belongs to one project alone, with its membership."""
    await disable(database, user_id, at)
    await erase(database, user_id, at)


async def enable(database: Executor, user_id: str) -> bool:
    """Enable an account that was disabled and not deleted. False when there is none."""
    sql = "update users set disabled_at = null where id = $1 and disabled_at is not null and deleted_at is null returning 1"
    return await database.fetchval(sql, user_id) is not None


async def reset_password(database: Executor, user_id: str, password_hash: str) -> bool:
    """Replace a forgotten password. False when the account is not active."""
    sql = "update users set password_hash = $2 where id = $1 and disabled_at is null and kind = 'person' returning 1"
    return await database.fetchval(sql, user_id, password_hash) is not None


async def set_email(database: Executor, user_id: str, email: str, email_key: str) -> bool:
    """Change an email address, which is not verified then. False when another account has it."""
    sql = """
        update users set email = $2, email_key = $3, email_verified_at = null
        where id = $1 and not exists (select from users where (email_key = $3 or email = $2) and id <> $1) returning 1
    """
    try:
        return await database.fetchval(sql, user_id, email, email_key) is not None
    except asyncpg.UniqueViolationError:
        return False


async def verify_email(database: Executor, user_id: str, email_key: str, at: datetime) -> bool:
    """Record that an account reads its address. False when it was verified already, or the address is another one now."""
    sql = "update users set email_verified_at = $3 where id = $1 and email_key = $2 and email_verified_at is null returning 1"
    return await database.fetchval(sql, user_id, email_key, at) is not None


async def erase(database: Executor, user_id: str, at: datetime) -> None:
    """Remove what is personal from an account, its sessions and its keys. The row stays, because entries of the audit log name its id."""
    name = f"deleted-{user_id}"
    await database.execute(
        "update users set username = $2, username_key = $2, email = $3, email_key = $3, email_verified_at = null, password_hash = null, deleted_at = $4 where id = $1",
        user_id,
        name,
        f"{name}@deleted.invalid",
        at,
    )
    await database.execute("update sessions set address = null, user_agent = null where user_id = $1", user_id)
    await database.execute("update api_keys set last_used_address = null, last_used_program = null where created_by = $1", user_id)
    await database.execute("delete from group_roles where user_id = $1", user_id)
    await database.execute("delete from identities where user_id = $1", user_id)
