"""What could not be projected: reason, bytes, and where it came from."""

import builtins
from collections.abc import Sequence

from msgspec import Struct

from ams_trace_ingest.store.connections import Connection, affected

WHOLE_RECORD = -1
DETAIL_CHARS_MAX = 500
LETTERS_MAX = 10_000
"""Of one project: the newest are kept. A sender that makes nothing else must not fill the disk."""
DROPPED_MAX = 10_000
"""Of one transaction."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One event (or, with ``index`` -1, a whole record) that no table could take.

    Attributes:
        bytes: A record that can be published as it is: the whole one, or one with this event alone.
        at_us: When it was found.
        replayed_at_us: When it was published again; null while it waits.
    """

    topic: str
    partition: int
    offset: int
    index: int
    projection: str
    project_id: str | None
    task_id: str | None
    reason: str
    detail: str
    bytes: builtins.bytes
    key: builtins.bytes | None
    at_us: int
    replayed_at_us: int | None = None


_COLUMNS = 'topic, "partition", "offset", "index", projection, project_id, task_id, reason, detail, bytes, key, at_us'
_INSERT = f"""
INSERT INTO dead_letters ({_COLUMNS})
SELECT $1, $2::int, $3::bigint, $4::int, $5, $6::text, $7, $8, $9, $10::bytea, $11::bytea, $12::bigint
WHERE NOT EXISTS (SELECT FROM app.deleted_projects d WHERE d.project_id = $6)
ON CONFLICT DO NOTHING
"""
# the newest by a total order, so that they do not depend on the order in which they came
_DROP = """
DELETE FROM dead_letters WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM dead_letters WHERE {project}
    ORDER BY at_us DESC, topic, "partition", "offset", "index", projection OFFSET $1 LIMIT $2
))
"""
_DROP_OF_PROJECT = _DROP.format(project="project_id = $3")
_DROP_OF_NONE = _DROP.format(project="project_id IS NULL")
_SELECT = f"SELECT {_COLUMNS}, replayed_at_us FROM dead_letters"
_MARK = """
UPDATE dead_letters SET replayed_at_us = $6
WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 AND "index" = $4 AND projection = $5
"""


async def insert(connection: Connection, letters: Sequence[DeadLetter]) -> int:
    """Insert letters; one that exists already stays as it is.

    Returns:
        How many older ones were dropped, because a project has more than ``LETTERS_MAX``.
    """
    rows = [
        (
            letter.topic, letter.partition, letter.offset, letter.index, letter.projection, letter.project_id, letter.task_id,
            letter.reason, letter.detail.replace("\0", "\N{REPLACEMENT CHARACTER}")[:DETAIL_CHARS_MAX], letter.bytes, letter.key, letter.at_us,
        )
        for letter in letters
    ]  # fmt: skip
    await connection.executemany(_INSERT, rows)
    dropped = 0
    for project_id in sorted({letter.project_id or "" for letter in letters}):
        statement, arguments = (_DROP_OF_PROJECT, [project_id]) if project_id else (_DROP_OF_NONE, [])
        dropped += affected(await connection.execute(statement, LETTERS_MAX, DROPPED_MAX, *arguments))
    return dropped


async def page(
    connection: Connection, *, project_id: str | None, limit: int, before: tuple[int, str, int, int, int] | None = None
) -> list[DeadLetter]:
    """The newest first.

    Args:
        connection: In a transaction with a generation set.
        project_id: Null: of all projects, unreadable records too (operators only).
        limit: At most so many.
        before: ``(at_us, topic, partition, offset, index)`` of the last one of the page before.
    """
    return [
        _letter(row)
        for row in await connection.fetch(
            f"""{_SELECT}
            WHERE ($1::text IS NULL OR project_id = $1)
              AND ($2::bigint IS NULL OR (at_us, topic, "partition", "offset", "index") < ($2, $3, $4, $5, $6))
            ORDER BY at_us DESC, topic DESC, "partition" DESC, "offset" DESC, "index" DESC LIMIT $7""",
            project_id, *(before or (None, None, None, None, None)), limit,
        )
    ]  # fmt: skip


async def one(connection: Connection, *, topic: str, partition: int, offset: int, index: int) -> DeadLetter | None:
    """The one at a place, if it is there."""
    row = await connection.fetchrow(
        f'{_SELECT} WHERE topic = $1 AND "partition" = $2 AND "offset" = $3 AND "index" = $4', topic, partition, offset, index
    )
    return None if row is None else _letter(row)


async def mark_replayed(connection: Connection, letter: DeadLetter, at_us: int) -> None:
    """Remember that it was published again."""
    await connection.execute(_MARK, letter.topic, letter.partition, letter.offset, letter.index, letter.projection, at_us)


def _letter(row: object) -> DeadLetter:
    return DeadLetter(**dict(row))  # type: ignore[call-overload]  # an asyncpg record is a mapping of column names
