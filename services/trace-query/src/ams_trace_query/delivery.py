"""Delivery of a task by its producers: received sequence numbers, gaps, and reported losses."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from sqlalchemy import literal, select
from sqlalchemy.types import Text

from ams_contracts.claims import Access
from ams_contracts.positions import Position
from ams_contracts.tables import task_producers, tasks
from ams_contracts.topics import STEPS
from ams_trace_query.context import context_of
from ams_trace_query.database import Statement
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import CURSOR, LIMIT, hex_id, read_parameters, with_parameters
from ams_trace_query.search.text import read_text_index_lag
from ams_trace_query.tasks import find_task

_LIST = (LIMIT, CURSOR)
_SORT = "instance_id"
RANGES_MAX = 1_000  # in the response per producer; the worst case is a gap after every event

_PLACE = [tasks.c.first_offset, tasks.c.last_offset, tasks.c.seen_at_us]

_dropped = msgspec.json.Decoder(dict[str, int])


class Delivery(Struct, frozen=True, kw_only=True):
    """The delivery of a task by one producer. Sequence numbers start at 1; a range is ``[first, last]``.

    Attributes:
        instance_id: The process that sent the events.
        sdk: The SDK's name, with ``version`` and ``host``, as the producer reports them.
        ranges: Sequence numbers that were delivered, at most 1,000 ranges.
        gaps: Sequence numbers between them that are missing.
        delivered: Number of delivered sequence numbers.
        missing: Number of sequence numbers in gaps.
        duplicates: Number of events that arrived again.
        unproven: Number of delivered sequence numbers that may be missing, because gaps were merged when the producer had too many ranges.
        dropped: Events that the producer reports as dropped, by reason.
        truncated: Number of payloads that the producer reports as truncated.
        reported_at_us: Time of the last report; null without one.
    """

    instance_id: str
    sdk: str
    version: str
    host: str
    ranges: list[list[int]]
    gaps: list[list[int]]
    delivered: int
    missing: int
    duplicates: int
    unproven: int
    dropped: dict[str, int]
    truncated: int
    reported_at_us: int | None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Producers of a task, by instance. OpenTelemetry exporters are not listed, because they do not number events.

    Attributes:
        first_position: Position in the log after the first record of the task.
        last_position: Position after its last record.
        received_at_us: When the log received the last record, by its own clock; ``last_event_at_us`` of the task is by the producers' clocks.
        searchable_until_us: Inputs and outputs that the log received until this time are searchable; null when all are.
    """

    items: list[Delivery]
    next_cursor: str | None
    first_position: str
    last_position: str
    received_at_us: int
    searchable_until_us: int | None


@get("/tasks/{task:str}/delivery", operation_class=with_parameters(*_LIST), operation_id="listTaskDeliveries", responses=PROBLEMS)
async def list_task_deliveries(request: Request[Any, Any, Any], access: NamedDependency[Access], task: FromPath[str]) -> DeliveryPage:
    """List the producers of a task with what they delivered, what is missing, and what they report as lost."""
    context = context_of(request)
    query = read_parameters(request, _LIST)
    limit = query.limit()
    task_id = hex_id(task, 32, "task")
    bound = (access.project_id, "delivery", task_id, _SORT)
    after = context.cursors.open(query.values.get("cursor"), bound)
    async with context.database.read(access.project_id) as reader:
        found = await find_task(reader, access.project_id, task_id, _PLACE)
        text_lag = await read_text_index_lag(reader)
        rows = await reader.rows(_page(access.project_id, task_id, after, limit + 1))
    shown, next_cursor = context.cursors.page(bound, rows, limit, ("instance_id",))
    return DeliveryPage(
        items=[_view(row) for row in shown],
        next_cursor=next_cursor,
        first_position=_position_after(found, "first_offset"),
        last_position=_position_after(found, "last_offset"),
        received_at_us=found["seen_at_us"],
        searchable_until_us=text_lag.searchable_until_us,
    )


def _page(project_id: str, task_id: str, after: list[Any] | None, limit: int) -> Statement:
    table = task_producers.c
    statement = select(
        *(table.instance_id, table.sdk, table.version, table.host, table.seqs, table.duplicates, table.unproven),
        *(table.dropped, table.truncated, table.reported_at_us),
    ).where(table.project_id == project_id, table.task_id == task_id)
    if after is not None:
        statement = statement.where(table.instance_id > literal(after[0], Text))
    return statement.order_by(table.instance_id).limit(limit)


def _position_after(task: Any, offset: str) -> str:
    return str(Position(STEPS.version, task["partition"], task[offset] + 1))


def _view(row: Any) -> Delivery:
    ranges = [[piece.lower, piece.upper - 1] for piece in row["seqs"]]
    gaps = gaps_between(ranges)
    return Delivery(
        instance_id=row["instance_id"],
        sdk=row["sdk"],
        version=row["version"],
        host=row["host"],
        ranges=ranges[:RANGES_MAX],
        gaps=gaps[:RANGES_MAX],
        delivered=_size(ranges),
        missing=_size(gaps),
        duplicates=row["duplicates"],
        unproven=row["unproven"],
        dropped=_dropped.decode(row["dropped"]),
        truncated=row["truncated"],
        reported_at_us=row["reported_at_us"],
    )


def gaps_between(ranges: list[list[int]]) -> list[list[int]]:
    """The gaps before and between ranges: ``[[2, 3], [7, 7]] -> [[1, 1], [4, 6]]``."""
    ends = [0, *(last for _, last in ranges)]
    return [[end + 1, first - 1] for end, (first, _) in zip(ends, ranges, strict=False) if first > end + 1]


def _size(ranges: list[list[int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)
