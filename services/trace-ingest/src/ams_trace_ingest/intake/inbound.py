"""``ams.inbound.v1``: requests that SDKs publish to Kafka, treated like those of ``POST /v1/batches``.

Anyone who reaches the broker can write to this topic, so nothing in a record counts before its token is verified. A record of which the token is
missing, expired or revoked, or whose key names another project, becomes a dead letter; its authorization header is not kept. So does a record of a
project over its quota: to wait for the next minute would hold back the other projects of the partition.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import asyncpg
import structlog
from msgspec import Struct

from ams_contracts.claims import KeyState
from ams_contracts.native import RejectedEvent
from ams_kit.auth import InboundVerifier
from ams_kit.bus import Log, LogRecord, PartitionBatch, Record, StoredPosition
from ams_kit.errors import AmsError, InvalidTokenError, TooManyError, UnavailableError
from ams_kit.telemetry.metrics import EVENTS_ACCEPTED, EVENTS_REFUSED
from ams_kit.usage import UsageMeter
from ams_trace_ingest.intake.native import NativeRecords, read_native
from ams_trace_ingest.intake.project_prices import ProjectPrices
from ams_trace_ingest.store import dead_letters, positions
from ams_trace_ingest.store.connections import set_generation
from ams_trace_ingest.store.dead_letters import WHOLE_RECORD, DeadLetter
from ams_trace_ingest.store.positions import Account

ACQUIRE_TIMEOUT_SECONDS = 5
RECORDS_MAX = 200  # of one poll, each up to 2 MiB
PUBLISH_BYTES_MAX = 8 * 1024 * 1024  # then what was read so far is published
LETTER_BYTES_MAX = 65_536  # strangers may write here: a dead letter must not cost what they send
AUTHORIZATION = "authorization"
SOURCE = "kafka"
_BEARER = "Bearer "

logger = structlog.get_logger(__name__)


class _Refused(Struct, frozen=True):
    """Why a record becomes a dead letter, and the project of its token, when that is verified."""

    reason: str
    detail: str
    project_id: str | None = None


class _Counted(Struct, frozen=True):
    """What was counted of a record, and for when."""

    project_id: str
    events: int
    size_bytes: int
    at_s: float


class InboundProjection:
    """Checks, maps, prices and publishes the records of ``ams.inbound.v1``. An ``ams_kit.bus.Projection``.

    The events are published before the position is stored: after a crash they are published again with the same ids, which changes nothing.
    """

    projection = "inbound"

    def __init__(
        self,
        pool: asyncpg.Pool,
        log: Log,
        verifier: InboundVerifier,
        prices: ProjectPrices,
        *,
        usage: UsageMeter | None = None,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        """Create the projection.

        Args:
            pool: As ``ams_writer``: positions and dead letters.
            log: Takes the checked events.
            verifier: Verifies the tokens.
            prices: To compute what is not reported.
            usage: Counts what is accepted and refuses what is over quota; ``None``: nothing is counted or refused.
            now_us: The clock, microseconds since the epoch.
        """
        self._pool = pool
        self._log = log
        self._verifier = verifier
        self._prices = prices
        self._usage = usage
        self._now_us = now_us

    async def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            return await positions.load(connection, self.projection, topic, partitions)

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        counted: list[_Counted] = []
        try:
            return await self._apply(topic, partition, records, expected, counted)
        except BaseException:
            # the records come again: counted twice, they would be refused by a quota that their sender kept
            for one in counted:
                self._count(one, -1)
            raise

    def _count(self, one: _Counted, sign: int = 1) -> None:
        if self._usage is not None:
            self._usage.add(one.project_id, events=sign * one.events, size_bytes=sign * one.size_bytes, at_s=one.at_s)

    async def _apply(self, topic: str, partition: int, records: list[LogRecord], expected: int, counted: list[_Counted]) -> int:
        letters: list[DeadLetter] = []
        payloads: list[Record] = []
        steps: list[Record] = []
        accepted = size = 0
        for record in records:
            if record.offset < expected:
                continue
            taken = await self._read(record)
            if isinstance(taken, _Refused):
                letters.append(self._letter(record, taken))
                EVENTS_REFUSED.labels(SOURCE, taken.reason).inc()
                continue
            key, read = taken
            accepted += read.accepted
            if read.rejected:
                letters.append(self._letter(record, _rejections(read.rejected, read.accepted, key.project_id)))
                for item in read.rejected:
                    EVENTS_REFUSED.labels(SOURCE, item.code).inc()
            payloads += read.payloads
            steps += read.steps
            record_size = sum(len(one.value or b"") for one in (*read.payloads, *read.steps))
            size += record_size
            counted.append(_Counted(key.project_id, read.accepted, record_size, record.timestamp_ms / 1_000))
            self._count(counted[-1])
            if size > PUBLISH_BYTES_MAX:
                await self._publish(payloads, steps)
                payloads, steps, size = [], [], 0
        await self._publish(payloads, steps)
        position = records[-1].offset + 1
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            before = (await positions.lock(connection, self.projection, topic, {partition: expected}))[partition]
            if letters:
                await dead_letters.insert(connection, letters)
            account = Account(accepted, 0, len(letters), {})
            stored = {partition: StoredPosition(position, records[-1].timestamp_ms)}
            await positions.move(connection, self.projection, topic, stored, {partition: before.plus(account)})
        EVENTS_ACCEPTED.labels(SOURCE).inc(accepted)
        return position

    async def apply_together(self, topic: str, batches: Sequence[PartitionBatch]) -> dict[int, int]:  # noqa: ARG002  the port's signature
        return {}

    async def _publish(self, payloads: Sequence[Record], steps: Sequence[Record]) -> None:
        """Payloads first: a reader who sees a step finds its payloads."""
        await self._log.publish(payloads)
        await self._log.publish(steps)

    async def _read(self, record: LogRecord) -> "tuple[KeyState, NativeRecords] | _Refused":
        """Verify and decode a record.

        Raises:
            UnavailableError: Identity does not answer; the record is read again later.
        """
        token = _token_of(record)
        if token is None:
            return _Refused("unauthenticated", "the header authorization is missing, repeated or no bearer token")
        try:
            key = await self._verifier.verify(token, record.timestamp_ms / 1_000)
        except InvalidTokenError as error:
            return _Refused(error.code, error.detail)
        if record.key is None or not record.key.startswith(f"{key.project_id}:".encode()):
            return _Refused("foreign_project", "the record's key is not one of the token's project", key.project_id)
        if self._usage is not None:
            try:
                # by the time of the broker: after an outage the records of several minutes are processed in one
                self._usage.admit(key.project_id, key.quota, at_s=record.timestamp_ms / 1_000)
            except TooManyError as error:
                return _Refused(error.code, error.detail, key.project_id)
        prices = await self._prices.of(key.project_id)
        try:
            read = read_native(record.value or b"", project_id=key.project_id, key_id=key.key_id, prices=prices, masking=key.masking)
        except UnavailableError:
            raise
        except AmsError as error:
            return _Refused(error.code, error.detail, key.project_id)
        return key, read

    def _letter(self, record: LogRecord, refused: _Refused) -> DeadLetter:
        return DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            index=WHOLE_RECORD,
            projection=self.projection,
            project_id=refused.project_id,
            task_id=None,
            reason=refused.reason,
            detail=refused.detail,
            bytes=(record.value or b"")[:LETTER_BYTES_MAX],
            key=None if record.key is None else record.key[:LETTER_BYTES_MAX],
            at_us=self._now_us(),
        )


def _token_of(record: LogRecord) -> str | None:
    values = [value for name, value in record.headers if name.lower() == AUTHORIZATION]
    if len(values) != 1 or not isinstance(values[0], bytes):
        return None
    text = values[0].decode("latin-1")
    return text[len(_BEARER) :].strip() if text.startswith(_BEARER) else None


def _rejections(rejected: Sequence[RejectedEvent], accepted: int, project_id: str) -> _Refused:
    codes = Counter(item.code for item in rejected)
    counts = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return _Refused("events_refused", f"{len(rejected)} of {len(rejected) + accepted} events were refused ({counts})", project_id)
