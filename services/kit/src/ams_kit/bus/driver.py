"""Batches from the log to a projection: fence, gaps, retries. Never raises, never skips.

Correctness lies in the projection's transaction alone: it compares the stored position. Here is what makes the comparison mean something:
``fence``, the position that this process last applied or found stored, and ``next_offset``, the offset that it last sought or came to.
Offsets by themselves prove nothing (transaction markers and compaction leave gaps).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka.subscriber.usecase import BatchSubscriber
from msgspec import Struct

from ams_kit.bus.alarms import Alarm
from ams_kit.bus.clients import Kafka
from ams_kit.bus.errors import PositionMovedError
from ams_kit.bus.offsets import log_facts, start_offsets
from ams_kit.bus.records import LogRecord, PartitionBatch, Projection
from ams_kit.bus.resume import Recreated, decide_resume
from ams_kit.telemetry.metrics import CONSUMER_EVENTS, LOG_RECORDS_LOST

BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0
FAILURES_TO_ALARM = 12  # about half a minute of retries: no longer a restart of Postgres
RETRY_GRACE_SECONDS = 30.0  # an attempt may take this long before the watchdog minds
REVOKE_TIMEOUT_SECONDS = 8.0  # less than the session: the fence protects us if we give up

logger = structlog.get_logger(__name__)

RawRecord = ConsumerRecord[bytes, bytes]


class PartitionState(Struct):
    """Where this process is in one partition.

    Attributes:
        fence: What the stored position must equal.
        next_offset: Everything before it is applied, or deleted by the log.
        last_timestamp_ms: Of the last record applied by this process, 0 before.
    """

    fence: int
    next_offset: int
    last_timestamp_ms: int = 0


class RetryState(Struct):
    """A partition that failed: how often in a row, and when (monotonic seconds) it is tried again."""

    failures: int
    retry_at: float


class Driver(ConsumerRebalanceListener):
    """Drives one projection over the partitions that are assigned right now."""

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        projection: Projection,
        group: str,
        *,
        raise_alarm: Callable[[Alarm], None],
        clear_alarm: Callable[[str, int], None],
        failures_to_alarm: int = FAILURES_TO_ALARM,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._projection = projection
        self._group = group
        self._raise_alarm = raise_alarm
        self._clear_alarm = clear_alarm
        self._failures_to_alarm = failures_to_alarm
        self._apply_lock = asyncio.Lock()  # held while a batch is applied; a revocation waits for it
        self._revoking = False
        self._draining = False
        self.subscriber: BatchSubscriber | None = None
        self.states: dict[TopicPartition, PartitionState] = {}
        self.last_known: dict[TopicPartition, int] = {}  # next offsets, kept while a position has to be found again
        self.retries: dict[TopicPartition, RetryState] = {}
        self.halted: set[TopicPartition] = set()

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The client, as soon as FastStream has made it."""
        return self.subscriber.consumer if self.subscriber is not None else None

    # -- assignment ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]  the client awaits what its base class declares as None
        """Let the transaction in flight finish, then forget everything: the next owner may be somebody else."""
        self._revoking = True
        try:
            async with asyncio.timeout(REVOKE_TIMEOUT_SECONDS), self._apply_lock:
                pass
        except TimeoutError:
            logger.warning("revoked while a transaction was in flight", group=self._group)
        self.states.clear()
        self.last_known.clear()
        self.retries.clear()
        self.halted.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  the same
        """Seek early. aiokafka swallows what is raised here, so nothing depends on it: ``handle`` finds the position by itself."""
        self._revoking = False
        try:
            await self._resume(list(assigned))
        except Exception as error:  # noqa: BLE001  whatever it is, the first batch tries again
            logger.info("no position at the assignment", group=self._group, error_type=type(error).__name__)

    @property
    def applying(self) -> bool:
        """Whether a batch is being applied right now."""
        return self._apply_lock.locked()

    @property
    def is_draining(self) -> bool:
        """Whether no further batch is to be applied."""
        return self._draining

    async def drain(self, timeout_seconds: float) -> None:
        """Let the batch in hand finish, and take no further one."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_seconds), self._apply_lock:
                pass
        except TimeoutError:
            logger.warning("stopped while a transaction was in flight", group=self._group)

    def owns(self, tp: TopicPartition) -> bool:
        """Whether the partition is ours right now."""
        return self.consumer is not None and not self._revoking and tp in self.consumer.assignment()

    async def _resume(self, partitions: list[TopicPartition]) -> None:
        """Read the stored positions, hold them against the log, and seek, or halt."""
        consumer = self.consumer
        if consumer is None or not partitions:
            return
        rows = await self._projection.stored(self._topic, [tp.partition for tp in partitions])
        stored = {tp: rows[tp.partition] for tp in partitions if tp.partition in rows}
        facts = await log_facts(consumer, self._kafka, stored, partitions)
        for tp in partitions:
            if not self.owns(tp):
                continue
            decision = decide_resume(stored.get(tp), facts[tp])
            if isinstance(decision, Recreated):
                self._halt(tp, decision.detail)
                continue
            fence = stored[tp].next_offset if tp in stored else 0
            self.states[tp] = PartitionState(fence, decision.offset, stored[tp].last_timestamp_ms if tp in stored else 0)
            self.last_known[tp] = decision.offset
            consumer.seek(tp, decision.offset)
            if tp in self.halted:
                self.halted.discard(tp)
                consumer.resume(tp)
                self._clear_alarm("topic_recreated", tp.partition)
            self._count("positioned")
            if decision.lost:
                self._report_lost(tp, decision.lost)

    def _halt(self, tp: TopicPartition, detail: str) -> None:
        self.states.pop(tp, None)
        if self.consumer is not None:
            self.consumer.pause(tp)
        if tp not in self.halted:
            self.halted.add(tp)
            self._raise_alarm(Alarm(kind="topic_recreated", topic=self._topic, partition=tp.partition, detail=detail))

    def _report_lost(self, tp: TopicPartition, lost: int) -> None:
        LOG_RECORDS_LOST.labels(self._group).inc(lost)
        detail = "the log starts beyond the stored position: it deleted records before they were applied"
        self._raise_alarm(Alarm(kind="records_lost", topic=self._topic, partition=tp.partition, detail=detail, lost_records=lost))

    # -- batches ---------------------------------------------------------------------------------------------------

    async def handle(self, records: Sequence[RawRecord]) -> None:
        """Apply what continues our position; seek back to what could not be applied. Never raises: FastStream would go on with the next records."""
        batches = {TopicPartition(*tp): list(group) for tp, group in groupby(records, attrgetter("topic", "partition"))}
        if len(batches) > 1:
            await self._apply_together(batches)
        failed = False
        for partition, batch in batches.items():
            if not batch or self._draining or not self.owns(partition):
                continue
            if failed:  # Postgres is away: one attempt per poll, the others go back untried
                self._seek_back(partition, batch[0].offset)
                continue
            try:
                async with self._apply_lock:
                    await self._apply(partition, batch)
                self._succeeded(partition)
            except Exception as error:  # noqa: BLE001  a bug, Postgres away, the log away: never skip, never bury
                failed = True
                self._failed(partition, batch[0].offset, error)

    async def _is_current(self, tp: TopicPartition, batch: list[RawRecord]) -> bool:
        """Whether the client still stands where this batch ended.

        While a batch waits for its turn the partition may be positioned anew, further back: then what it holds comes again, after what is
        to come before it. By offsets alone it would look like a batch after a gap.
        """
        if self.consumer is None or not self.owns(tp):
            return False
        async with asyncio.timeout(1):
            return await self.consumer.position(tp) > batch[-1].offset

    async def _can_apply_directly(self, tp: TopicPartition, batch: list[RawRecord]) -> bool:
        state = self.states.get(tp)
        return state is not None and state.next_offset == batch[0].offset and tp not in self.retries and await self._is_current(tp, batch)

    async def _apply_together(self, batches: dict[TopicPartition, list[RawRecord]]) -> None:
        """Apply what a poll brought of several partitions at once, and empty those batches; what is left is for ``_apply``."""
        async with self._apply_lock:
            try:
                together = {tp: batch for tp, batch in batches.items() if await self._can_apply_directly(tp, batch)}
            except (KafkaError, TimeoutError):  # the client cannot say where it stands; one by one that is a retry, and read again
                return
            slices = [
                PartitionBatch(tp.partition, [_record(record) for record in batch], self.states[tp].fence) for tp, batch in together.items()
            ]
            if len(slices) < 2:  # noqa: PLR2004  one is none together
                return
            try:
                applied = await self._projection.apply_together(self._topic, slices)
            except Exception as error:  # noqa: BLE001  the same as in ``handle``
                for tp, batch in together.items():
                    self._failed(tp, batch[0].offset, error)
                    batch.clear()
                return
            for number, position in applied.items():
                tp = TopicPartition(self._topic, number)
                self._record_progress(tp, batches[tp], position)
                batches[tp].clear()

    def _record_progress(self, tp: TopicPartition, batch: list[RawRecord], position: int) -> None:
        self._count("batch")
        if self.owns(tp):
            self.states[tp] = PartitionState(position, batch[-1].offset + 1, batch[-1].timestamp)
            self.last_known[tp] = batch[-1].offset + 1

    async def _apply(self, tp: TopicPartition, batch: list[RawRecord]) -> None:
        if not await self._is_current(tp, batch):
            self._count("stale")
            return
        state = self.states.get(tp)
        if state is None or batch[0].offset < state.next_offset:  # the client went back by itself: the log is shorter than it was
            self.states.pop(tp, None)
            await self._resume([tp])
            return
        if batch[0].offset > state.next_offset:
            await self._check_gap(tp, state)
        try:
            position = await self._projection.apply(self._topic, tp.partition, [_record(record) for record in batch], state.fence)
        except PositionMovedError:  # a zombie was here, or we are one: go where the table is
            self._count("moved")
            self.states.pop(tp, None)
            await self._resume([tp])
            return
        self._record_progress(tp, batch, position)

    async def _check_gap(self, tp: TopicPartition, state: PartitionState) -> None:
        """Markers and compaction leave gaps, and so does retention, of which the client says nothing: only the log's start tells."""
        self._count("gap")
        if self.consumer is None:
            return
        start = (await start_offsets(self.consumer, [tp]))[tp]
        if start > state.next_offset:
            self._report_lost(tp, start - state.next_offset)
            state.next_offset = start

    # -- retries --------------------------------------------------------------------------------------------------

    def _succeeded(self, tp: TopicPartition) -> None:
        if self.retries.pop(tp, None) is not None:
            self._clear_alarm("partition_failing", tp.partition)

    def _failed(self, tp: TopicPartition, offset: int | None, error: Exception) -> None:
        """Seek back, pause the partition and try again later, with jitter; the heartbeat and the other partitions go on."""
        self._count("retry")
        failures = self.retries[tp].failures + 1 if tp in self.retries else 1
        seconds = min(BACKOFF_SECONDS_MIN * 2 ** min(failures, 10), BACKOFF_SECONDS_MAX) * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
        self.retries[tp] = RetryState(failures, time.monotonic() + seconds)
        logger.warning(
            "a batch is tried again",
            group=self._group,
            partition=tp.partition,
            offset=offset,
            failures=failures,
            error_type=type(error).__name__,
            exc_info=error,
        )
        if failures == self._failures_to_alarm:
            self._raise_alarm(
                Alarm(
                    kind="partition_failing",
                    topic=self._topic,
                    partition=tp.partition,
                    detail=f"{type(error).__name__} at offset {offset}, again and again",
                )
            )
        if self.owns(tp) and self.consumer is not None:
            self._seek_back(tp, offset)
            self.consumer.pause(tp)
        self.states.pop(tp, None)  # the position is read anew, and the log checked, before the next attempt

    def _seek_back(self, tp: TopicPartition, offset: int | None) -> None:
        state = self.states.get(tp)
        target = state.next_offset if state else offset
        if target is not None and self.owns(tp) and self.consumer is not None:
            self.consumer.seek(tp, target)

    async def retry_due(self, at: float) -> None:
        """Find the position again where the wait is over, and go on there.

        Args:
            at: Monotonic seconds.
        """
        for tp, retry in list(self.retries.items()):
            if (
                retry.retry_at <= at
                and self.owns(tp)
                and self.consumer is not None
                and tp in self.consumer.paused()
                and tp not in self.halted
            ):
                try:
                    async with self._apply_lock:
                        await self._resume([tp])
                except Exception as error:  # noqa: BLE001  still away
                    self._failed(tp, None, error)
                    continue
                if self.owns(tp) and tp not in self.halted:
                    self.consumer.resume(tp)

    async def verify_positions(self) -> None:
        """Look at what no record would show: see whether what was halted may go on, and whether the table stands where it was left.

        An operator may have set a position, or taken a topic back; and a database that crashed may have taken back its last commits. Where
        nothing more is written, nobody else would notice.
        """
        for tp in list(self.halted):
            if self.owns(tp):
                async with self._apply_lock:
                    await self._resume([tp])
        async with self._apply_lock:
            state = {tp.partition: one.fence for tp, one in self.states.items() if self.owns(tp)}
            rows = await self._projection.stored(self._topic, list(state)) if state else {}
            moved = [number for number, fence in state.items() if fence != (rows[number].next_offset if number in rows else 0)]
            for number in moved:
                self._count("moved")
                self.states.pop(TopicPartition(self._topic, number), None)
            await self._resume([TopicPartition(self._topic, number) for number in moved])

    def is_known_stalled(self, tp: TopicPartition, at: float) -> bool:
        """Whether it is known why the partition does not move: halted, or failing and being retried.

        Args:
            tp: The partition.
            at: Monotonic seconds.
        """
        retry = self.retries.get(tp)
        return tp in self.halted or (retry is not None and at < retry.retry_at + RETRY_GRACE_SECONDS)

    def _count(self, kind: str) -> None:
        CONSUMER_EVENTS.labels(self._group, kind).inc()


def _record(record: RawRecord) -> LogRecord:
    headers: Any = record.headers
    return LogRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=headers,
        timestamp_ms=record.timestamp,
    )
