"""Tasks as rows and back."""

from collections.abc import Sequence
from datetime import date
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from ams_contracts.codec import encode
from ams_contracts.documents import TASK_FIELDS, TaskDocument
from ams_contracts.fields import columns, row_columns
from ams_contracts.fold import Stamp, TaskState
from ams_contracts.tables import tasks
from ams_trace_ingest.store.columns import array_literal, array_literals, names, quoted, upsert
from ams_trace_ingest.store.connections import Connection, copy_rows

COLUMNS = names(tasks)
_ARRAYS = [place for place, field in enumerate(columns(TASK_FIELDS)) if field.sql_type == "text[]"]
_columns_of = attrgetter(*COLUMNS)
_UPSERT = upsert(tasks)
_SELECT = f"SELECT {', '.join(f't.{quoted(name)}' for name in COLUMNS)}"
# one after the other, in the order of the arrays: a sort after the join could make the planner read all tasks in order instead
_LOCK = f"""{_SELECT} FROM unnest($1::text::text[], $2::text::text[]) AS wanted (project_id, task_id),
LATERAL (SELECT * FROM tasks WHERE project_id = wanted.project_id AND task_id = wanted.task_id FOR UPDATE) t"""
_DELETE = "DELETE FROM tasks WHERE project_id = $1 AND task_id = $2"
_DELETED = """
SELECT task_id FROM deleted_tasks WHERE project_id = $1 AND task_id = ANY ($2::text::text[])
UNION SELECT task_id FROM task_days WHERE project_id = $1 AND task_id = ANY ($2::text::text[]) AND pruned
"""

_document = msgspec.json.Decoder(TaskDocument)

TaskKey = tuple[str, str]
"""Project and task."""


class TaskRow(row_columns(TASK_FIELDS), Struct, kw_only=True, gc=False):
    """A row as it is read and written: a field for each column of ``TASK_FIELDS``, which says what they mean.

    Those that code here reads or writes are annotated again, with the types that the driver delivers.
    """

    project_id: str
    task_id: str
    day: date
    partition: int
    first_offset: int
    last_offset: int
    seen_at_us: int
    heartbeats: bool
    document: str | None
    stamp_phase: int | None
    stamp_at_us: int | None
    stamp_seq: int | None
    stamp_event_id: str | None
    root_step_id: str | None
    name: str
    kind: str
    agent: str | None
    status: str
    started_at_us: int | None
    ended_at_us: int | None
    duration_us: int | None
    conversation_id: str | None
    user_id: str | None
    environment: str | None
    tags: str
    parent_task_id: str | None
    preview: str | None
    error_type: str | None
    error_message: str | None
    flags: list[str]
    steps: int
    errors: int
    running_steps: int
    waiting_steps: int
    lost_steps: int
    input_tokens: int
    output_tokens: int
    cost_nusd: int
    priced_steps: int
    unpriced_steps: int
    last_event_at_us: int
    sort_at_us: int
    preview_output: str | None
    run_id: str | None = None
    duplicate_of: str | None = None
    repeated_steps: int
    messaging_steps: int
    folded_into: str | None = None
    derive_due: bool
    unmetered_calls: int

    def __getitem__(self, column: str) -> Any:
        """The value of a column, as ``ams_contracts.views.task_view`` asks for it."""
        return getattr(self, column)

    @property
    def key(self) -> TaskKey:
        return (self.project_id, self.task_id)

    @property
    def state(self) -> TaskState:
        """The register of the task's own events."""
        if self.document is None or self.stamp_phase is None:
            return TaskState()
        stamp = Stamp(self.stamp_phase, self.stamp_at_us or 0, self.stamp_seq or 0, self.stamp_event_id or "")
        return TaskState(document=_document.decode(self.document), stamp=stamp)

    def hold(self, state: TaskState) -> None:
        """Put the register into its columns."""
        if state.document is not None and state.stamp is not None:
            self.document = encode(state.document).decode()
            self.stamp_phase, self.stamp_at_us, self.stamp_seq, self.stamp_event_id = msgspec.structs.astuple(state.stamp)


def task_row(record: Any) -> TaskRow:
    """An asyncpg record of all columns."""
    return TaskRow(**dict(record))


async def lock(connection: Connection, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskRow]:
    """The rows of these tasks, as many as there are, held until the transaction ends; taken in order of their keys."""
    if not keys:
        return {}
    rows = [task_row(record) for record in await connection.fetch(_LOCK, *array_literals(sorted(keys)))]
    return {row.key: row for row in rows}


async def write(connection: Connection, rows: Sequence[TaskRow]) -> None:
    """Insert rows, or replace those that are there (and locked)."""
    await copy_rows(connection, "tasks_staging", [_values(row) for row in rows], COLUMNS)
    await connection.fetch(_UPSERT)  # prepared; `execute` without arguments is planned again each time


async def exists(connection: Connection, project_id: str, task_id: str) -> bool:
    """Whether the task has a row."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM tasks WHERE project_id = $1 AND task_id = $2)", project_id, task_id))


async def deleted_among(connection: Connection, project_id: str, task_ids: Sequence[str]) -> list[str]:
    """Which of these tasks were deleted, by a person or by retention: the projector ignores what arrives of them."""
    return [row["task_id"] for row in await connection.fetch(_DELETED, project_id, array_literal(task_ids))]


def _values(row: TaskRow) -> tuple[Any, ...]:
    values = list(_columns_of(row))
    for place in _ARRAYS:
        values[place] = array_literal(values[place])
    return tuple(values)


async def delete(connection: Connection, key: TaskKey) -> None:
    """Delete a task's row."""
    await connection.execute(_DELETE, *key)
