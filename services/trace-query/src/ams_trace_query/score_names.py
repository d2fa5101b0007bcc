"""The names of scores that a project uses: what a form and the completion of queries offer."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select

from ams_contracts.claims import Access
from ams_contracts.tables import scores, tasks
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import read_parameters, with_parameters

TASKS_READ = 2_000
"""The newest tasks whose scores are counted: one index lookup each, about 10 ms together."""
SCORES_OF_TASK_MAX = 100
NAMES_MAX = 100


class ScoreName(Struct, frozen=True, kw_only=True):
    """A name, and how many of the tasks that were read have a score of it."""

    name: str
    tasks: int


class ScoreNames(Struct, frozen=True, kw_only=True):
    """The names of scores of the newest 2,000 tasks and their steps, the most frequent ones first: at most 100."""

    items: list[ScoreName]


@get("/score-names", operation_class=with_parameters(), operation_id="listScoreNames", responses=PROBLEMS)
async def list_score_names(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ScoreNames:
    """List the names of scores that the newest tasks of a project have."""
    read_parameters(request, ())
    async with context_of(request).database.read(access.project_id) as reader:
        rows = await reader.rows(score_names(access.project_id))
    return ScoreNames(items=[ScoreName(name=row["name"], tasks=row["tasks"]) for row in rows])


def score_names(project_id: str) -> Statement:
    """Select the names by tasks. Of a task with very many scores, the first 100 are read."""
    newest = (
        select(tasks.c.task_id)
        .where(tasks.c.project_id == project_id)
        .order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id)
        .limit(TASKS_READ)
        .subquery("newest")
    )
    of_task = (
        select(scores.c.name)
        .where(scores.c.project_id == project_id, scores.c.task_id == newest.c.task_id, scores.c.removed.is_(False))
        .limit(SCORES_OF_TASK_MAX)
        .correlate(newest)
        .lateral("of_task")
    )
    named = select(newest.c.task_id, of_task.c.name).select_from(newest.join(of_task, literal(True))).distinct().subquery("named")  # noqa: FBT003  SQL's ON TRUE
    return (
        select(named.c.name, sql.count().label("tasks")).group_by(named.c.name).order_by(sql.count().desc(), named.c.name).limit(NAMES_MAX)
    )
