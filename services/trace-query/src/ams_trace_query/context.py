"""The dependencies that routes share, built once in ``app.py``."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from litestar import Request
from msgspec import Struct, structs

from ams_contracts.positions import Position
from ams_kit.bus import Kafka
from ams_kit.errors import BadRequestError
from ams_trace_query.alerts.sealing import Sealer
from ams_trace_query.alerts.webhooks import WebhookSender
from ams_trace_query.concurrency_limit import ConcurrencyLimit
from ams_trace_query.database import Database
from ams_trace_query.export.limits import ExportSlots
from ams_trace_query.paging import Cursors

POSITION_HEADER = "AMS-Position"
POSITIONS_MAX = 64


class Context(Struct, frozen=True, kw_only=True):
    """Shared dependencies of routes.

    Attributes:
        now: The clock; returns datetimes with a time zone.
        kafka: The log, for the events of a task; null: not configured.
        search_seconds_max: After this time a search returns what it found.
        sealer: Encrypts the webhooks of alert rules.
        sender: Sends tests to them, of which ``webhook_tests`` bounds the number.
    """

    database: Database
    cursors: Cursors
    heavy_queries: ConcurrencyLimit
    now: Callable[[], datetime]
    search_seconds_max: float
    exports: ExportSlots
    kafka: Kafka | None
    sealer: Sealer
    sender: WebhookSender
    webhook_tests: ConcurrencyLimit


def context_of(request: Request[Any, Any, Any]) -> Context:
    """The context of the application that serves this request. Its database answers as of the positions in ``AMS-Position`` or later.

    Raises:
        BadRequestError: The header has something else.
    """
    context: Context = request.app.state.context
    text = request.headers.get(POSITION_HEADER)
    return context if not text else structs.replace(context, database=context.database.at_least(_parse_positions(text)))


def _parse_positions(text: str) -> list[Position]:
    words = text.split(",")
    if len(words) > POSITIONS_MAX:
        raise BadRequestError(f"{POSITION_HEADER} has more than {POSITIONS_MAX} positions.", code="bad_position")
    try:
        positions = [Position.parse(word.strip()) for word in words]
    except ValueError as error:
        raise BadRequestError(f"{POSITION_HEADER} is not a list of positions: {error}.", code="bad_position") from error
    return list({(one.version, one.partition): one for one in sorted(positions)}.values())  # the highest of each partition
