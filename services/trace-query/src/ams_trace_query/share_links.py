"""Public links to single tasks of a project. Their secrets are not stored, and their hashes are not readable here."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from msgspec import Struct
from sqlalchemy import literal, select
from sqlalchemy.types import BigInteger, Text

from ams_contracts.claims import Access
from ams_contracts.platform_tables import share_links
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, read_parameters, with_parameters

_LIST = (LIMIT, CURSOR)
_SORT = "created_at_us desc, link_id"


class ShareLink(Struct, frozen=True, kw_only=True):
    """A public link to a task. ``payloads``: whether it shows inputs and outputs; ``revoked_at_us`` is null until somebody revokes it."""

    link_id: str
    task_id: str
    author_id: str
    payloads: bool
    created_at_us: int
    expires_at_us: int
    revoked_at_us: int | None


class ShareLinkPage(Struct, frozen=True, kw_only=True):
    """Share links, newest first, expired and revoked ones included."""

    items: list[ShareLink]
    next_cursor: str | None


@get("/share-links", operation_class=with_parameters(*_LIST), operation_id="listShareLinks", responses=PROBLEMS)
async def list_share_links(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ShareLinkPage:
    """List the share links of a project, newest first."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    bound = (access.project_id, "share-links", _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        rows = await reader.rows(_page(access.project_id, after, limit + 1))
    shown = rows[:limit]
    return ShareLinkPage(
        items=[ShareLink(**dict(row)) for row in shown],
        next_cursor=context.cursors.seal(bound, (shown[-1]["created_at_us"], shown[-1]["link_id"])) if len(rows) > limit else None,
    )


def _page(project_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = share_links.c
    statement = select(
        *(table.link_id, table.task_id, table.author_id, table.payloads, table.created_at_us, table.expires_at_us, table.revoked_at_us)
    ).where(table.project_id == project_id)
    if after is not None:
        at_us, link_id = literal(after[0], BigInteger), literal(after[1], Text)
        statement = statement.where(table.created_at_us <= at_us, (table.created_at_us < at_us) | (table.link_id > link_id))
    return statement.order_by(table.created_at_us.desc(), table.link_id).limit(limit)
