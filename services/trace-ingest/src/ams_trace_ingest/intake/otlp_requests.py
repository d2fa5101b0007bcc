"""What every transport of OTLP does with the body of a request: decode within limits, map, publish, and count what is refused."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from ams_contracts.claims import KeyGrant
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_kit.errors import BadRequestError, TooLargeError
from ams_kit.telemetry.metrics import EVENTS_IGNORED, MASKED
from ams_trace_ingest.intake.budget import Lease
from ams_trace_ingest.intake.log_joiner import Additions, LogOutcome
from ams_trace_ingest.intake.masking import mask_log_records, mask_spans
from ams_trace_ingest.intake.otlp import Encoding, MalformedOtlpError, TooManySpansError, decode_logs, decode_traces
from ams_trace_ingest.intake.publish import IntakeContext, publish, refused
from ams_trace_ingest.intake.span_records import PackedSpans, pack_additions, pack_spans
from ams_trace_ingest.pricing.price import Prices

SENT_BYTES_MAX = 16 * 1024 * 1024
INFLATED_BYTES_MAX = 64 * 1024 * 1024
INLINE_BYTES_MAX = 256 * 1024  # some 200 spans, 8 ms
LOGS_KEY_ID = "logs"  # in the headers of what a replica completes with records that another one received with some key

T = TypeVar("T")


class OtlpOutcome(Struct, frozen=True):
    """What the answer says: a request that is not refused as a unit.

    Attributes:
        rejected: How many spans or log records were refused.
        message: Why, for the sender; empty when none was.
    """

    rejected: int = 0
    message: str = ""


async def take_spans(intake: IntakeContext, grant: KeyGrant, lease: Lease, body: bytes, encoding: Encoding) -> OtlpOutcome:
    """Publish the spans of an ``ExportTraceServiceRequest``.

    Args:
        intake: The objects that requests share.
        grant: Of the API key: names the project.
        lease: Holds the size of the body; from the publishing on, that of the records.
        body: Inflated. The caller keeps no reference, so that only the records stay in memory while the log is unavailable.
        encoding: Of the body.

    Raises:
        BadRequestError: The body is no such request.
        TooLargeError: It has too many spans.
        UnavailableError: The log or the byte budget; the sender may repeat the request.
    """
    rejected, message, packed = await _decode_off_loop(
        intake, body, _read_spans, encoding, grant, intake, await intake.own_prices.of(grant.project_id)
    )
    if rejected:
        refused("otlp", "bad_span", rejected)
    del body
    await publish(intake, lease, packed.payloads, packed.steps, source="otlp", events=packed.events)
    return OtlpOutcome(rejected, message)


async def take_log_records(intake: IntakeContext, grant: KeyGrant, lease: Lease, body: bytes, encoding: Encoding) -> OtlpOutcome:
    """Publish what the records of an ``ExportLogsServiceRequest`` add to their steps. Arguments and errors are those of ``take_spans``."""
    outcome, payloads, steps = await _decode_off_loop(intake, body, _read_logs, encoding, grant, intake)
    del body
    events = len(outcome.additions.payloads) + len(outcome.additions.steps)
    await publish(intake, lease, payloads, steps, source="otlp", events=events)
    EVENTS_IGNORED.labels("intake", "otlp_logs").inc(outcome.ignored)
    if not outcome.refused:
        return OtlpOutcome()
    refused("otlp", "log_of_nothing", outcome.refused)
    return OtlpOutcome(outcome.refused, "GenAI events need trace and span ids, or gen_ai.response.id")


async def publish_completed(intake: IntakeContext, project_id: str, additions: Additions) -> None:
    """Publish what another replica's log records complete.

    Raises:
        UnavailableError: The log or the byte budget.
    """
    with intake.budget.lease(project_id, LOGS_KEY_ID) as lease:
        payloads = pack_additions(PAYLOADS, additions.payloads, project_id=project_id, key_id=LOGS_KEY_ID)
        steps = pack_additions(STEPS, additions.steps, project_id=project_id, key_id=LOGS_KEY_ID)
        await publish(intake, lease, payloads, steps, source="otlp", events=len(additions.payloads) + len(additions.steps))


def _read_spans(body: bytes, encoding: Encoding, grant: KeyGrant, intake: IntakeContext, prices: Prices) -> tuple[int, str, PackedSpans]:
    try:
        decoded = decode_traces(body, encoding)
    except MalformedOtlpError as error:
        raise BadRequestError(str(error), code="malformed_otlp") from error
    except TooManySpansError as error:
        raise TooLargeError(str(error), code=error.code) from error
    if grant.masking:
        MASKED.labels("otlp").inc(mask_spans(decoded.groups))
    received_at_us = time.time_ns() // 1_000
    packed = pack_spans(
        decoded, project_id=grant.project_id, key_id=grant.key_id, received_at_us=received_at_us, prices=prices, logs=intake.logs
    )
    return decoded.rejected, decoded.message, packed


def _read_logs(body: bytes, encoding: Encoding, grant: KeyGrant, intake: IntakeContext) -> tuple[LogOutcome, list[Record], list[Record]]:
    try:
        records = decode_logs(body, encoding)
    except MalformedOtlpError as error:
        raise BadRequestError(str(error), code="malformed_otlp") from error
    except TooManySpansError as error:
        raise TooLargeError(str(error), code=error.code) from error
    if grant.masking:
        MASKED.labels("otlp").inc(mask_log_records(records))
    outcome = intake.logs.add_logs(grant.project_id, records, received_at_us=time.time_ns() // 1_000)
    payloads = pack_additions(PAYLOADS, outcome.additions.payloads, project_id=grant.project_id, key_id=grant.key_id)
    return outcome, payloads, pack_additions(STEPS, outcome.additions.steps, project_id=grant.project_id, key_id=grant.key_id)


async def _decode_off_loop(intake: IntakeContext, body: bytes, read: Callable[..., T], *arguments: Any) -> T:
    """Decode a large body in a thread, one at a time, so that small requests and health checks are answered at the same time."""
    if len(body) <= INLINE_BYTES_MAX:
        return read(body, *arguments)
    async with intake.decoding:
        return await asyncio.to_thread(read, body, *arguments)
