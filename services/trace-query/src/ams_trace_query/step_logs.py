"""Lines that agents logged in their steps."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import literal, select, tuple_
from sqlalchemy.types import BigInteger, Integer, Text

from ams_contracts.claims import Access
from ams_contracts.tables import step_log_counts, step_logs, steps
from ams_kit.auth import SHARED, Shared
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, hex_id, not_found, read_parameters, with_parameters
from ams_trace_query.tasks import find_task

_LIST = (LIMIT, CURSOR)
_SORT = "at_us, event_id, place"
_ORDER = (step_logs.c.at_us, step_logs.c.event_id, step_logs.c.place)


class StepLogLine(Struct, frozen=True, kw_only=True):
    """A line. ``at_us`` is the agent's clock, in microseconds UTC; ``level`` is a word such as info or error."""

    at_us: int
    level: str
    text: str


class StepLogPage(Struct, frozen=True, kw_only=True):
    """Log lines of a step, oldest first.

    Attributes:
        received: Lines of the step that arrived.
        kept: Of these, the first ones, up to 1,000 of a step and 10,000 of a task (or 8,000,000 characters).
    """

    items: list[StepLogLine]
    next_cursor: str | None
    received: int
    kept: int


@get(
    "/tasks/{task:str}/steps/{step:str}/logs",
    operation_class=with_parameters(*_LIST),
    operation_id="listStepLogs",
    responses=PROBLEMS,
    opt={SHARED: Shared.CONTENTS},
)
async def list_step_logs(
    request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str], step: FromPath[str]
) -> StepLogPage:
    """List what the agent logged in a step, oldest first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    task_id, step_id = hex_id(task, 32, "task"), hex_id(step, 16, "step")
    bound = (access.project_id, "logs", task_id, step_id, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        stored = await find_task(reader, access.project_id, task_id, [])
        if await reader.row(_step(access.project_id, task_id, step_id, stored["day"])) is None:
            raise not_found("step")
        counts = await reader.row(_counts(access.project_id, task_id, step_id))
        rows = [] if counts is None else await reader.rows(_page(access.project_id, task_id, step_id, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, _SORT.split(", "))
    return StepLogPage(
        items=[StepLogLine(at_us=row["at_us"], level=row["level"], text=row["text"]) for row in shown],
        next_cursor=next_cursor,
        received=0 if counts is None else counts["received"],
        kept=0 if counts is None else counts["kept"],
    )


def _step(project_id: str, task_id: str, step_id: str, day: Any) -> Statement:
    return (
        select(steps.c.step_id)
        .where(steps.c.project_id == project_id, steps.c.task_id == task_id, steps.c.step_id == step_id, steps.c.day == day)
        .limit(1)
    )


def _counts(project_id: str, task_id: str, step_id: str) -> Statement:
    table = step_log_counts.c
    return (
        select(table.received, table.kept)
        .where(table.project_id == project_id, table.task_id == task_id, table.step_id == step_id)
        .limit(1)
    )


def _page(project_id: str, task_id: str, step_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = step_logs.c
    statement = select(*_ORDER, table.level, table.text).where(
        table.project_id == project_id, table.task_id == task_id, table.step_id == step_id
    )
    if after is not None:
        at_us, event_id, place = after
        statement = statement.where(tuple_(*_ORDER) > tuple_(literal(at_us, BigInteger), literal(event_id, Text), literal(place, Integer)))
    return statement.order_by(*_ORDER).limit(limit)
