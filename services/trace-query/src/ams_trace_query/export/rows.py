"""Reads a task in portions for an export: each in a short transaction of its own, so that a slow client holds no connection."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Integer, Text

from ams_contracts.documents import Slot
from ams_contracts.tables import media, scores, step_logs, step_payloads, steps, task_media, tasks
from ams_trace_query.database import Database, SnapshotReader
from ams_trace_query.rows import TASK_COLUMNS
from ams_trace_query.search.filters import Condition
from ams_trace_query.steps import of_task, step_window, window_key
from ams_trace_query.tasks import find_task

STEPS_PER_READ = 200
TEXT_BYTES_PER_READ = 1_048_576
"""Steps are read until their payloads reach this size: a portion may be one step larger."""
LINES_PER_READ = 1_000
SCORES_PER_READ = 500
MEDIA_PER_READ = 4  # each at most 768 KiB

_STATE_COLUMNS = [tasks.c.document, tasks.c.stamp_phase, tasks.c.stamp_at_us, tasks.c.stamp_event_id]
_LINE_ORDER = (step_logs.c.at_us, step_logs.c.event_id, step_logs.c.place, step_logs.c.step_id)
_LINE_TYPES = (BigInteger, Text, Integer, Text)


class StoredTask(Struct, frozen=True):
    """A task whose rows are read: its own row, and what finds the others."""

    project_id: str
    task_id: str
    day: date
    row: Any


class StepContents(Struct, frozen=True):
    """A row of ``steps`` with all columns, and its rows of ``step_payloads`` by slot."""

    row: Any
    payloads: dict[Slot, Any]


async def read_task(database: Database, project_id: str, task_id: str) -> StoredTask:
    """Read a task's row.

    Raises:
        NotFoundError: The task does not exist, or belongs to another project.
    """
    async with database.read(project_id) as reader:
        row = await find_task(reader, project_id, task_id, [*TASK_COLUMNS, *_STATE_COLUMNS])
    return StoredTask(project_id, task_id, row["day"], row)


async def read_steps(database: Database, task: StoredTask, *, payloads: bool) -> AsyncIterator[list[StepContents]]:
    """The steps in chronological order, in portions. A step of a running task is as of the moment when its portion was read."""
    mine = of_task(task.project_id, task.task_id, task.day)
    after: tuple[int | None, int, str] | None = None
    while True:
        async with database.read(task.project_id) as reader:
            rows = await step_window(reader, mine, after, STEPS_PER_READ, list(steps.c))
            shown, texts = await _with_payloads(reader, task, rows) if payloads else (rows, {})
        if not shown:
            return
        yield [StepContents(row, texts.get(row["step_id"], {})) for row in shown]
        if len(shown) == len(rows) < STEPS_PER_READ:
            return
        after = window_key(shown[-1])


async def read_logs(database: Database, task: StoredTask) -> AsyncIterator[list[Any]]:
    """The log lines of all steps in order of time, in portions."""
    table = step_logs.c
    after: list[Any] | None = None
    while True:
        statement = select(*_LINE_ORDER, table.level, table.text).where(table.project_id == task.project_id, table.task_id == task.task_id)
        if after is not None:
            bounds = [literal(value, kind) for value, kind in zip(after, _LINE_TYPES, strict=True)]
            statement = statement.where(tuple_(*_LINE_ORDER) > tuple_(*bounds))
        async with database.read(task.project_id) as reader:
            rows = await reader.rows(statement.order_by(*_LINE_ORDER).limit(LINES_PER_READ))
        if rows:
            yield rows
        if len(rows) < LINES_PER_READ:
            return
        after = [rows[-1][column.name] for column in _LINE_ORDER]


async def read_scores(database: Database, task: StoredTask) -> AsyncIterator[list[Any]]:
    """The scores that were not removed, oldest first, in portions."""
    table = scores.c
    after: tuple[int, str] | None = None
    while True:
        statement = select(*table).where(table.project_id == task.project_id, table.task_id == task.task_id, table.removed.is_(False))
        if after is not None:
            statement = statement.where(
                tuple_(table.at_us, table.score_id) > tuple_(literal(after[0], BigInteger), literal(after[1], Text))
            )
        async with database.read(task.project_id) as reader:
            rows = await reader.rows(statement.order_by(table.at_us, table.score_id).limit(SCORES_PER_READ))
        if rows:
            yield rows
        if len(rows) < SCORES_PER_READ:
            return
        after = (rows[-1]["at_us"], rows[-1]["score_id"])


async def read_media(database: Database, task: StoredTask) -> AsyncIterator[list[Any]]:
    """The images, sounds and files that the task shows, in portions."""
    after = ""
    while True:
        statement = (
            select(media.c.sha256, media.c.mime, media.c.bytes, media.c.data)
            .join(task_media, (task_media.c.project_id == media.c.project_id) & (task_media.c.sha256 == media.c.sha256))
            .where(
                task_media.c.project_id == task.project_id,
                task_media.c.task_id == task.task_id,
                task_media.c.sha256 > literal(after, Text),
            )
            .order_by(task_media.c.sha256)
            .limit(MEDIA_PER_READ)
        )
        async with database.read(task.project_id) as reader:
            rows = await reader.rows(statement)
        if rows:
            yield rows
        if len(rows) < MEDIA_PER_READ:
            return
        after = rows[-1]["sha256"]


async def _with_payloads(reader: SnapshotReader, task: StoredTask, rows: Sequence[Any]) -> tuple[list[Any], dict[str, dict[Slot, Any]]]:
    """The first rows whose payloads fit into a portion, and these payloads by step and slot."""
    table = step_payloads.c
    mine = (table.project_id == task.project_id, table.task_id == task.task_id, table.day == task.day)
    ids = [row["step_id"] for row in rows]
    # the length of a text that is stored out of line is known without reading it
    sizes = await reader.rows(
        select(table.step_id, sql.sum(sql.octet_length(table.text)).label("size"))
        .where(*mine, _among(table.step_id, ids))
        .group_by(table.step_id)
        .limit(len(ids) + 1)
    )
    size_of = {row["step_id"]: row["size"] for row in sizes}
    total = 0
    chosen: list[Any] = []
    for row in rows:
        if total >= TEXT_BYTES_PER_READ:
            break
        chosen.append(row)
        total += size_of.get(row["step_id"], 0)
    wanted = [row["step_id"] for row in chosen if row["step_id"] in size_of]
    texts: dict[str, dict[Slot, Any]] = {}
    if wanted:
        stored = await reader.rows(select(*table).where(*mine, _among(table.step_id, wanted)).limit(len(wanted) * len(Slot)))
        for row in stored:
            texts.setdefault(row["step_id"], {})[Slot(row["slot"])] = row
    return chosen, texts


def _among(column: Any, ids: Sequence[str]) -> Condition:
    return column == sql.any(literal(list(ids), ARRAY(Text)))
