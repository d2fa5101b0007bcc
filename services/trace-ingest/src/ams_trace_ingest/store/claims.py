"""Which steps report the answer with one response id (roll-up rule R3). A row is also the lock of its response id."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ams_contracts.codec import encode
from ams_trace_ingest.rollup import Claim
from ams_trace_ingest.store.columns import array_literals
from ams_trace_ingest.store.connections import Connection

ClaimKey = tuple[str, str]
"""Project and response id."""

# a row that is there is locked and given back; one that was not holds what it was made with
_LOCK = """
WITH locked AS (
    INSERT INTO response_claims (project_id, response_id, claims) SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::jsonb[])
    ON CONFLICT (project_id, response_id) DO UPDATE SET claims = response_claims.claims
    RETURNING project_id, response_id, claims, xmax = 0 AS made
)
SELECT project_id, response_id, claims FROM locked WHERE NOT made
"""
_UPDATE = "UPDATE response_claims SET claims = $3 WHERE project_id = $1 AND response_id = $2"

_Entry = tuple[str, str, str | None, int | None, int | None]
_entries = msgspec.json.Decoder(list[_Entry])


def _encoded(claims: Iterable[Claim]) -> str:
    entries = sorted((c.task_id, c.step_id, c.model, c.started_at_us, c.ended_at_us) for c in claims)
    return encode(entries).decode()


async def lock(connection: Connection, wanted: Mapping[ClaimKey, Sequence[Claim]]) -> dict[ClaimKey, list[Claim]]:
    """Hold the response ids until the transaction ends, in order of their keys.

    Args:
        connection: In a transaction.
        wanted: With what a row is made where there is none.

    Returns:
        What the rows hold that were there before; the others hold what was wanted.
    """
    if not wanted:
        return {}
    keys = sorted(wanted)
    held: dict[ClaimKey, list[Claim]] = {}
    rows = await connection.fetch(_LOCK, *array_literals((*key, _encoded(wanted[key])) for key in keys))
    for project_id, response_id, text in rows:
        held[project_id, response_id] = [
            Claim(task_id=task, step_id=step, response_id=response_id, model=model, started_at_us=started, ended_at_us=ended)
            for task, step, model, started, ended in _entries.decode(text)
        ]
    return held


async def update(connection: Connection, changed: Mapping[ClaimKey, Sequence[Claim]]) -> None:
    """Replace what locked rows hold."""
    await connection.executemany(_UPDATE, [(*key, _encoded(claims)) for key, claims in sorted(changed.items())])
