"""The route that exports several tasks: those with given ids, or all that a filter finds."""

import time
from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType
from litestar.response import Stream
from sqlalchemy import func as sql
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from ams_contracts.claims import Access
from ams_contracts.tables import tasks
from ams_kit.errors import BadRequestError, QueryTimeoutError, TooLargeError
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.export.http import FORMAT, OK, PAYLOADS, read_format, read_payloads, stream
from ams_trace_query.export.writing import Selection
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import Parameter, hex_id, not_found, read_parameters, with_parameters
from ams_trace_query.search.filters import Condition
from ams_trace_query.search.windowed_scan import windowed_scan
from ams_trace_query.task_filter import FILTER, open_task_scan, read_task_filter

TASKS_MAX = 1_000
TASK_IDS = Parameter(
    name="task_id",
    description="Only these tasks: comma-separated ids. Cannot be combined with a filter.",
    schema={"type": OpenAPIType.STRING},
)
_PARAMETERS = (TASK_IDS, *FILTER, FORMAT, PAYLOADS)


@get("/export", operation_class=with_parameters(*_PARAMETERS), operation_id="exportTasks", responses={**PROBLEMS, 200: OK})
async def export_tasks(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Stream:
    """Export the tasks with these ids, or all that the filter finds, newest first: at most 1,000."""
    query = read_parameters(request, _PARAMETERS)
    export_format, payloads = read_format(query), read_payloads(query)
    ids = list(dict.fromkeys(hex_id(item, 32, "task") for item in query.list_of("task_id")))
    if ids:
        if any(parameter.name in query.values for parameter in FILTER):
            raise BadRequestError("task_id cannot be combined with a filter. Send one of them.", code="bad_selection")
        async with context_of(request).database.read(access.project_id) as reader:
            rows = await reader.rows(_page([tasks.c.project_id == access.project_id, _among(ids)], len(ids)))
        if len(rows) < len(ids):
            raise not_found("task")
    else:
        task_filter = read_task_filter(request, query)
        async with open_task_scan(request, access, task_filter) as scan:
            found = await windowed_scan(
                scan.reader,
                tasks.c.sort_at_us,
                scan.scope,
                lambda more, limit: _page([*scan.scope, *scan.conditions, *more], limit),
                limit=TASKS_MAX + 1,
                budget=scan.budget,
            )
        rows = found.rows
        if len(rows) > TASKS_MAX:
            raise TooLargeError(f"More than {TASKS_MAX} tasks match. Narrow the time range or the query.", code="too_many_tasks")
        if found.scanned_back_to_us is not None:
            raise QueryTimeoutError("The search for the tasks took too long. Narrow the time range or the query.")
    selection = Selection(at_us=time.time_ns() // 1_000, tasks=len(rows), steps=sum(row["steps"] for row in rows), payloads=payloads)
    chosen = [row["task_id"] for row in rows]
    return await stream(context_of(request), access.project_id, chosen, selection, export_format, name=f"tasks-{len(rows)}")


def _page(conditions: Sequence[Condition], limit: int) -> Statement:
    columns = (tasks.c.task_id, tasks.c.steps, tasks.c.sort_at_us)
    return select(*columns).where(*conditions).order_by(tasks.c.sort_at_us.desc(), tasks.c.task_id).limit(limit)


def _among(ids: list[str]) -> Condition:
    return tasks.c.task_id == sql.any(literal(ids, ARRAY(Text)))
