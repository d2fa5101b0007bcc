"""A projection on SQLite that fulfils the port's contract: rows and position in one transaction, durable across ``kill -9``."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ams_kit.bus import LogRecord, PartitionBatch, PositionMovedError, StoredPosition

SCHEMA = """
create table if not exists positions(topic text, partition int, next_offset int not null, last_timestamp_ms int not null, primary key(topic, partition));
create table if not exists entries(topic text, partition int, offset int, key blob, value blob);
"""


class RecordingProjection:
    """Stores every applied record, once per application: a record applied twice is stored twice."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        """Open the database, or create it.

        Args:
            path: A file that several processes may open.
        """
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.executescript(SCHEMA)
        self.failure: Exception | None = None
        """While set, every call raises it."""
        self.calls = 0

    async def stored(self, topic: str, partitions: list[int]) -> dict[int, StoredPosition]:
        if self.failure is not None:
            raise self.failure
        rows = self._connection.execute("select partition, next_offset, last_timestamp_ms from positions where topic = ?", (topic,))
        return {partition: StoredPosition(next_offset, timestamp) for partition, next_offset, timestamp in rows if partition in partitions}

    async def apply_together(self, topic: str, slices: Sequence[PartitionBatch]) -> dict[int, int]:
        applied: dict[int, int] = {}
        for one in slices:
            try:
                applied[one.partition] = await self.apply(topic, one.partition, one.records, one.expected)
            except Exception:  # noqa: BLE001  the caller applies the rest one by one, which raises the error
                break
        return applied

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        self._connection.execute("begin immediate")
        try:
            row = self._connection.execute(
                "select next_offset from positions where topic = ? and partition = ?", (topic, partition)
            ).fetchone()
            stored = row[0] if row else 0
            if stored != expected:
                raise PositionMovedError(stored)  # noqa: TRY301  inside the transaction, as the port requires
            self._connection.executemany(
                "insert into entries values(?, ?, ?, ?, ?)",
                [(topic, partition, record.offset, record.key, record.value) for record in records],
            )
            self.set_position(topic, partition, records[-1].offset + 1, records[-1].timestamp_ms)
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")
        return records[-1].offset + 1

    def set_position(self, topic: str, partition: int, next_offset: int, last_timestamp_ms: int) -> None:
        """Set the position, as another process or an operator does."""
        self._connection.execute("insert or replace into positions values(?, ?, ?, ?)", (topic, partition, next_offset, last_timestamp_ms))

    def position(self, topic: str, partition: int) -> int:
        """Return the stored position, 0 when there is none."""
        row = self._connection.execute("select next_offset from positions where topic = ? and partition = ?", (topic, partition)).fetchone()
        return row[0] if row else 0

    def values(self, key: bytes | None = None) -> list[bytes]:
        """Return the applied values of one key, or of all, in the order of application."""
        where, arguments = ("where key = ?", (key,)) if key is not None else ("", ())
        return [row[0] for row in self._connection.execute(f"select value from entries {where} order by rowid", arguments)]  # noqa: S608  one of two constants

    def count(self) -> int:
        """How many records were applied."""
        return self._connection.execute("select count(*) from entries").fetchone()[0]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
