"""Shared by the routes of intake: authentication, the byte budget, and publishing before the answer."""

import asyncio
from collections.abc import Sequence

import asyncpg
from msgspec import Struct

from ams_kit.auth import AuthKit
from ams_kit.bus import Log, Record
from ams_kit.telemetry.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from ams_kit.usage import UsageMeter
from ams_trace_ingest.intake.budget import ByteBudget, Lease
from ams_trace_ingest.intake.log_joiner import LogJoiner
from ams_trace_ingest.intake.project_prices import ProjectPrices
from ams_trace_ingest.pricing.price import Prices

PUBLISH_TIMEOUT_SECONDS = 4  # an OTLP client waits 10 s in all


class IntakeContext(Struct, frozen=True):
    """The objects that the routes share, in ``app.state.intake``."""

    auth: AuthKit
    public_url: str  # of this platform, whose own telemetry is refused
    log: Log
    budget: ByteBudget
    prices: Prices  # the list prices
    own_prices: ProjectPrices
    pool: asyncpg.Pool  # role ams_writer, for the management routes; telemetry needs no database
    logs: LogJoiner
    previewing: asyncio.Semaphore  # one preview of prices at a time
    usage: UsageMeter
    decoding: asyncio.Semaphore  # one large request is decoded at a time, in a thread


async def publish(
    intake: IntakeContext, lease: Lease, payloads: Sequence[Record], steps: Sequence[Record], *, source: str, events: int
) -> None:
    """Make the records durable, payloads first: a reader who sees a step finds its payloads.

    Args:
        intake: Its log is written.
        lease: Holds the size of the records from now on instead of that of the body.
        payloads: Of ``ams.payloads.v1``.
        steps: Of ``ams.steps.v1``.
        source: ``otlp`` or ``native``, for the account.
        events: How many events the records hold.

    Raises:
        LogUnavailableError: Nothing is known to be durable; the client retries with the same event ids.
        UnavailableError: The byte budget is exhausted.
    """
    size = sum(len(record.value or b"") for record in payloads) + sum(len(record.value or b"") for record in steps)
    lease.resize(size)
    await intake.log.publish(payloads, timeout_seconds=PUBLISH_TIMEOUT_SECONDS)
    await intake.log.publish(steps, timeout_seconds=PUBLISH_TIMEOUT_SECONDS)
    EVENTS_ACCEPTED.labels(source).inc(events)
    intake.usage.add(lease.project_id, events=events, size_bytes=size)


def refused(source: str, reason: str, count: int = 1) -> None:
    """Count refused events."""
    EVENTS_REFUSED.labels(source, reason).inc(count)
