"""Table ``identities``: which person at which OpenID provider an account belongs to. Issuer and subject are the identity; the address is what the provider last said."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor

IDENTITIES_MAX = 20  # of one account: one for each provider that an installation may have


def proves_factor(password_login: str) -> str:
    """SQL of a row ``u`` of ``users``: whether every way into the account is a provider that proved a second factor at its last sign-in.

    Args:
        password_login: The parameter that says whether people sign in with passwords. Where they do not, a stored one is no way in.
    """
    return f"""
        (u.password_hash is null or not {password_login}::boolean) and exists (select from identities i where i.user_id = u.id)
        and not exists (select from identities i where i.user_id = u.id and not i.second_factor)
    """


class Identity(Struct, frozen=True, kw_only=True):
    """A linked identity.

    Attributes:
        email: What the provider last said, for the account page; ``None`` when it did not.
        second_factor: Whether the provider said at the last sign-in that the person used a second factor, and its settings count that.
        sealed_id_token: The last ID token, encrypted: the hint for signing out at the provider.
    """

    user_id: str
    identity_id: str
    issuer: str
    subject: str
    email: str | None
    second_factor: bool
    created_at: datetime
    last_used_at: datetime
    sealed_id_token: bytes | None = None


_COLUMNS = "user_id::text, identity_id::text, issuer, subject, email, second_factor, created_at, last_used_at, sealed_id_token"


def _identity(row: Any) -> Identity | None:
    return None if row is None else Identity(**dict(row))


async def lock(database: Executor, issuer: str, subject: str) -> None:
    """Wait for another sign-in of the same person, until the transaction ends."""
    await database.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{issuer}\n{subject}")


async def find(database: Executor, issuer: str, subject: str) -> Identity | None:
    """The identity of a person at a provider."""
    return _identity(await database.fetchrow(f"select {_COLUMNS} from identities where issuer = $1 and subject = $2", issuer, subject))


async def by_id(database: Executor, identity_id: str) -> Identity | None:
    """An identity by its id."""
    return _identity(await database.fetchrow(f"select {_COLUMNS} from identities where identity_id = $1", identity_id))


async def of_user(database: Executor, user_id: str) -> list[Identity]:
    """The identities of an account, oldest first."""
    sql = f"select {_COLUMNS} from identities where user_id = $1 order by identity_id limit {IDENTITIES_MAX}"
    return [found for row in await database.fetch(sql, user_id) if (found := _identity(row)) is not None]


async def of_session(database: Executor, session_id: str) -> Identity | None:
    """The identity by which a session began."""
    sql = f"select {_COLUMNS} from identities where identity_id = (select identity_id from sessions where session_id = $1)"
    return _identity(await database.fetchrow(sql, session_id))


async def insert(database: Executor, item: Identity) -> bool:
    """Link an identity. False when an account has it already."""
    sql = """
        insert into identities (user_id, identity_id, issuer, subject, email, second_factor, created_at, last_used_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning 1
    """
    values = (item.user_id, item.identity_id, item.issuer, item.subject, item.email, item.second_factor, item.created_at, item.last_used_at)
    return await database.fetchval(sql, *values) is not None


async def use(
    database: Executor, identity_id: str, *, email: str | None, second_factor: bool, sealed_id_token: bytes, at: datetime
) -> None:
    """Record a sign-in."""
    sql = "update identities set email = $2, second_factor = $3, sealed_id_token = $4, last_used_at = $5 where identity_id = $1"
    await database.execute(sql, identity_id, email, second_factor, sealed_id_token, at)


async def await_second_step(database: Executor, identity_id: str, digest: bytes) -> None:
    """Remember the challenge whose answer completes the sign-in by an identity."""
    await database.execute("update identities set second_step = $2 where identity_id = $1", identity_id, digest)


async def of_second_step(database: Executor, user_id: str, digest: bytes) -> Identity | None:
    """The identity whose sign-in a challenge completes."""
    sql = f"select {_COLUMNS} from identities where user_id = $1 and second_step = $2"
    return _identity(await database.fetchrow(sql, user_id, digest))


async def delete(database: Executor, user_id: str, identity_id: str) -> Identity | None:
    """Unlink an identity of an account. ``None`` when the account has no such identity."""
    sql = f"delete from identities where user_id = $1 and identity_id = $2 returning {_COLUMNS}"
    return _identity(await database.fetchrow(sql, user_id, identity_id))


async def prove_factor(database: Executor, user_id: str, *, password_login: bool) -> bool:
    """Whether the providers of an account prove a second factor; see ``proves_factor``."""
    return bool(await database.fetchval(f"select {proves_factor('$2')} from users u where u.id = $1", user_id, password_login))
