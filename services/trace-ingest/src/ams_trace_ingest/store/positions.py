"""The position of each projection in the log, and what became of the events before it."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from ams_kit.bus import PositionMovedError, StoredPosition
from ams_trace_ingest.store.connections import Connection

_LOAD = 'SELECT "partition", next_offset, last_timestamp_ms FROM positions WHERE projection = $1 AND topic = $2 AND "partition" = ANY($3::int[])'
_ACCOUNTS = 'SELECT "partition", projected, duplicate, dead, ignored FROM positions WHERE projection = $1 AND topic = $2 AND "partition" = ANY($3::int[])'
_MAKE = 'INSERT INTO positions (projection, topic, "partition", next_offset, last_timestamp_ms) VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING'
_LOCK = """
SELECT "partition", next_offset, projected, duplicate, dead, ignored FROM positions
WHERE projection = $1 AND topic = $2 AND "partition" = ANY($3::int[]) ORDER BY "partition" FOR UPDATE
"""
_MOVE = """
UPDATE positions SET next_offset = $4, last_timestamp_ms = $5, projected = $6, duplicate = $7, dead = $8, ignored = $9
WHERE projection = $1 AND topic = $2 AND "partition" = $3
"""

_reasons = msgspec.json.Decoder(dict[str, int])


class Account(Struct, frozen=True):
    """What became of events: each of them is counted once.

    Attributes:
        projected: They are in the tables, or a later event took their place.
        duplicate: They were projected before.
        dead: They are dead letters.
        ignored: They need no row, by reason.
    """

    projected: int
    duplicate: int
    dead: int
    ignored: Mapping[str, int]

    @property
    def events(self) -> int:
        """All of them."""
        return self.projected + self.duplicate + self.dead + sum(self.ignored.values())

    def plus(self, other: "Account") -> "Account":
        """The sum of both."""
        ignored = self.ignored
        if other.ignored:
            ignored = {reason: self.ignored.get(reason, 0) + other.ignored.get(reason, 0) for reason in {**self.ignored, **other.ignored}}
        return Account(self.projected + other.projected, self.duplicate + other.duplicate, self.dead + other.dead, ignored)


async def load(connection: Connection, projection: str, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
    """Those that were ever applied."""
    return {row[0]: StoredPosition(row[1], row[2]) for row in await connection.fetch(_LOAD, projection, topic, list(partitions))}


async def accounts(connection: Connection, projection: str, topic: str, partitions: Sequence[int]) -> dict[int, Account]:
    """What became of the events before the positions."""
    return {row[0]: _account(row[1:]) for row in await connection.fetch(_ACCOUNTS, projection, topic, list(partitions))}


def _account(row: Sequence[object]) -> Account:
    projected, duplicate, dead, ignored = row
    return Account(int(str(projected)), int(str(duplicate)), int(str(dead)), _reasons.decode(str(ignored)))


async def lock(connection: Connection, projection: str, topic: str, expected: Mapping[int, int]) -> dict[int, Account]:
    """Lock the positions until the transaction ends. The transaction that holds them is the partitions' only writer.

    Args:
        connection: In a transaction.
        projection: Its name.
        topic: Its name.
        expected: The positions by partition.

    Returns:
        The accounts of the events before them.

    Raises:
        PositionMovedError: One is not as expected: another process has written.
    """
    partitions = sorted(expected)
    rows = await connection.fetch(_LOCK, projection, topic, partitions)
    if len(rows) < len(partitions):
        await connection.executemany(_MAKE, [(projection, topic, partition) for partition in partitions])
        rows = await connection.fetch(_LOCK, projection, topic, partitions)
    for partition, next_offset, *_ in rows:
        if next_offset != expected[partition]:
            raise PositionMovedError(int(next_offset))
    return {partition: _account(account) for partition, _, *account in rows}


async def move(
    connection: Connection, projection: str, topic: str, to: Mapping[int, StoredPosition], accounts: Mapping[int, Account]
) -> None:
    """Set locked positions, and the accounts of all events before them."""
    await connection.executemany(
        _MOVE,
        [
            (
                projection, topic, partition, stored.next_offset, stored.last_timestamp_ms,
                account.projected, account.duplicate, account.dead, msgspec.json.encode(account.ignored).decode(),
            )
            for partition, stored in to.items()
            for account in (accounts[partition],)
        ],
    )  # fmt: skip
