"""Table ``revocations``: the source of truth about revoked tokens. ``pushed`` is true once Redis has the row."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ams_identity.store import Executor


class Revocation(Struct, frozen=True, kw_only=True):
    """Revokes the tokens of ``field`` (``jti:..``, ``sid:..``, ``user:..``) issued before ``until_s``. All of them have expired after ``expires_at_s``."""

    field: str
    until_s: int
    expires_at_s: int
    user_id: str
    session_id: str | None = None
    jti: str | None = None


def _revocation(row: Any) -> Revocation:
    session_id = row["session_id"]
    values: dict[str, Any] = {**dict(row), "user_id": str(row["user_id"]), "session_id": str(session_id) if session_id else None}
    return Revocation(**values)


async def insert(database: Executor, revocation: Revocation) -> None:
    """Add a revocation. Of two for the same field, the wider one applies."""
    await database.execute(
        """
        insert into revocations (field, until_s, expires_at_s, user_id, session_id, jti)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (field) do update
        set until_s = greatest(revocations.until_s, excluded.until_s), expires_at_s = greatest(revocations.expires_at_s, excluded.expires_at_s), pushed = false,
            changed_at = clock_timestamp()
        """,
        revocation.field,
        revocation.until_s,
        revocation.expires_at_s,
        revocation.user_id,
        revocation.session_id,
        revocation.jti,
    )


async def live(database: Executor, now_s: int) -> list[Revocation]:
    """Every revocation in effect. The lifetime of tokens bounds their number, not a limit: leaving one out would accept a revoked token."""
    rows = await database.fetch(
        "select field, until_s, expires_at_s, user_id, session_id, jti from revocations where expires_at_s > $1", now_s
    )
    return [_revocation(row) for row in rows]


async def untils(database: Executor, fields: Sequence[str]) -> list[int]:
    """The times before which tokens of these fields are revoked; fields without a revocation have none."""
    return [row["until_s"] for row in await database.fetch("select until_s from revocations where field = any($1::text[])", list(fields))]


async def unpushed(database: Executor, older_than_seconds: float) -> list[Revocation]:
    """Revocations that Redis may not have, at most 1,000, without those that were written in the last moments."""
    rows = await database.fetch(
        """
        select field, until_s, expires_at_s, user_id, session_id, jti from revocations
        where not pushed and changed_at <= clock_timestamp() - make_interval(secs => $1) order by field limit 1000
        """,
        older_than_seconds,
    )
    return [_revocation(row) for row in rows]


async def mark_pushed(database: Executor, items: Sequence[Revocation]) -> None:
    """Mark revocations as written to Redis, unless a wider one has been committed for the same field since."""
    sql = "update revocations r set pushed = true from unnest($1::text[], $2::bigint[]) as p (field, until_s) where r.field = p.field and r.until_s = p.until_s"
    await database.execute(sql, [item.field for item in items], [item.until_s for item in items])


async def delete_expired(database: Executor, now_s: int) -> list[str]:
    """Delete expired revocations. Returns their fields."""
    rows = await database.fetch("delete from revocations where expires_at_s <= $1 returning field", now_s)
    return [row["field"] for row in rows]
