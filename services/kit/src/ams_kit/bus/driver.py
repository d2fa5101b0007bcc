"""Applies batches from the log to a projection, and handles moved positions, gaps and retries.

Correctness depends only on the projection's transaction, which compares the stored position. This module supplies the values to compare:
``fence``, the position that this process last applied or found stored, and ``next_offset``, the offset that it last sought or reached.
Offsets alone prove nothing, because transaction markers and compaction leave gaps.
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
FAILURES_TO_ALARM = 12  # about half a minute of retries: longer than a restart of Postgres takes
RETRY_GRACE_SECONDS = 30.0  # how long one attempt may take before the watchdog counts it as a stall
REVOKE_TIMEOUT_SECONDS = 8.0  # less than the session timeout; the fence keeps the data correct if the wait ends early

logger = structlog.get_logger(__name__)

RawRecord = ConsumerRecord[bytes, bytes]


class PartitionState(Struct):
    """The progress of this process in one partition.

    Attributes:
        fence: The value that the stored position must have.
        next_offset: Everything before it is applied, or deleted by the log.
        last_timestamp_ms: Timestamp of the last record that this process applied, 0 before the first one.
    """

    fence: int
    next_offset: int
    last_timestamp_ms: int = 0


class RetryState(Struct):
    """A partition whose batch failed: the consecutive failures, and when to retry (monotonic seconds)."""

    failures: int
    retry_at: float


class Driver(ConsumerRebalanceListener):
    """Applies records of the currently assigned partitions to one projection."""

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
        self.last_known: dict[TopicPartition, int] = {}  # next offsets, kept while a position has to be read again
        self.retries: dict[TopicPartition, RetryState] = {}
        self.halted: set[TopicPartition] = set()

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The client, or ``None`` before FastStream has created it."""
        return self.subscriber.consumer if self.subscriber is not None else None

    # -- assignment ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]  the client awaits what its base class declares as None
        """Let the transaction in flight finish, then discard all state, because another process may own the partitions next."""
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
        """Seek before the first batch. aiokafka discards exceptions of this call, so ``handle`` does not rely on it."""
        self._revoking = False
        try:
            await self._resume(list(assigned))
        except Exception as error:  # noqa: BLE001  after any error the first batch tries again
            logger.info("no position read on assignment", group=self._group, error_type=type(error).__name__)

    @property
    def applying(self) -> bool:
        """Whether a batch is currently being applied."""
        return self._apply_lock.locked()

    @property
    def is_draining(self) -> bool:
        """Whether ``drain`` was called, so that no further batch is applied."""
        return self._draining

    async def drain(self, timeout_seconds: float) -> None:
        """Let the current batch finish, and apply no further one."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_seconds), self._apply_lock:
                pass
        except TimeoutError:
            logger.warning("stopped while a transaction was in flight", group=self._group)

    def owns(self, tp: TopicPartition) -> bool:
        """Whether the partition is currently assigned to this process."""
        return self.consumer is not None and not self._revoking and tp in self.consumer.assignment()

    async def _resume(self, partitions: list[TopicPartition]) -> None:
        """Read the stored positions, compare them with the log, and seek or halt."""
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
        detail = "the log starts after the stored position: it deleted records before they were applied"
        self._raise_alarm(Alarm(kind="records_lost", topic=self._topic, partition=tp.partition, detail=detail, lost_records=lost))

    # -- batches ---------------------------------------------------------------------------------------------------

    async def handle(self, records: Sequence[RawRecord]) -> None:
        """Apply the batches that continue our position, and seek back to those that failed.

        Errors are caught here, because the client would continue with the next records after an exception.

        Args:
            records: The records of one poll.
        """
        batches = {TopicPartition(*tp): list(group) for tp, group in groupby(records, attrgetter("topic", "partition"))}
        if len(batches) > 1:
            await self._apply_together(batches)
        failed = False
        for partition, batch in batches.items():
            if not batch or self._draining or not self.owns(partition):
                continue
            if failed:  # Postgres is probably unavailable: one attempt per poll is enough, so the other partitions seek back without one
                self._seek_back(partition, batch[0].offset)
                continue
            try:
                async with self._apply_lock:
                    await self._apply(partition, batch)
                self._succeeded(partition)
            except Exception as error:  # noqa: BLE001  a bug or an outage: retry the batch, never skip it or reject it as a dead letter
                failed = True
                self._failed(partition, batch[0].offset, error)

    async def _is_current(self, tp: TopicPartition, batch: list[RawRecord]) -> bool:
        """Whether the client's position is still after this batch.

        While a batch waits for the lock, another task may seek the partition further back. The records of the batch are then read again, after
        the records before them. By offsets alone the old batch would look like one after a gap.
        """
        if self.consumer is None or not self.owns(tp):
            return False
        async with asyncio.timeout(1):
            return await self.consumer.position(tp) > batch[-1].offset

    async def _can_apply_directly(self, tp: TopicPartition, batch: list[RawRecord]) -> bool:
        state = self.states.get(tp)
        return state is not None and state.next_offset == batch[0].offset and tp not in self.retries and await self._is_current(tp, batch)

    async def _apply_together(self, batches: dict[TopicPartition, list[RawRecord]]) -> None:
        """Apply the batches of several partitions in one call and empty those that were applied. ``_apply`` handles the rest."""
        async with self._apply_lock:
            try:
                together = {tp: batch for tp, batch in batches.items() if await self._can_apply_directly(tp, batch)}
            except (KafkaError, TimeoutError):  # the client has no position now; ``_apply`` turns this into a retry of each partition
                return
            slices = [
                PartitionBatch(tp.partition, [_record(record) for record in batch], self.states[tp].fence) for tp, batch in together.items()
            ]
            if len(slices) < 2:  # noqa: PLR2004  a single partition gains nothing here
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
        if state is None or batch[0].offset < state.next_offset:  # the client reset its offset: the log is shorter than before
            self.states.pop(tp, None)
            await self._resume([tp])
            return
        if batch[0].offset > state.next_offset:
            await self._check_gap(tp, state)
        try:
            position = await self._projection.apply(self._topic, tp.partition, [_record(record) for record in batch], state.fence)
        except (
            PositionMovedError
        ):  # another process moved the position, before or after it took over this partition: resume where the table is
            self._count("moved")
            self.states.pop(tp, None)
            await self._resume([tp])
            return
        self._record_progress(tp, batch, position)

    async def _check_gap(self, tp: TopicPartition, state: PartitionState) -> None:
        """Report records that retention deleted. Only the log's start distinguishes them from gaps of markers and compaction."""
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
        """Seek back, pause the partition and schedule a retry with back-off. Heartbeats and the other partitions continue."""
        self._count("retry")
        failures = self.retries[tp].failures + 1 if tp in self.retries else 1
        seconds = min(BACKOFF_SECONDS_MIN * 2 ** min(failures, 10), BACKOFF_SECONDS_MAX) * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
        self.retries[tp] = RetryState(failures, time.monotonic() + seconds)
        logger.warning(
            "batch failed and will be retried",
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
                    detail=f"{type(error).__name__} at offset {offset} in {failures} attempts in a row",
                )
            )
        if self.owns(tp) and self.consumer is not None:
            self._seek_back(tp, offset)
            self.consumer.pause(tp)
        self.states.pop(tp, None)  # the next attempt reads the position again and checks the log

    def _seek_back(self, tp: TopicPartition, offset: int | None) -> None:
        state = self.states.get(tp)
        target = state.next_offset if state else offset
        if target is not None and self.owns(tp) and self.consumer is not None:
            self.consumer.seek(tp, target)

    async def retry_due(self, at: float) -> None:
        """Resume the partitions whose back-off is over, from their stored position.

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
                except Exception as error:  # noqa: BLE001  the outage continues
                    self._failed(tp, None, error)
                    continue
                if self.owns(tp) and tp not in self.halted:
                    self.consumer.resume(tp)

    async def verify_positions(self) -> None:
        """Check whether halted partitions can resume, and whether the stored positions are still those of this process.

        An operator may have set a position or restored a topic, and a crashed database may have lost its last commits. In a partition
        without new records no batch would reveal that.
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
        """Whether the lack of progress has a known cause: the partition is halted, or its batch fails and is retried.

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
