"""Which steps report one call, by response id or by call key (roll-up rule R3). A row is also the lock of its key.

A row holds the claims themselves as long as R3 applies to the response id. Above that limit the row is empty and counts them, and each
claim is a row of ``response_claims_overflow``: a batch then reads and writes only the claims that it changes itself.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct

from ams_trace_ingest.repeated_calls import CALL_PREFIX, Claim
from ams_trace_ingest.store.columns import array_literal, array_literals
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskKey

ClaimKey = tuple[str, str]
"""Project, and response id or ``CALL_PREFIX`` and call key."""

ClaimPlace = tuple[ClaimKey, str, str]
"""The key, task and step."""

# a row that exists is locked and returned; a new one holds what it was made with
_LOCK = """
WITH locked AS (
    INSERT INTO response_claims (project_id, response_id, claims) SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::jsonb[])
    ON CONFLICT (project_id, response_id) DO UPDATE SET claims = response_claims.claims
    RETURNING project_id, response_id, claims, overflow, xmax = 0 AS made
)
SELECT project_id, response_id, claims, overflow FROM locked WHERE NOT made
"""
_UPDATE = "UPDATE response_claims SET claims = $3, overflow = $4 WHERE project_id = $1 AND response_id = $2"
_DELETE = """
DELETE FROM response_claims c USING unnest($1::text::text[], $2::text::text[]) AS empty (project_id, response_id)
WHERE c.project_id = empty.project_id AND c.response_id = empty.response_id
"""
_ADD_OVERFLOW = """
INSERT INTO response_claims_overflow
    (project_id, response_id, task_id, step_id, model, started_at_us, ended_at_us, scope, own_id, words)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[]
)
ON CONFLICT (project_id, task_id, step_id, response_id) DO UPDATE
SET model = EXCLUDED.model, started_at_us = EXCLUDED.started_at_us, ended_at_us = EXCLUDED.ended_at_us, scope = EXCLUDED.scope,
    own_id = EXCLUDED.own_id, words = EXCLUDED.words
RETURNING project_id, response_id, xmax = 0
"""
_REMOVE_OVERFLOW = """
DELETE FROM response_claims_overflow o
USING unnest($1::text::text[], $2::text::text[], $3::text::text[], $4::text::text[]) AS removed (project_id, response_id, task_id, step_id)
WHERE o.project_id = removed.project_id AND o.task_id = removed.task_id AND o.step_id = removed.step_id
  AND o.response_id = removed.response_id
RETURNING o.project_id, o.response_id
"""
_REMOVE_TASKS = """
DELETE FROM response_claims_overflow o USING unnest($1::text::text[], $2::text::text[], $3::text::text[]) AS removed (project_id, response_id, task_id)
WHERE o.project_id = removed.project_id AND o.task_id = removed.task_id AND o.response_id = removed.response_id
RETURNING o.project_id, o.response_id
"""
_TAKE_OVERFLOW = """
DELETE FROM response_claims_overflow WHERE project_id = $1 AND response_id = $2
RETURNING task_id, step_id, model, started_at_us, ended_at_us, scope, own_id, words
"""
_OVERFLOWING = f"""
SELECT wanted.project_id, wanted.task_id FROM unnest($1::text::text[], $2::text::text[]) AS wanted (project_id, task_id)
WHERE EXISTS (
    SELECT FROM response_claims_overflow o
    WHERE o.project_id = wanted.project_id AND o.task_id = wanted.task_id AND NOT starts_with(o.response_id, '{CALL_PREFIX}')
)
"""


class _Entry(Struct, frozen=True, gc=False, array_like=True):
    """A claim as a row holds it; only those of a call key have the last three."""

    task_id: str
    step_id: str
    model: str | None
    started_at_us: int | None
    ended_at_us: int | None
    scope: str | None = None
    own_id: str | None = None
    words: str | None = None


_entries = msgspec.json.Decoder(list[_Entry])
_encode_lines = msgspec.json.Encoder().encode_lines


class StoredClaims(Struct):
    """What a row holds.

    Attributes:
        claims: All claims, or none when ``overflow`` is set.
        overflow: How many claims ``response_claims_overflow`` holds; 0 when R3 applies to the response id.
    """

    claims: list[Claim]
    overflow: int = 0


def _encoded(claims: Iterable[Sequence[Claim]]) -> list[str]:
    """What rows hold, each of its claims in order of their places. All rows are encoded by one call: most hold one claim."""
    return _encode_lines([_entries_of(row) for row in claims]).decode().split("\n")[:-1]


def _entries_of(claims: Sequence[Claim]) -> list[tuple[Any, ...]]:
    entries = [
        (c.task_id, c.step_id, c.model, c.started_at_us, c.ended_at_us)
        if c.scope is None
        else (c.task_id, c.step_id, c.model, c.started_at_us, c.ended_at_us, c.scope, c.own_id, c.words)
        for c in claims
    ]
    if len(entries) > 1:
        entries.sort(key=itemgetter(0, 1))
    return entries


def _claims_of(response_id: str, entries: Iterable[_Entry]) -> list[Claim]:
    return [
        Claim(
            task_id=entry.task_id,
            step_id=entry.step_id,
            response_id=response_id,
            model=entry.model,
            started_at_us=entry.started_at_us,
            ended_at_us=entry.ended_at_us,
            scope=entry.scope,
            own_id=entry.own_id,
            words=entry.words,
        )
        for entry in entries
    ]


async def lock(connection: Connection, wanted: Mapping[ClaimKey, Sequence[Claim]], steps_max: int) -> dict[ClaimKey, StoredClaims]:
    """Hold the response ids until the transaction ends, in order of their keys.

    Args:
        connection: In a transaction.
        wanted: The claims that a new row is made with.
        steps_max: Claims that a row may hold. A new row for more of them is made empty.

    Returns:
        The rows that existed, and those that were made empty; any other row now holds what was wanted.
    """
    if not wanted:
        return {}
    keys = sorted(wanted)
    large = {key for key in keys if len(wanted[key]) > steps_max}
    projects, response_ids = zip(*keys, strict=True)
    new = _encoded(() if key in large else wanted[key] for key in keys)
    rows = await connection.fetch(_LOCK, *map(array_literal, (projects, response_ids, new)))
    stored = {key: StoredClaims([]) for key in large}
    for project_id, response_id, text, overflow in rows:
        stored[project_id, response_id] = StoredClaims(_claims_of(response_id, _entries.decode(text)), overflow)
    return stored


async def update(connection: Connection, changed: Mapping[ClaimKey, StoredClaims]) -> None:
    """Replace what locked rows hold; a row without claims is deleted."""
    kept = [(key, row) for key, row in sorted(changed.items(), key=itemgetter(0)) if row.claims or row.overflow]
    empty = sorted(key for key, row in changed.items() if not row.claims and not row.overflow)
    if kept:
        encoded = _encoded(row.claims for _, row in kept)
        await connection.executemany(_UPDATE, [(*key, text, row.overflow) for (key, row), text in zip(kept, encoded, strict=True)])
    if empty:
        await connection.execute(_DELETE, *array_literals(empty))


async def add_overflow(connection: Connection, claims: Sequence[tuple[str, Claim]]) -> Counter[ClaimKey]:
    """Insert claims of locked response ids, or replace those of the same steps.

    Args:
        connection: In a transaction.
        claims: Each with its project; a step at most once.

    Returns:
        How many were new, by response id.
    """
    if not claims:
        return Counter()
    columns = [
        [project_id for project_id, _ in claims],
        *(
            [getattr(claim, name) for _, claim in claims]
            for name in ("response_id", "task_id", "step_id", "model", "started_at_us", "ended_at_us", "scope", "own_id", "words")
        ),
    ]
    return Counter((row[0], row[1]) for row in await connection.fetch(_ADD_OVERFLOW, *columns) if row[2])


async def remove_overflow(connection: Connection, places: Collection[ClaimPlace]) -> Counter[ClaimKey]:
    """Delete claims of locked response ids; how many existed, by response id."""
    if not places:
        return Counter()
    columns = array_literals((*key, task_id, step_id) for key, task_id, step_id in places)
    return Counter((row[0], row[1]) for row in await connection.fetch(_REMOVE_OVERFLOW, *columns))


async def remove_overflow_of_tasks(connection: Connection, tasks: Collection[tuple[ClaimKey, str]]) -> Counter[ClaimKey]:
    """Delete what deleted tasks claim of locked response ids; how many claims existed, by response id."""
    if not tasks:
        return Counter()
    rows = await connection.fetch(_REMOVE_TASKS, *array_literals((*key, task_id) for key, task_id in tasks))
    return Counter((row[0], row[1]) for row in rows)


async def take_overflow(connection: Connection, key: ClaimKey) -> list[Claim]:
    """Delete the claims of a locked response id, and return them, so that its row can hold them again."""
    return _claims_of(key[1], [_Entry(*row) for row in await connection.fetch(_TAKE_OVERFLOW, *key)])


async def overflowing(connection: Connection, tasks: Collection[TaskKey]) -> set[TaskKey]:
    """Which of these tasks have a step that claims a response id above the limit."""
    if not tasks:
        return set()
    return {(row[0], row[1]) for row in await connection.fetch(_OVERFLOWING, *array_literals(tasks))}
