"""Copies new rows directly into the partition of their day: half of Postgres' work, compared with staging and an upsert (ADR 0031)."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any

from ams_trace_ingest.store.connections import Connection, copy_rows

RECHECK_SECONDS = 60.0
ANSWERS_MAX = 10_000  # 13 years of two tables; the day of a row is what a program says
_MAY_WRITE = "SELECT coalesce(has_table_privilege(to_regclass($1), 'INSERT'), false)"


class DayPartitions:
    """Which partitions this process may COPY into. Each is looked up once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[tuple[str, str], tuple[bool, float]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    async def exist(self, connection: Connection, generation: str, table: str, days: Iterable[date]) -> bool:
        """Whether each of these days has a partition that takes a COPY.

        Args:
            connection: In a transaction of the generation.
            generation: Its name.
            table: ``steps`` or ``step_payloads``.
            days: Of the rows.
        """
        for day in days:
            name = partition_name(table, day)
            answer, until = self._answers.get((generation, name), (False, 0.0))
            if not answer and self._clock() >= until:
                answer = bool(await connection.fetchval(_MAY_WRITE, name))
                if len(self._answers) >= ANSWERS_MAX:
                    self._answers.clear()  # each is looked up again, which is cheap
                self._answers[generation, name] = (answer, self._clock() + RECHECK_SECONDS)
            if not answer:
                return False
        return True

    def clear(self) -> None:
        """Forget the answers: one of them was wrong."""
        self._answers.clear()


def partition_name(table: str, day: date) -> str:
    """The partition of a day, as ``ensure_partitions`` names it."""
    return f"{table}_{day:%Y%m%d}"


async def copy_new(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> None:
    """COPY rows that do not exist yet into their partitions.

    Args:
        connection: In a transaction.
        table: The parent.
        rows: Not empty; values in the order of ``columns``.
        columns: Of the table; one is ``day``.

    Raises:
        UniqueViolationError: One exists already.
    """
    day_of = itemgetter(columns.index("day"))
    if len({day_of(row) for row in rows}) > 1:
        for day, group in groupby(sorted(rows, key=day_of), day_of):
            await copy_rows(connection, partition_name(table, day), group, columns)
    else:
        await copy_rows(connection, partition_name(table, day_of(rows[0])), rows, columns)
