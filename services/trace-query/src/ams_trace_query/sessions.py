"""Sessions: the tasks that share a conversation id, with their totals, by their newest task."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import Struct
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.documents import Status
from ams_contracts.tables import tasks
from ams_contracts.views import usd
from ams_trace_query.concurrency_limit import slot_if
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, TEXT_CHARS_MAX, Parameter, read_parameters, with_parameters

_CONVERSATION = Parameter(
    name="conversation", description="Only this session.", schema={"type": OpenAPIType.STRING, "max_length": TEXT_CHARS_MAX}
)
_LIST = (_CONVERSATION, LIMIT, CURSOR)
_SORT = "last_at_us desc, task_id"
TASKS_SUMMED_MAX = 1_000
"""The newest tasks of a session that its totals include."""


class TaskSession(Struct, frozen=True, kw_only=True):
    """The tasks of one conversation, without those that only repeat the calls of another task.

    ``tasks`` and the totals are those of its newest 1,000 tasks; ``has_more_tasks`` when there are more. ``duration_us`` is the sum of the known
    durations, ``cost_usd`` null when no cost is known. ``last_at_us`` is the start of the newest task; ``status``, ``agent``, ``user_id`` and
    ``preview`` (what was asked) are of that task.
    """

    conversation_id: str
    tasks: int
    has_more_tasks: bool
    first_at_us: int
    last_at_us: int
    last_task_id: str
    status: Status
    agent: str | None
    user_id: str | None
    preview: str | None
    errors: int
    open_tasks: int
    input_tokens: int
    output_tokens: int
    duration_us: int | None
    cost_usd: str | None
    unpriced_steps: int
    unmetered_calls: int


class SessionPage(Struct, frozen=True, kw_only=True):
    """Sessions, those with the newest tasks first."""

    items: list[TaskSession]
    next_cursor: str | None


@get("/sessions", operation_class=with_parameters(*_LIST), operation_id="listSessions", responses=PROBLEMS)
async def list_sessions(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> SessionPage:
    """List the sessions of a project: the conversations that its tasks belong to, those with the newest tasks first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    conversation = query.text_of("conversation")
    bound = (access.project_id, "sessions", {"conversation": conversation}, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with slot_if(context.heavy_queries, True), context.database.read(access.project_id) as reader:  # noqa: FBT003  it sums many tasks
        rows = await reader.rows(sessions_page(access.project_id, conversation, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("last_at_us", "last_task_id"))
    return SessionPage(
        items=[_view(row) for row in shown],
        next_cursor=next_cursor,
    )


def sessions_page(project_id: str, conversation: str | None, after: list[Any] | None, limit: int) -> Statement:
    """Select sessions: the newest task of each, in the order of time, with the totals of its tasks.

    A task is the newest of its session when no other one comes before it in ``tasks_by_conversation``: one look into the index for each task that
    is scanned, and the scan ends after ``limit`` sessions.
    """
    newer = tasks.alias("newer")
    summed = tasks.alias("summed")
    mine = [tasks.c.project_id == project_id, tasks.c.conversation_id.is_not(None), tasks.c.duplicate_of.is_(None)]
    if conversation is not None:
        mine.append(tasks.c.conversation_id == conversation)
    if after is not None:
        at_us, task_id = literal(after[0], BigInteger), literal(after[1], Text)
        mine += [tasks.c.sort_at_us <= at_us, (tasks.c.sort_at_us < at_us) | (tasks.c.task_id > task_id)]
    is_newest = ~(
        select(literal(1))
        .where(
            newer.c.project_id == project_id,
            newer.c.conversation_id == tasks.c.conversation_id,
            newer.c.duplicate_of.is_(None),
            newer.c.sort_at_us >= tasks.c.sort_at_us,
            (newer.c.sort_at_us > tasks.c.sort_at_us) | (newer.c.task_id < tasks.c.task_id),
        )
        .exists()
    )
    head = (
        select(
            *(tasks.c.conversation_id, tasks.c.task_id.label("last_task_id"), tasks.c.sort_at_us.label("last_at_us")),
            *(tasks.c.status, tasks.c.agent, tasks.c.user_id, tasks.c.preview),
        )
        .where(*mine, is_newest)
        .order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id)
        .limit(limit)
        .subquery("head")
    )
    of_session = (
        select(summed)
        .where(summed.c.project_id == project_id, summed.c.conversation_id == head.c.conversation_id, summed.c.duplicate_of.is_(None))
        .order_by(summed.c.sort_at_us.desc(), summed.c.task_id)
        .limit(TASKS_SUMMED_MAX + 1)
        .correlate(head)
        .subquery("of_session")
    )
    t = of_session.c
    totals = (
        select(
            sql.count().label("tasks"),
            sql.min(t.sort_at_us).label("first_at_us"),
            sql.sum(t.errors).cast(BigInteger).label("errors"),
            sql.count().filter((t.status == Status.RUNNING) | (t.status == Status.WAITING)).label("open_tasks"),
            sql.sum(t.input_tokens).cast(BigInteger).label("input_tokens"),
            sql.sum(t.output_tokens).cast(BigInteger).label("output_tokens"),
            sql.sum(t.duration_us).cast(BigInteger).label("duration_us"),
            sql.sum(t.cost_nusd).cast(BigInteger).label("cost_nusd"),
            sql.sum(t.priced_steps).cast(BigInteger).label("priced_steps"),
            sql.sum(t.unpriced_steps).cast(BigInteger).label("unpriced_steps"),
            sql.sum(t.unmetered_calls).cast(BigInteger).label("unmetered_calls"),
        )
        .select_from(of_session)
        .correlate(head)
        .lateral("totals")
    )
    return (
        select(*head.c, *totals.c)
        .select_from(head.join(totals, literal(True)))  # noqa: FBT003  SQL's ON TRUE
        .order_by(head.c.last_at_us.desc(), head.c.last_task_id)
        .limit(limit)
    )


def _view(row: Any) -> TaskSession:
    return TaskSession(
        conversation_id=row["conversation_id"],
        tasks=min(row["tasks"], TASKS_SUMMED_MAX),
        has_more_tasks=row["tasks"] > TASKS_SUMMED_MAX,
        first_at_us=row["first_at_us"],
        last_at_us=row["last_at_us"],
        last_task_id=row["last_task_id"],
        status=Status(row["status"]),
        agent=row["agent"],
        user_id=row["user_id"],
        preview=row["preview"],
        errors=row["errors"],
        open_tasks=row["open_tasks"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        duration_us=row["duration_us"],
        cost_usd=usd(row["cost_nusd"]) if row["priced_steps"] else None,
        unpriced_steps=row["unpriced_steps"],
        unmetered_calls=row["unmetered_calls"],
    )
