"""Where each projection stands in the log."""

from collections.abc import Sequence

from ams_kit.bus import PositionMovedError, Stored
from ams_trace_ingest.store.connections import Connection

_LOAD = 'SELECT "partition", next_offset, last_timestamp_ms FROM positions WHERE projection = $1 AND topic = $2 AND "partition" = ANY($3::int[])'
_MAKE = 'INSERT INTO positions (projection, topic, "partition", next_offset, last_timestamp_ms) VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING'
_LOCK = 'SELECT next_offset FROM positions WHERE projection = $1 AND topic = $2 AND "partition" = $3 FOR UPDATE'
_MOVE = 'UPDATE positions SET next_offset = $4, last_timestamp_ms = $5 WHERE projection = $1 AND topic = $2 AND "partition" = $3'


async def load(connection: Connection, projection: str, topic: str, partitions: Sequence[int]) -> dict[int, Stored]:
    """Those that were ever applied."""
    return {row[0]: Stored(row[1], row[2]) for row in await connection.fetch(_LOAD, projection, topic, list(partitions))}


async def lock(connection: Connection, projection: str, topic: str, partition: int, expected: int) -> None:
    """Hold the position until the transaction ends: whoever holds it is the partition's only writer.

    Raises:
        PositionMovedError: It is not ``expected``: somebody else has written.
    """
    stored = await connection.fetchval(_LOCK, projection, topic, partition)
    if stored is None:
        await connection.execute(_MAKE, projection, topic, partition)
        stored = await connection.fetchval(_LOCK, projection, topic, partition)
    if stored != expected:
        raise PositionMovedError(int(stored or 0))


async def move(connection: Connection, projection: str, topic: str, partition: int, stored: Stored) -> None:
    """Set the locked position."""
    await connection.execute(_MOVE, projection, topic, partition, stored.next_offset, stored.last_timestamp_ms)
