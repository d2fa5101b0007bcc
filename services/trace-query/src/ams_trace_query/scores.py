"""Scores that people, models and code gave to a task and its steps."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy import func as sql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import scores
from ams_kit.errors import BadRequestError
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, STEP_IDS, Parameter, QueryParameters, hex_id, read_parameters, with_parameters
from ams_trace_query.tasks import find_task

NAMES_MAX = 100

OF = Parameter(
    name="of",
    description="`task`: only scores of the task itself, none of its steps. Cannot be combined with step_id.",
    schema={"type": OpenAPIType.STRING, "enum": ["task"]},
)
_LIST = (STEP_IDS, OF, LIMIT, CURSOR)
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


class ScoreSummary(Struct, frozen=True, kw_only=True):
    """All scores of one name: of the task and its steps, or of the steps asked for.

    ``average`` is over the ``numbers`` scores that have a number; ``label`` is the most frequent label, of several the first by alphabet.
    """

    name: str
    scores: int
    numbers: int
    average: float | None
    label: str | None
    task_scores: int
    """How many of them are of the task itself."""


class ScorePage(Struct, frozen=True, kw_only=True):
    """Scores, oldest first, without removed ones. ``names`` summarizes all of them by name, not only this page: at most 100 names."""

    items: list[Score]
    names: list[ScoreSummary]
    next_cursor: str | None


@get("/tasks/{task:str}/scores", operation_class=with_parameters(*_LIST), operation_id="listTaskScores", responses=PROBLEMS)
async def list_task_scores(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> ScorePage:
    """List the scores of a task and of its steps, oldest first; with ``step_id`` or ``of`` only some of them."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    task_id = hex_id(task, 32, "task")
    target = _target(query)
    bound = (access.project_id, "scores", task_id, "task" if target is None else ",".join(target), _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        await find_task(reader, access.project_id, task_id, [])
        rows = await reader.rows(_page(_chosen(access.project_id, task_id, target), after, limit + 1))
        names = await reader.rows(_summaries(_chosen(access.project_id, task_id, target)))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("at_us", "score_id"))
    return ScorePage(
        items=[Score(**dict(row)) for row in shown],
        names=[ScoreSummary(**dict(row)) for row in names],
        next_cursor=next_cursor,
    )


def _target(query: QueryParameters) -> list[str] | None:
    """The steps whose scores are asked for: none of them means all and the task; null: the task alone."""
    ids = [hex_id(item, 16, "step") for item in query.list_of("step_id")]
    of = query.text_of("of")
    if of is None:
        return ids
    if of != "task" or ids:
        raise BadRequestError("of must be task, and cannot be combined with step_id.", code="bad_of")
    return None


def _chosen(project_id: str, task_id: str, target: list[str] | None) -> list[ColumnElement[bool]]:
    table = scores.c
    mine = [table.project_id == project_id, table.task_id == task_id, table.removed.is_(False)]
    if target is None:
        return [*mine, table.step_id.is_(None)]
    return [*mine, table.step_id == sql.any(literal(target, ARRAY(Text)))] if target else mine


def _page(chosen: list[ColumnElement[bool]], after: list[Any] | None, limit: int) -> Statement:
    table = scores.c
    statement = select(
        *(table.score_id, table.step_id, table.name, table.number, table.label, table.comment, table.source, table.author, table.at_us)
    ).where(*chosen)
    if after is not None:
        statement = statement.where(tuple_(table.at_us, table.score_id) > tuple_(literal(after[0], BigInteger), literal(after[1], Text)))
    return statement.order_by(table.at_us, table.score_id).limit(limit)


def _summaries(chosen: list[ColumnElement[bool]]) -> Statement:
    table = scores.c
    return (
        select(
            table.name,
            sql.count().label("scores"),
            sql.count(table.number).label("numbers"),
            sql.avg(table.number).label("average"),
            sql.mode().within_group(table.label).label("label"),
            sql.count().filter(table.step_id.is_(None)).label("task_scores"),
        )
        .where(*chosen)
        .group_by(table.name)
        .order_by(sql.count().desc(), table.name)
        .limit(NAMES_MAX)
    )
