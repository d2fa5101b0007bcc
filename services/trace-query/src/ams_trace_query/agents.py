"""Agents of a project: registered ones, and those that appear in steps."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.tables import agents
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, read_parameters, with_parameters

_LIST = (LIMIT, CURSOR)
_SORT = "last_seen_at_us desc, name"

_metadata = msgspec.json.Decoder(dict[str, str])


class Agent(Struct, frozen=True, kw_only=True):
    """An agent. ``registered_at_us`` is null when it appears in steps only and has not registered itself."""

    name: str
    version: str | None
    framework: str | None
    description: str | None
    tools: list[str]
    owner: str | None
    metadata: dict[str, str]
    registered_at_us: int | None
    last_seen_at_us: int


class AgentPage(Struct, frozen=True, kw_only=True):
    """Agents, most recently seen first."""

    items: list[Agent]
    next_cursor: str | None


@get("/agents", operation_class=with_parameters(*_LIST), operation_id="listAgents", responses=PROBLEMS)
async def list_agents(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> AgentPage:
    """List the agents of a project, most recently seen first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    bound = (access.project_id, "agents", _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        rows = await reader.rows(_page(access.project_id, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("last_seen_at_us", "name"))
    return AgentPage(
        items=[_view(row) for row in shown],
        next_cursor=next_cursor,
    )


def _page(project_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = agents.c
    statement = select(
        *(table.name, table.version, table.framework, table.description, table.tools, table.owner),
        *(table.metadata, table.registered_at_us, table.last_seen_at_us),
    ).where(table.project_id == project_id)
    if after is not None:
        at_us, name = literal(after[0], BigInteger), literal(after[1], Text)
        statement = statement.where(table.last_seen_at_us <= at_us, (table.last_seen_at_us < at_us) | (table.name > name))
    return statement.order_by(table.last_seen_at_us.desc(), table.name).limit(limit)


def _view(row: Any) -> Agent:
    return Agent(
        name=row["name"],
        version=row["version"],
        framework=row["framework"],
        description=row["description"],
        tools=row["tools"],
        owner=row["owner"],
        metadata=_metadata.decode(row["metadata"]),
        registered_at_us=row["registered_at_us"],
        last_seen_at_us=row["last_seen_at_us"],
    )
