"""Table ``users``. The keys (``username_key``, ``email_key``) are the lower-case forms under which a name exists once."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor


class User(Struct, frozen=True, kw_only=True):
    """A person. ``password_hash`` is ``None`` for accounts that sign in by code only."""

    user_id: str
    username: str
    email: str
    password_hash: str | None
    created_at: datetime
    disabled_at: datetime | None


def _user(row: Any) -> User | None:
    if row is None:
        return None
    values: dict[str, Any] = {**dict(row), "user_id": str(row["user_id"])}
    return User(**values)


async def insert(database: Executor, user: User) -> bool:
    """Add a user. False when the username or the email is taken."""
    return (
        await database.fetchval(
            """
            insert into users (user_id, username, username_key, email, email_key, password_hash, created_at)
            values ($1, $2, lower($2), $3, lower($3), $4, $5)
            on conflict do nothing
            returning 1
            """,
            user.user_id,
            user.username,
            user.email,
            user.password_hash,
            user.created_at,
        )
        is not None
    )


async def by_id(database: Executor, user_id: str) -> User | None:
    """An account by its id."""
    return _user(
        await database.fetchrow(
            "select user_id, username, email, password_hash, created_at, disabled_at from users where user_id = $1", user_id
        )
    )


async def by_username(database: Executor, username_key: str) -> User | None:
    """An account by the lower-case form of its username."""
    sql = "select user_id, username, email, password_hash, created_at, disabled_at from users where username_key = $1"
    return _user(await database.fetchrow(sql, username_key))


async def by_email(database: Executor, email_key: str) -> User | None:
    """An account by the lower-case form of its email address."""
    sql = "select user_id, username, email, password_hash, created_at, disabled_at from users where email_key = $1"
    return _user(await database.fetchrow(sql, email_key))


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


async def set_password(database: Executor, user_id: str, password_hash: str, was: str) -> bool:
    """Replace a hash. False when it is no longer the one that was checked."""
    sql = "update users set password_hash = $2 where user_id = $1 and password_hash = $3 returning 1"
    return await database.fetchval(sql, user_id, password_hash, was) is not None


async def disable(database: Executor, user_id: str, at: datetime) -> bool:
    """Close an account. False when there is no such open one."""
    return (
        await database.fetchval("update users set disabled_at = $2 where user_id = $1 and disabled_at is null returning 1", user_id, at)
        is not None
    )
