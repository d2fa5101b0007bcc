"""The events of a task with their positions, as the log has them: a client folds them up to any of them."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Raw

from ams_contracts.claims import Access
from ams_contracts.codec import encode
from ams_contracts.positions import Position
from ams_contracts.tables import tasks
from ams_contracts.topics import STEPS, task_key
from ams_kit.bus import LogRecord, LogUnavailableError, SliceDeletedError, read_slice
from ams_kit.errors import BadRequestError, NotFoundError, TooLargeError
from ams_trace_query.context import Context, context_of
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import Parameter, hex_id, read_parameters, with_parameters
from ams_trace_query.tasks import find_task

STEPS_MAX = 100_000
RECORDS_MAX = 500_000
"""Records of the partition between the first and the last one of the task, those of other tasks included."""
BYTES_MAX = 256 * 1024 * 1024
SECONDS_MAX = 60
MEDIA_TYPE = "application/x-ndjson"

AFTER = Parameter(
    name="after",
    description="A position of the task: only later records. Default: from the first one.",
    schema={"type": OpenAPIType.STRING, "max_length": 64},
)
_OK = ResponseSpec(
    bytes,
    generate_examples=False,
    description='Lines of JSON: `{"position", "at_ms", "batch"}` for each record, in order, and at last `{"end": true, "position"}`.',
    media_type=MEDIA_TYPE,  # type: ignore[arg-type]  # any media type is fine
)
_raw = msgspec.json.Decoder(Raw)


class LogExpiredError(NotFoundError):
    """The log does not have the first events of the task any more."""

    code = "log_expired"


@get("/tasks/{task:str}/log", operation_class=with_parameters(AFTER), operation_id="readTaskLog", responses={**PROBLEMS, 200: _OK})
async def read_task_log(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> Stream:
    """Read the records of a task's events with their positions and the log's times, up to the newest record that the tables reflect.

    A task is what the fold of its events up to a position gives. Refused when the log has forgotten the first events (its retention has
    passed), and when the task is too large: over 100,000 steps, or over 500,000 records from its first to its last.
    """
    context = context_of(request)
    query = read_parameters(request, (AFTER,))
    task_id = hex_id(task, 32, "task")
    async with context.database.read(access.project_id) as reader:
        row = await find_task(reader, access.project_id, task_id, [tasks.c.steps, tasks.c.first_offset, tasks.c.last_offset])
    partition: int = row["partition"]
    first_offset = _first_offset(query.text_of("after"), partition, row["first_offset"])
    end_offset: int = row["last_offset"] + 1
    if row["steps"] > STEPS_MAX or end_offset - first_offset > RECORDS_MAX:
        raise TooLargeError(
            f"The task is too large to be replayed: {row['steps']} steps (at most {STEPS_MAX}), spread over {end_offset - first_offset} "
            f"records of the log (at most {RECORDS_MAX}).",
            code="too_large_to_replay",
        )
    lines = _lines(context, access.project_id, task_id, partition, (first_offset, end_offset))
    try:
        first = await anext(lines)  # fails while a problem can still be answered
    except SliceDeletedError as error:
        raise LogExpiredError("The log has forgotten the first events of this task: its retention has passed.") from error
    return Stream(_continued(first, lines), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def _first_offset(after: str | None, partition: int, first_offset: int) -> int:
    if after is None:
        return first_offset
    try:
        position = Position.parse(after)
    except ValueError as error:
        raise BadRequestError(f"after is not a position: {error}.", code="bad_position") from error
    if (position.version, position.partition) != (STEPS.version, partition):
        raise BadRequestError("This position is not one of this task.", code="bad_position")
    return max(first_offset, position.offset)


async def _lines(context: Context, project_id: str, task_id: str, partition: int, offsets: tuple[int, int]) -> AsyncGenerator[bytes]:
    first_offset, end_offset = offsets
    key = task_key(project_id, task_id)
    size = 0
    with context.exports.slot() as running:
        async for records in _read(context, partition, first_offset, end_offset):
            lines = [line for record in records if record.key == key and (line := _line(record)) is not None]
            size += sum(map(len, lines))
            if size > BYTES_MAX:
                raise LogUnavailableError(f"The events of the task have more than {BYTES_MAX} bytes.")
            running.moved()
            if lines:
                yield b"".join(lines)
        yield encode({"end": True, "position": str(Position(STEPS.version, partition, end_offset))}) + b"\n"


def _read(context: Context, partition: int, first_offset: int, end_offset: int) -> AsyncIterator[list[LogRecord]]:
    if context.kafka is None:
        raise LogUnavailableError("This installation gives the query service no access to the log (AMS_KAFKA_BOOTSTRAP).")
    return read_slice(context.kafka, STEPS, partition, first_offset=first_offset, end_offset=end_offset, seconds_max=SECONDS_MAX)


def _line(record: LogRecord) -> bytes | None:
    """A record as a line; null for one that is no JSON, which the projector keeps as a dead letter."""
    value = record.value or b""
    try:
        value.decode()
        _raw.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    position = Position(STEPS.version, record.partition, record.offset + 1)
    return b'{"position":"%b","at_ms":%d,"batch":%b}\n' % (str(position).encode(), record.timestamp_ms, value.replace(b"\n", b" "))


async def _continued(first: bytes, lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for line in lines:
            yield line
    finally:
        await lines.aclose()
