"""The routes that export tasks as files."""

import time
from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType
from litestar.params import FromPath
from litestar.response import Stream

from ams_contracts.claims import Access
from ams_kit.errors import BadRequestError, NotFoundError
from ams_trace_query.context import Context, context_of
from ams_trace_query.database import Database
from ams_trace_query.export.archive import ArchiveWriter
from ams_trace_query.export.json_lines import JsonLinesWriter
from ams_trace_query.export.otlp import OtlpWriter
from ams_trace_query.export.rows import StoredTask, read_task
from ams_trace_query.export.writing import Selection, Writer
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import Parameter, QueryParameters, hex_id, read_parameters, with_parameters

MEDIA_TYPE = "application/x-ndjson"
STEPS_HEADER = "AMS-Export-Steps"
TASKS_HEADER = "AMS-Export-Tasks"


class ExportFormat(StrEnum):
    """The formats of an export."""

    AMS = "ams"
    JSONL = "jsonl"
    OTLP = "otlp"


FORMAT = Parameter(
    name="format",
    description="`ams`: can be imported again. `jsonl`: one object a line, for analysis. `otlp`: lines of OTLP/JSON, for other tools.",
    schema={"type": OpenAPIType.STRING, "enum": [member.value for member in ExportFormat], "default": ExportFormat.AMS.value},
)
PAYLOADS = Parameter(
    name="payloads",
    description="`false` leaves out inputs, outputs, original spans and media. Names and previews stay.",
    schema={"type": OpenAPIType.STRING, "enum": ["true", "false"], "default": "true"},
)
_OPTIONS = (FORMAT, PAYLOADS)
OK = ResponseSpec(
    bytes,
    generate_examples=False,
    description=f"Lines of JSON, as they are read. `{STEPS_HEADER}` and `{TASKS_HEADER}` say how many steps and tasks to expect.",
    media_type=MEDIA_TYPE,  # type: ignore[arg-type]  # any media type is fine
)
_WRITERS: dict[ExportFormat, type[ArchiveWriter | JsonLinesWriter | OtlpWriter]] = {
    ExportFormat.AMS: ArchiveWriter,
    ExportFormat.JSONL: JsonLinesWriter,
    ExportFormat.OTLP: OtlpWriter,
}


@get("/tasks/{task:str}/export", operation_class=with_parameters(*_OPTIONS), operation_id="exportTask", responses={**PROBLEMS, 200: OK})
async def export_task(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> Stream:
    """Export one task as a file. A step of a running task is exported as it is when it is read."""
    context = context_of(request)
    query = read_parameters(request, _OPTIONS)
    task_id = hex_id(task, 32, "task")
    export_format, payloads = read_format(query), read_payloads(query)
    stored = await read_task(context.database, access.project_id, task_id)
    selection = Selection(at_us=time.time_ns() // 1_000, tasks=1, steps=stored.row["steps"], payloads=payloads)
    return await stream(context, access.project_id, [stored], selection, export_format, name=f"task-{task_id[:8]}")


def read_format(query: QueryParameters) -> ExportFormat:
    """The parameter ``format``.

    Raises:
        BadRequestError: There is no such format.
    """
    text = query.text_of("format")
    if text is None:
        return ExportFormat.AMS
    try:
        return ExportFormat(text)
    except ValueError:
        raise BadRequestError(f"format must be one of {', '.join(ExportFormat)}.", code="bad_format") from None


def read_payloads(query: QueryParameters) -> bool:
    """The parameter ``payloads``.

    Raises:
        BadRequestError: It is neither true nor false.
    """
    text = query.text_of("payloads") or "true"
    if text not in {"true", "false"}:
        raise BadRequestError("payloads must be true or false.", code="bad_payloads")
    return text == "true"


async def stream(
    context: Context, project_id: str, tasks: Sequence[StoredTask | str], selection: Selection, export_format: ExportFormat, *, name: str
) -> Stream:
    """Answer with a file that is written while the client reads it.

    An error before the first portion is answered as a problem; a later one closes the connection, so that a client sees an incomplete body.

    Args:
        context: Of the application.
        project_id: Where the tasks are.
        tasks: Rows, or ids of tasks that are read when it is their turn. One that was deleted by then is left out.
        selection: What the header announces.
        export_format: Of the file.
        name: Of the file, without its extension.
    """
    writer = _WRITERS[export_format](context.database, selection)
    portions = _portions(context, project_id, tasks, writer)
    first = await anext(portions, b"")  # takes the slot, and fails while a problem can still be answered
    return Stream(
        _continued(first, portions),
        media_type=MEDIA_TYPE,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{export_format}.jsonl"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            STEPS_HEADER: str(selection.steps),
            TASKS_HEADER: str(selection.tasks),
        },
    )


async def _portions(context: Context, project_id: str, tasks: Sequence[StoredTask | str], writer: Writer) -> AsyncGenerator[bytes]:
    with context.exports.slot() as running:
        begin = writer.begin()
        for task in tasks:
            stored = await _find(context.database, project_id, task)
            if stored is None:
                continue
            async for portion in writer.task(stored):
                if data := begin + portion.data:
                    yield data
                begin = b""
                running.moved()
        if data := begin + writer.end():
            yield data


async def _find(database: Database, project_id: str, task: StoredTask | str) -> StoredTask | None:
    if isinstance(task, StoredTask):
        return task
    try:
        return await read_task(database, project_id, task)
    except NotFoundError:
        return None


async def _continued(first: bytes, portions: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for portion in portions:
            yield portion
    finally:
        await portions.aclose()
