"""Projects' own prices of models, in schema ``app``: one row for each event ``price.set``, kept when the log forgets it.

The rows outlive a replay. Applying an event again changes nothing, so a projector restores them in a new database from the log.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.events import PricePart, PriceSet
from ams_trace_ingest.store.connections import Connection

VERSIONS_MAX = 1_000
"""Events that a project may have; what is read is bounded by it."""

_INSERT = """
INSERT INTO app.own_prices (project_id, event_id, at_us, model, provider, from_us, prices, note, set_by)
SELECT $1::text, $2::text, $3::bigint, $4, $5, $6::bigint, $7::jsonb, $8, $9
WHERE NOT EXISTS (SELECT FROM app.deleted_projects d WHERE d.project_id = $1)
ON CONFLICT (project_id, event_id) DO NOTHING
"""
_COLUMNS = "event_id, at_us, model, provider, from_us, prices::text, note, set_by"
_OF_PROJECT = f"SELECT {_COLUMNS} FROM app.own_prices WHERE project_id = $1 ORDER BY at_us DESC, event_id DESC LIMIT {VERSIONS_MAX}"
_PROJECTS = "SELECT DISTINCT project_id FROM app.own_prices WHERE project_id > $1 ORDER BY project_id LIMIT $2"
_COUNT = "SELECT count(*) FROM app.own_prices WHERE project_id = $1"


class _Prices(Struct, frozen=True):
    pico_usd: dict[PricePart, int]
    request_pico_usd: int = 0


_prices = msgspec.json.Decoder(_Prices | None)


async def record(connection: Connection, events: Sequence[tuple[str, PriceSet]]) -> None:
    """Store prices that were set.

    Args:
        connection: In a transaction.
        events: Each with its project.
    """
    rows = [
        (
            project_id, event.event_id, event.at_us, event.model, event.provider, event.from_us,
            None if event.pico_usd is None else encode(_Prices(event.pico_usd, event.request_pico_usd)).decode(), event.note, event.by,
        )
        for project_id, event in events
    ]  # fmt: skip
    await connection.executemany(_INSERT, sorted(rows, key=lambda row: row[:2]))


async def of_project(connection: Connection, project_id: str) -> list[PriceSet]:
    """A project's prices, those that were set last first."""
    return [_event(row) for row in await connection.fetch(_OF_PROJECT, project_id)]


async def count(connection: Connection, project_id: str) -> int:
    """How many events a project has."""
    return int(await connection.fetchval(_COUNT, project_id) or 0)


async def projects_after(connection: Connection, project_id: str, limit: int) -> list[str]:
    """Projects with prices of their own, in order, after one."""
    return [row[0] for row in await connection.fetch(_PROJECTS, project_id, limit)]


def _event(row: Sequence[object]) -> PriceSet:
    event_id, at_us, model, provider, from_us, prices, note, by = row
    found = _prices.decode(prices) if isinstance(prices, str) else None
    return msgspec.convert(
        {
            "kind": "price.set", "event_id": event_id, "seq": 0, "at_us": at_us, "model": model, "provider": provider, "from_us": from_us,
            "pico_usd": None if found is None else found.pico_usd, "request_pico_usd": 0 if found is None else found.request_pico_usd,
            "note": note, "by": by,
        },
        PriceSet,
    )  # fmt: skip
