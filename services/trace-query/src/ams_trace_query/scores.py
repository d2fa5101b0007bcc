"""Scores that people, models and code gave to a task and its steps."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import literal, select, tuple_
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import scores
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, hex_id, read_parameters, with_parameters
from ams_trace_query.tasks import find_task

_LIST = (LIMIT, CURSOR)
_SORT = "at_us, score_id"


class Score(Struct, frozen=True, kw_only=True):
    """A score. ``step_id`` is null for a score of the task; ``source`` is human, model or code."""

    score_id: str
    step_id: str | None
    name: str
    number: float | None
    label: str | None
    comment: str | None
    source: str
    author: str | None
    at_us: int


class ScorePage(Struct, frozen=True, kw_only=True):
    """Scores, oldest first, without removed ones."""

    items: list[Score]
    next_cursor: str | None


@get("/tasks/{task:str}/scores", operation_class=with_parameters(*_LIST), operation_id="listTaskScores", responses=PROBLEMS)
async def list_task_scores(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> ScorePage:
    """List the scores of a task and of its steps, oldest first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    task_id = hex_id(task, 32, "task")
    bound = (access.project_id, "scores", task_id, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        await find_task(reader, access.project_id, task_id, [])
        rows = await reader.rows(_page(access.project_id, task_id, after, limit + 1))
    shown = rows[:limit]
    return ScorePage(
        items=[Score(**dict(row)) for row in shown],
        next_cursor=context.cursors.seal(bound, (shown[-1]["at_us"], shown[-1]["score_id"])) if len(rows) > limit else None,
    )


def _page(project_id: str, task_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = scores.c
    statement = select(
        *(table.score_id, table.step_id, table.name, table.number, table.label, table.comment, table.source, table.author, table.at_us)
    ).where(table.project_id == project_id, table.task_id == task_id, table.removed.is_(False))
    if after is not None:
        statement = statement.where(tuple_(table.at_us, table.score_id) > tuple_(literal(after[0], BigInteger), literal(after[1], Text)))
    return statement.order_by(table.at_us, table.score_id).limit(limit)
