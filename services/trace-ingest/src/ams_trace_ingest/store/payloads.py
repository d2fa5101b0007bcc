"""Payloads as rows."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from ams_contracts.tables import step_payloads
from ams_trace_ingest.store.columns import names, upsert
from ams_trace_ingest.store.connections import Connection, affected, copy_rows
from ams_trace_ingest.store.day_partitions import copy_new

COLUMNS = names(step_payloads)
_UPSERT = upsert(
    step_payloads,
    where="(EXCLUDED.at_us, EXCLUDED.seq, EXCLUDED.event_id) > (step_payloads.at_us, step_payloads.seq, step_payloads.event_id)",
)
_DELETE = "DELETE FROM step_payloads WHERE project_id = $1 AND task_id = $2 AND day = $3"


async def insert(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert payloads that do not exist yet, into partitions that do.

    Args:
        connection: In a transaction.
        rows: Values in the order of ``COLUMNS``, each slot once.

    Raises:
        UniqueViolationError: One exists already.
    """
    await copy_new(connection, "step_payloads", rows, COLUMNS)


async def write(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert payloads; of two for one slot the newer one is kept.

    Args:
        connection: In a transaction.
        rows: Values in the order of ``COLUMNS``, each slot once.

    Returns:
        How many changed nothing, because they were stored before.
    """
    await copy_rows(connection, "step_payloads_staging", rows, COLUMNS)
    return len(rows) - affected(await connection.execute(_UPSERT))


async def delete(connection: Connection, project_id: str, task_id: str, day: date) -> None:
    """Delete the payloads of a task."""
    await connection.execute(_DELETE, project_id, task_id, day)
