"""Saved views: a page's filter, sort, columns and time range under a name, for their author or for the project."""

import re
import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, literal, select, tuple_, update
from sqlalchemy.types import Text

from ams_contracts.claims import Access, Role
from ams_contracts.platform_tables import deleted_projects, saved_views
from ams_kit.auth import require_role
from ams_kit.errors import BadRequestError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.names import check_name, has_control_characters
from ams_trace_query.context import context_of
from ams_trace_query.database import ProjectWriter, SnapshotReader, Statement
from ams_trace_query.openapi import PROBLEMS, PROBLEMS_WITH_BODY
from ams_trace_query.parameters import (
    CURSOR,
    LIMIT,
    RANGE_DAYS_MAX,
    TIME_CHARS_MAX,
    QueryParameters,
    not_found,
    read_parameters,
    uuid_id,
    with_parameters,
)
from ams_trace_query.search.parse import QUERY_BYTES_MAX, parse
from ams_trace_query.search.tree import QueryError

BODY_BYTES_MAX = 32_768
VIEWS_MAX = 500  # of a project, private ones of all its members included
VIEWS_OF_AUTHOR_MAX = 100
COLUMNS_MAX = 64
WORD_CHARS_MAX = 100

_LIST = (LIMIT, CURSOR)
_SORT = "name, view_id"
_LAST = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Visibility = Literal["private", "shared"]
Word = Annotated[str, Meta(min_length=1, max_length=WORD_CHARS_MAX)]
TimeText = Annotated[str, Meta(min_length=1, max_length=TIME_CHARS_MAX)]


class ViewRange(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A time range: relative (``last``: 30m, 24h, 7d, 2w) or absolute (``from``, ``to``: RFC 3339 with a zone). All null: any time."""

    last: Annotated[str, Meta(max_length=8)] | None = None
    from_: TimeText | None = None
    to: TimeText | None = None


class ViewBody(Struct, frozen=True, kw_only=True):
    """A view to save.

    Attributes:
        name: 1 to 100 visible characters; unique among the shared views of the project, or among your private ones.
        visibility: private: for you alone; shared: for everybody in the project.
        page: The page that the view belongs to.
        q: A query of the page's query language; empty means everything.
        sort: The sort of the page; null means its own.
        columns: Names of the shown columns in their order, each once; null means the page's own.
        range: The time range.
    """

    name: str
    visibility: Visibility = "private"
    page: Literal["tasks"] = "tasks"
    q: str = ""
    sort: Word | None = None
    columns: Annotated[list[Word], Meta(min_length=1, max_length=COLUMNS_MAX)] | None = None
    range: ViewRange = ViewRange()


class View(Struct, frozen=True, kw_only=True):
    """A saved view, see ``ViewBody``. ``author_id`` and ``updated_by`` are user ids."""

    view_id: str
    name: str
    visibility: str
    page: str
    q: str
    sort: str | None
    columns: list[str] | None
    range: ViewRange
    author_id: str
    created_at_us: int
    updated_at_us: int
    updated_by: str


class ViewPage(Struct, frozen=True, kw_only=True):
    """Views by name."""

    items: list[View]
    next_cursor: str | None


_body = msgspec.json.Decoder(ViewBody)


@get("/views", operation_class=with_parameters(*_LIST), operation_id="listViews", responses=PROBLEMS)
async def list_views(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ViewPage:
    """List the shared views of a project and the caller's private ones, by name."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    bound = (access.project_id, "views", access.user_id, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.on_primary().read(access.project_id) as reader:
        rows = await reader.rows(_page(access, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("name", "view_id"))
    return ViewPage(
        items=[_view(row) for row in shown],
        next_cursor=next_cursor,
    )


@get("/views/{view_id:str}", operation_class=with_parameters(), operation_id="getView", responses=PROBLEMS)
async def get_view(request: Request[Any, Any, Any], access: NamedDependency[Access], view_id: FromPath[str]) -> View:
    """Read a view that is shared, or the caller's own."""
    read_parameters(request, ())
    view_id = uuid_id(view_id, "view")
    async with context_of(request).database.on_primary().read(access.project_id) as reader:
        return _view(await _find(reader, access, view_id))


@post("/views", operation_class=with_json_body(ViewBody), operation_id="createView", responses=PROBLEMS_WITH_BODY)
async def create_view(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> View:
    """Save a view. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    now = context.now()
    values = _values(body, access, now)
    view_id = str(uuid.uuid4())
    try:
        async with context.database.write(access.project_id) as writer:
            await _check_room(writer, access)
            await writer.change(
                insert(saved_views).values(
                    project_id=access.project_id, view_id=view_id, author_id=access.user_id, created_at_us=values["updated_at_us"], **values
                )
            )
            return _view(await _find(writer, access, view_id))
    except asyncpg.UniqueViolationError as error:
        raise _name_taken(body) from error


@put("/views/{view_id:str}", operation_class=with_json_body(ViewBody), operation_id="replaceView", responses=PROBLEMS_WITH_BODY)
async def replace_view(request: Request[Any, Any, Any], access: NamedDependency[Access], view_id: FromPath[str]) -> View:
    """Replace a view: a shared one, or the caller's own. Only its author can make a shared view private. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    view_id = uuid_id(view_id, "view")
    body = await read_json(request, _body, bytes_max=BODY_BYTES_MAX)
    context = context_of(request)
    values = _values(body, access, context.now())
    try:
        async with context.database.write(access.project_id) as writer:
            found = await _find(writer, access, view_id)
            if body.visibility == "private" and found["author_id"] != access.user_id:
                raise ForbiddenError("Only its author can make a shared view private. Save it under another name.", code="not_the_author")
            await writer.change(update(saved_views).where(*_visible(access), saved_views.c.view_id == view_id).values(values))
            return _view(await _find(writer, access, view_id))
    except asyncpg.UniqueViolationError as error:
        raise _name_taken(body) from error


@delete("/views/{view_id:str}", operation_class=with_parameters(), operation_id="deleteView", responses=PROBLEMS)
async def delete_view(request: Request[Any, Any, Any], access: NamedDependency[Access], view_id: FromPath[str]) -> None:
    """Delete a view: a shared one, or the caller's own. Requires the role member."""
    require_role(access, Role.MEMBER)
    read_parameters(request, ())
    view_id = uuid_id(view_id, "view")
    async with context_of(request).database.write(access.project_id) as writer:
        if not await writer.change(delete_from(saved_views).where(*_visible(access), saved_views.c.view_id == view_id)):
            raise not_found("view")


def _values(body: ViewBody, access: Access, now: datetime) -> dict[str, Any]:
    """The columns that a body sets.

    Raises:
        InvalidError: A value is not acceptable.
        QueryError: The query does not parse.
    """
    if len(body.q.encode("utf-8", "surrogatepass")) > QUERY_BYTES_MAX:
        raise QueryError(f"The query is too long. Use at most {QUERY_BYTES_MAX} bytes.", column=QUERY_BYTES_MAX, code="query_too_long")
    for word in (body.q, body.sort or "", *(body.columns or ())):
        if has_control_characters(word):
            raise InvalidError("q, sort and columns are text without control characters.", code="control_characters")
    if body.columns is not None and len(set(body.columns)) != len(body.columns):
        raise InvalidError("A column is listed twice. List each once.", code="duplicate_column")
    parse(body.q)
    _check_range(body.range, now)
    return {
        "name": check_name(body.name, "view"),
        "visibility": body.visibility,
        "page": body.page,
        "q": body.q,
        "sort": body.sort,
        "columns": body.columns,
        "range_last": body.range.last,
        "range_from": body.range.from_,
        "range_to": body.range.to,
        "updated_at_us": int(now.timestamp() * 1_000_000),
        "updated_by": access.user_id,
    }


def _check_range(chosen: ViewRange, now: datetime) -> None:
    if chosen.last is not None:
        match = _LAST.fullmatch(chosen.last)
        if match is None or chosen.from_ is not None or chosen.to is not None:
            raise InvalidError("range takes last, such as 30m, 24h, 7d or 2w, or from and to.", code="invalid_range")
        if int(match[1]) * _UNITS[match[2]] > timedelta(days=RANGE_DAYS_MAX):
            raise InvalidError(f"The time range is too long. Use at most {RANGE_DAYS_MAX} days.", code="range_too_wide")
    try:
        QueryParameters({name: text for name, text in (("from", chosen.from_), ("to", chosen.to)) if text is not None}).time_range(now)
    except BadRequestError as error:
        raise InvalidError(error.detail, code=error.code) from error


def _name_taken(body: ViewBody) -> ConflictError:
    whose = "The project has a shared view" if body.visibility == "shared" else "You have a private view"
    return ConflictError(f"{whose} with this name. Choose another name.", code="name_taken")


async def _check_room(writer: ProjectWriter, access: Access) -> None:
    """Serialise the creation of views in a project, and check that it has room for another one.

    Raises:
        NotFoundError: The project was deleted.
        ConflictError: There is no room.
    """
    project_id, table = access.project_id, saved_views.c
    await writer.row(select(func.pg_advisory_xact_lock(func.hashtextextended(f"app.saved_views {project_id}", 0))))
    if await writer.row(select(deleted_projects.c.project_id).where(deleted_projects.c.project_id == project_id).limit(1)) is not None:
        raise NotFoundError("There is no such project.", code="project_not_found")
    counted = select(func.count(), func.count().filter(table.author_id == access.user_id)).where(table.project_id == project_id)
    of_project, of_author = await writer.row(counted)
    if of_project >= VIEWS_MAX:
        raise ConflictError(f"A project has at most {VIEWS_MAX} views. Delete one first.", code="too_many_views")
    if of_author >= VIEWS_OF_AUTHOR_MAX:
        raise ConflictError(
            f"A member has at most {VIEWS_OF_AUTHOR_MAX} views in a project. Delete one of yours first.", code="too_many_views"
        )


_COLUMNS = [column for column in saved_views.c if column.name != "project_id"]


def _visible(access: Access) -> tuple[Any, ...]:
    table = saved_views.c
    return (table.project_id == access.project_id, (table.visibility == "shared") | (table.author_id == access.user_id))


def _page(access: Access, after: list[Any] | None, limit: int) -> Statement:
    table = saved_views.c
    statement = select(*_COLUMNS).where(*_visible(access))
    if after is not None:
        statement = statement.where(tuple_(table.name, table.view_id) > tuple_(literal(after[0], Text), literal(after[1], Text)))
    return statement.order_by(table.name, table.view_id).limit(limit)


async def _find(reader: SnapshotReader, access: Access, view_id: str) -> Any:
    row = await reader.row(select(*_COLUMNS).where(*_visible(access), saved_views.c.view_id == view_id).limit(1))
    if row is None:
        raise not_found("view")
    return row


def _view(row: Any) -> View:
    return View(
        view_id=row["view_id"],
        name=row["name"],
        visibility=row["visibility"],
        page=row["page"],
        q=row["q"],
        sort=row["sort"],
        columns=row["columns"],
        range=ViewRange(last=row["range_last"], from_=row["range_from"], to=row["range_to"]),
        author_id=row["author_id"],
        created_at_us=row["created_at_us"],
        updated_at_us=row["updated_at_us"],
        updated_by=row["updated_by"],
    )
