"""The routes that take exported files again, in parts that end at the end of a line."""

import asyncio
import re
import time
from typing import Annotated, Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from ams_contracts.claims import Access, Role
from ams_kit.auth import principal_of, require_role
from ams_kit.errors import BadRequestError, UnsupportedError
from ams_kit.http.json_body import check_charset
from ams_trace_ingest.intake.body import read_body
from ams_trace_ingest.intake.import_lines import BODY_BYTES_MAX, ImportedLines, ImportFault, LineImporter
from ams_trace_ingest.intake.keys import grant_of
from ams_trace_ingest.intake.publish import IntakeContext, publish, refused
from ams_trace_ingest.store import tasks
from ams_trace_ingest.store.connections import set_generation

INLINE_BYTES_MAX = 256 * 1024
ACQUIRE_SECONDS = 5
CONTENT_TYPES = frozenset({"application/x-ndjson", "application/jsonl", "application/json"})
_COPY = re.compile(r"[0-9a-z]{8,32}")

AnyRequest = Request[Any, Any, Any]
CopyAs = FromQuery[
    Annotated[
        str | None,
        QueryParameter(
            description="Tasks of an archive are imported as copies under other ids, which follow from this word (8 to 32 of 0-9 a-z) and their "
            "own: the same for all parts of a file. Their calls are counted beside those of the originals."
        ),
    ]
]


class ImportAnswer(Struct, frozen=True, kw_only=True):
    """What became of a part of a file.

    Attributes:
        lines: Lines that were read, without empty ones.
        accepted: Events that are durable in the log.
        rejected: Lines, events and spans that were refused.
        faults: The first 100 of them.
        tasks: Ids of the tasks, at most 1,000.
        ended: The last line of an archive is in this part.
    """

    lines: int
    accepted: int
    rejected: int
    faults: list[ImportFault]
    tasks: list[str]
    ended: bool


@post("/v1/import", status_code=200, opt={"public": True}, request_max_body_size=None, summary="Import a part of an exported file")
async def import_lines(request: AnyRequest, state: State, copy_as: CopyAs = None) -> ImportAnswer:
    """Complete lines of an archive or of OTLP/JSON: at most 16 MiB (gzip allowed). Guarded by an API key. Importing a part twice changes nothing."""
    intake: IntakeContext = state.intake
    grant = await grant_of(request, intake)
    return await _take(request, intake, grant.project_id, grant.key_id, copy_as, masking=grant.masking)


@post(
    "/api/ingest/{project:str}/import", status_code=200, request_max_body_size=None, summary="Import a part of an exported file as a person"
)
async def import_project_lines(request: AnyRequest, state: State, access: NamedDependency[Access], copy_as: CopyAs = None) -> ImportAnswer:
    """Complete lines of an archive or of OTLP/JSON: at most 16 MiB (gzip allowed). Importing a part twice changes nothing. Requires the role member."""
    require_role(access, Role.MEMBER)
    state.intake.usage.admit(access.project_id, access.quota)
    return await _take(request, state.intake, access.project_id, principal_of(request).user_id, copy_as, masking=access.masking)


async def _take(
    request: AnyRequest, intake: IntakeContext, project_id: str, sender: str, copy_as: str | None, *, masking: bool
) -> ImportAnswer:
    if request.content_type[0] not in CONTENT_TYPES:
        raise UnsupportedError("use Content-Type application/x-ndjson")
    check_charset(request.headers.get("content-type", ""))
    if copy_as is not None and _COPY.fullmatch(copy_as) is None:
        raise BadRequestError("copy_as must be 8 to 32 characters of 0-9 and a-z.", code="bad_copy")
    with intake.budget.lease(project_id, sender) as lease:
        body = await read_body(request, lease, sent_bytes_max=BODY_BYTES_MAX, inflated_bytes_max=BODY_BYTES_MAX)
        importer = LineImporter(
            project_id=project_id,
            key_id=sender,
            prices=await intake.own_prices.of(project_id),
            logs=intake.logs,
            received_at_us=time.time_ns() // 1_000,
            copy_as=copy_as,
            masking=masking,
        )
        found = await _read(intake, importer, body)
        await _report_deleted(intake, project_id, found)
        del body  # while the log is unavailable only the records stay in memory, and the lease counts them
        if found.rejected:
            refused("import", "bad_line", found.rejected)
        await publish(intake, lease, found.payloads, found.steps, source="import", events=found.accepted)
    return ImportAnswer(
        lines=found.lines,
        accepted=found.accepted,
        rejected=found.rejected,
        faults=found.faults,
        tasks=list(found.tasks),
        ended=found.ended,
    )


async def _report_deleted(intake: IntakeContext, project_id: str, found: ImportedLines) -> None:
    """The projector ignores events of deleted tasks. An agent need not know; a person who imports a file does."""
    async with intake.pool.acquire(timeout=ACQUIRE_SECONDS) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        deleted = await tasks.deleted_among(connection, project_id, list(found.tasks))
    for task_id in deleted:
        detail = f"The task {task_id} was deleted in this project, and its id stays so. Import it as a copy."
        found.add_fault(ImportFault(line=found.tasks.pop(task_id), event_id=None, code="task_deleted", detail=detail))


async def _read(intake: IntakeContext, importer: LineImporter, body: bytes) -> ImportedLines:
    """Read a large body in a thread, one at a time, so that small requests and health checks are answered at the same time."""
    if len(body) <= INLINE_BYTES_MAX:
        return importer.read(body)
    async with intake.decoding:
        return await asyncio.to_thread(importer.read, body)
