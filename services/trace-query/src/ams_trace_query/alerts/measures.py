"""What a rule measures: tasks of its query in a window, counted as far as the time of a search allows."""

from collections.abc import Sequence
from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import cast, func, literal, null, select
from sqlalchemy.types import BigInteger

from ams_contracts.alerts import SAMPLES_MAX, Measure
from ams_contracts.documents import Status
from ams_contracts.tables import tasks
from ams_trace_query.database import SnapshotReader, Statement
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.parse import parse
from ams_trace_query.search.windowed_scan import scan_windows
from ams_trace_query.task_filter import TaskFilter, TaskScan, task_scan

MEASURES: tuple[Measure, ...] = get_args(Measure)
SECOND_US = 1_000_000
LOOKBACK_US = 6 * 3_600 * SECOND_US
"""A task counts in the window in which it ended. It is found when it started at most this long before the window: the index is by start."""

DURATIONS_MAX = 1_000_000  # of one percentile: they are sorted in memory

SILENT: dict[Measure, Status] = {"waiting": Status.WAITING, "lost": Status.LOST}
"""Measures of how long the tasks of a status have been silent."""

ended_or_started = func.coalesce(tasks.c.ended_at_us, tasks.c.sort_at_us)
"""The moment at which a task counts: its end, while it is open its start."""


class Window(Struct, frozen=True):
    """A time range, in microseconds UTC, without its end."""

    start_us: int
    end_us: int


class RuleCondition(Struct, frozen=True):
    """What a rule measures, and the value from which on it raises an alert. An empty query: all tasks."""

    q: str
    measure: Measure
    threshold: float


class Measured(Struct, frozen=True):
    """A measurement.

    Attributes:
        value: In the unit of the measure; null: there was nothing to measure.
        complete: All tasks were counted. Otherwise time ran out, and the value decides nothing.
        task_ids: Some of the tasks, the most relevant first; empty unless the value reaches the threshold.
    """

    value: float | None
    complete: bool
    task_ids: list[str]


async def measure(reader: SnapshotReader, project_id: str, condition: RuleCondition, window: Window, *, seconds_max: float) -> Measured:
    """Measure the tasks of a query in a window.

    Args:
        reader: The reader of a snapshot of the project.
        project_id: The project.
        condition: What is measured.
        window: For ``waiting`` and ``lost``: when the tasks started.
        seconds_max: The time limit.

    Raises:
        QueryError: The query is not valid any more.
    """
    scan = await open_scan(reader, project_id, condition, window, seconds_max=seconds_max)
    sums, complete = await _count(scan, window, condition.measure)
    value = value_of(sums, condition.measure)
    if value is None or value < condition.threshold or not complete:
        return Measured(value, complete, [])
    rows = await reader.rows(_samples([*scan.scope, *scan.conditions], condition.measure))
    return Measured(value, complete, [row["task_id"] for row in rows])


async def open_scan(reader: SnapshotReader, project_id: str, condition: RuleCondition, window: Window, *, seconds_max: float) -> TaskScan:
    """Prepare to scan the tasks that count in a window."""
    status, q = SILENT.get(condition.measure), condition.q
    back_us = 0 if status else LOOKBACK_US
    task_filter = TaskFilter([status] if status else [], None, q or None, parse(q), window.start_us - back_us, window.end_us)
    scan = await task_scan(reader, project_id, task_filter, seconds_max)
    if not status:
        scan.conditions.extend(
            (
                ended_or_started >= literal(window.start_us, BigInteger),
                ended_or_started < literal(window.end_us, BigInteger),
            )
        )
    return scan


class Sums(Struct):
    """What was counted."""

    tasks: int = 0
    ended: int = 0
    failed: int = 0
    cost_nusd: int = 0
    silent_us: int | None = None
    durations: list[int] = []


def value_of(sums: Sums, measured: Measure) -> float | None:
    """The value of a measure; null when there was nothing to measure."""
    match measured:
        case "count":
            return float(sums.tasks)
        case "error_rate":
            return sums.failed / sums.ended if sums.ended else None
        case "p95_duration":
            ordered = sorted(sums.durations)
            return ordered[-(-95 * len(ordered) // 100) - 1] / SECOND_US if ordered else None
        case "cost":
            return sums.cost_nusd / 1_000_000_000
        case "waiting" | "lost":
            return None if sums.silent_us is None else max(0, sums.silent_us) / SECOND_US


async def _count(scan: TaskScan, window: Window, measured: Measure) -> tuple[Sums, bool]:
    sums, back_to_us = Sums(), None
    async for part in scan_windows(scan.reader, tasks.c.sort_at_us, scan.scope, budget=scan.budget):
        row = await scan.reader.row(_statement([*scan.scope, *part.conditions, *scan.conditions], measured))
        sums.tasks += row["tasks"]
        sums.ended += row["ended"]
        sums.failed += row["failed"]
        sums.cost_nusd += row["cost_nusd"] or 0
        sums.durations += row["durations"] or []
        if row["silent_since_us"] is not None:
            sums.silent_us = max(sums.silent_us or 0, window.end_us - row["silent_since_us"])
        back_to_us = part.low_us
        if len(sums.durations) > DURATIONS_MAX:
            return sums, False
    return sums, back_to_us is None


def _statement(conditions: Sequence[Condition], measured: Measure) -> Statement:
    table = tasks.c
    ended = table.ended_at_us.is_not(None)
    durations: Any = func.array_agg(table.duration_us).filter(table.duration_us.is_not(None), ended)
    return select(
        func.count().label("tasks"),
        func.count().filter(ended).label("ended"),
        func.count().filter(ended, table.status == Status.ERROR).label("failed"),
        cast(func.sum(table.cost_nusd), BigInteger).label("cost_nusd"),
        func.min(table.last_event_at_us).label("silent_since_us"),
        (durations if measured == "p95_duration" else null()).label("durations"),
    ).where(*conditions)


def _samples(conditions: Sequence[Condition], measured: Measure) -> Statement:
    table = tasks.c
    order: dict[Measure, Any] = {
        "error_rate": (table.status == Status.ERROR).desc(),
        "p95_duration": table.duration_us.desc().nulls_last(),
        "cost": table.cost_nusd.desc(),
        "waiting": table.last_event_at_us,
        "lost": table.last_event_at_us,
    }
    first = [order[measured]] if measured in order else []
    return select(table.task_id).where(*conditions).order_by(*first, table.sort_at_us.desc(), table.task_id).limit(SAMPLES_MAX)
