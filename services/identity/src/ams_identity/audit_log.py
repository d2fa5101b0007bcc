"""Reading the audit log of a project: a list, and an export that can be verified elsewhere."""

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Stream
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_identity.context import context_of
from ams_identity.paging import PagedOperation, cursor_after, page_of
from ams_identity.store import audit
from ams_identity.store.audit import AuditEntry
from ams_kit.auth import require_role

ID_PATTERN = "[1-9][0-9]{0,17}"
EXPORT_PAGE = 500
EXPORT_ENTRIES_MAX = 1_000_000


class AuditList(Struct, frozen=True):
    """Entries, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


@get("/api/projects/{project:str}/audit", operation_class=PagedOperation)
async def list_audit(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> AuditList:
    """List what happened in a project (``limit``, ``cursor``). Requires the role owner."""
    require_role(access, Role.OWNER)
    page = page_of(request, ID_PATTERN)
    before = None if page.after is None else int(page.after)
    found = await audit.of_project(context_of(request).pool, access.project_id, before=before, limit=page.limit + 1)
    return AuditList(found[: page.limit], cursor_after([str(item.audit_id) for item in found], page.limit))


@get("/api/projects/{project:str}/audit/export", media_type="application/x-ndjson")
async def export_audit(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Stream:
    """All entries of a project, newest first, one JSON object per line, with their places and hashes. Requires the role owner."""
    require_role(access, Role.OWNER)
    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"', "Cache-Control": "no-store"}
    return Stream(_lines(context_of(request).pool, access.project_id), media_type="application/x-ndjson", headers=headers)


async def _lines(pool: asyncpg.Pool, project_id: str) -> AsyncGenerator[bytes]:
    before: int | None = None
    for _ in range(EXPORT_ENTRIES_MAX // EXPORT_PAGE):
        page = await audit.of_project(pool, project_id, before=before, limit=EXPORT_PAGE)
        if not page:
            return
        yield b"".join(msgspec.json.encode(item) + b"\n" for item in page)
        before = page[-1].audit_id


ROUTES = [list_audit, export_audit]
