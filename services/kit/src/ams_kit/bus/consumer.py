"""The consumer: reads one topic in a group and applies it to a projection, in the background and across broker outages."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from itertools import chain
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from msgspec import Struct

from ams_contracts.topics import Topic
from ams_kit.background import Background, BackgroundTask
from ams_kit.bus.alarms import Alarm, OnAlarm
from ams_kit.bus.clients import METADATA_AGE_MS, PARTITION_BYTES_MAX, Kafka, make_broker
from ams_kit.bus.cluster import log_errors, partition_counts, stop_quietly
from ams_kit.bus.driver import FAILURES_TO_ALARM, Driver, RawRecord
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.membership import GroupMember, drop_instance_id, is_group_rejection
from ams_kit.bus.offsets import end_offsets
from ams_kit.bus.records import Projection
from ams_kit.bus.topics import partition_count_alarm
from ams_kit.bus.watchdog import STALLED_AFTER_SECONDS, Progress, Watchdog
from ams_kit.telemetry.metrics import LAG_RECORDS, LAG_SECONDS, LOG_ALARM
from ams_kit.telemetry.tracing import consuming

START_TIMEOUT_SECONDS = 15.0
STOP_TIMEOUT_SECONDS = 8.0  # the complete process stops within 10 s
OBSERVE_SECONDS = 1.0
VERIFY_SECONDS = 10.0
RETRY_POLL_SECONDS = 0.05
POLL_MS = 500
DRAIN_TIMEOUT_SECONDS = 6.0
STALLED_EXIT_CODE = 70

logger = structlog.get_logger(__name__)


class Lag(Struct, frozen=True):
    """How far a projection is behind the end of the log in one partition. ``seconds`` is 0 when it has applied everything."""

    records: int
    seconds: float


def end_process() -> None:
    """End the process without cleanup, the watchdog's default action.

    A stalled client does not stop cleanly either. Positions are in the database, and the process supervisor starts a new process.
    """
    os._exit(STALLED_EXIT_CODE)


class Consumer:
    """Reads a topic in a consumer group and applies its records to a projection.

    The projection stores the positions; offsets are committed to Kafka only for lag tools. ``start`` returns immediately; the work runs in the
    background, waits for the broker and the topic, and reconnects.
    """

    def __init__(
        self,
        kafka: Kafka,
        group: str,
        topic: Topic,
        projection: Projection,
        *,
        instance_id: str | None = None,
        records_max: int = 2_000,
        on_alarm: OnAlarm | None = None,
        on_stalled: Callable[[], None] = end_process,
        stalled_after_seconds: float = STALLED_AFTER_SECONDS,
        session_timeout_ms: int = 10_000,
        failures_to_alarm: int = FAILURES_TO_ALARM,
    ) -> None:
        """Create the consumer without connecting.

        Args:
            kafka: How to reach Kafka.
            group: Consumers of one group share the partitions. The name also labels the projection in metrics.
            topic: The topic to read.
            projection: Applies the records.
            instance_id: The id of static membership, where an ordinal exists: a rebalance after a restart takes 0.4 s instead of the session
                timeout. When two processes use one id, the later one keeps it and the other continues without.
            records_max: The limit of records per poll.
            on_alarm: Called with each alarm once, when it begins.
            on_stalled: Called when there is lag without progress; by default it ends the process.
            stalled_after_seconds: How long a partition may have lag without progress.
            session_timeout_ms: How long without a heartbeat until the group assigns the partitions to other members.
            failures_to_alarm: Failed attempts in a row after which a partition raises an alarm.
        """
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._instance_id = instance_id
        self._records_max = records_max
        self._on_alarm = on_alarm
        self._on_stalled = on_stalled
        self._session_timeout_ms = session_timeout_ms
        self._driver = Driver(
            kafka,
            topic.name,
            projection,
            group,
            raise_alarm=self._raise_alarm,
            clear_alarm=self._clear_alarm,
            failures_to_alarm=failures_to_alarm,
        )
        self._watchdog = Watchdog(stalled_after_seconds)
        self._background: Background | None = None
        self._tasks: list[BackgroundTask] = []
        self._broker: KafkaBroker | None = None
        self._verified_at = time.monotonic()
        self._committed: dict[TopicPartition, int] = {}
        self._lag: dict[int, Lag] = {}
        self._no_lag_at: dict[int, float] = {}
        self._alarms: dict[tuple[str, int | None], Alarm] = {}

    async def start(self, background: Background | None = None) -> None:
        """Start to consume in the background. Returns immediately, whether or not the broker answers.

        Args:
            background: Supervises the loops; by default the consumer creates its own supervisor, which only ``check`` reports.
        """
        self._background = background or Background()
        name = f"consumer-{self._group}"
        self._tasks = [
            self._background.spawn(name, self._consume),
            self._background.spawn_periodic(
                f"{name}-observer", self._observe, every_seconds=OBSERVE_SECONDS, on_failure=lambda _: self._watchdog.reset()
            ),
            self._background.spawn(f"{name}-retries", self._retry_loop),
        ]

    async def stop(self) -> None:
        """Finish the current batch and leave the group, within 8 s."""
        await self._driver.drain(DRAIN_TIMEOUT_SECONDS)
        for task in self._tasks:
            await task.stop()

    async def check(self) -> None:
        """Check readiness.

        Raises:
            LogUnavailableError: The consumer is not connected or has no partitions.
            BackgroundFailedError: A loop fails repeatedly.
        """
        if self._background is not None:
            await self._background.check()
        if self._broker is None or self._driver.consumer is None or not self._driver.consumer.assignment():
            raise LogUnavailableError("The consumer has no partitions yet.")

    def lag(self) -> dict[int, Lag]:
        """Return the lag per assigned partition, measured every second."""
        return dict(self._lag)

    def behind(self) -> int:
        """Return the number of records that are known to wait: up to the end in the last fetch response, without a request."""
        consumer = self._driver.consumer
        if consumer is None:
            return 0
        known = {tp: next_offset for tp, next_offset in self._driver.last_known.items() if self._driver.owns(tp)}
        return sum(max(0, (consumer.highwater(tp) or 0) - next_offset) for tp, next_offset in known.items())

    @property
    def alarms(self) -> list[Alarm]:
        """The active alarms, including losses of records since the start."""
        return list(self._alarms.values())

    # -- connection ------------------------------------------------------------------------------------------------

    async def _consume(self) -> None:
        """Join the group and apply records. Raises when the client is no longer usable."""
        with log_errors():
            await self._check_topic()
            consumer = await self._connect()
            try:
                while True:
                    if (records := await self._poll(consumer)) and not self._driver.is_draining:
                        with consuming(self._topic.name, self._group, records):
                            await self._driver.handle(records)
            finally:
                await asyncio.shield(self._disconnect())

    async def _poll(self, consumer: AIOKafkaConsumer) -> list[RawRecord]:
        """Fetch the next records of all partitions, or none after half a second."""
        try:
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._records_max)
        except KafkaError as error:
            if not is_group_rejection(error):
                raise
            self._instance_id = None
            drop_instance_id(consumer)  # otherwise the client would repeat the rejected request without end
            return []
        return list(chain.from_iterable(fetched.values()))

    async def _check_topic(self) -> None:
        found = (await partition_counts(self._kafka, [self._topic.name])).get(self._topic.name)
        if found is None:
            self._raise_alarm(Alarm(kind="topic_missing", topic=self._topic.name, detail="create it with: python -m ams_kit.bus topics"))
            raise LogUnavailableError(f"There is no topic {self._topic.name}.")
        self._clear_alarm("topic_missing", None)
        if found != self._topic.partitions:
            self._raise_alarm(partition_count_alarm(self._topic, found))

    async def _connect(self) -> AIOKafkaConsumer:
        faststream_logger = logging.getLogger("ams_kit.bus.faststream")
        faststream_logger.setLevel(
            logging.ERROR
        )  # it warns at every start that topics are not created automatically, and logs two lines per batch
        broker = make_broker(
            self._kafka,
            f"ams-{self._group}-{os.getpid()}",
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=STOP_TIMEOUT_SECONDS - 2,
            metadata_max_age_ms=METADATA_AGE_MS,
            logger=faststream_logger,
            log_level=logging.DEBUG,
        )
        subscriber = broker.subscriber(
            self._topic.name,
            batch=True,
            group_id=self._group,
            group_instance_id=self._instance_id,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            no_reply=True,
            listener=GroupMember(self._driver, lambda: self._driver.consumer),
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=PARTITION_BYTES_MAX,
            session_timeout_ms=self._session_timeout_ms,
            heartbeat_interval_ms=500,
            max_poll_interval_ms=300_000,
        )
        self._driver.subscriber = subscriber
        self._broker = broker
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await broker.start()
        except BaseException:
            await asyncio.shield(self._disconnect())
            raise
        if subscriber.consumer is None:
            raise LogUnavailableError("The subscriber has no client.")
        logger.info("consuming", group=self._group, topic=self._topic.name)
        return subscriber.consumer

    async def _disconnect(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            await stop_quietly(cast("Coroutine[Any, Any, object]", broker.stop()), "consumer", timeout_seconds=STOP_TIMEOUT_SECONDS)
        self._driver.subscriber = None

    # -- observation -----------------------------------------------------------------------------------------------

    async def _retry_loop(self) -> None:
        while True:
            await asyncio.sleep(RETRY_POLL_SECONDS if self._driver.retries else OBSERVE_SECONDS / 4)
            await self._driver.retry_due(time.monotonic())

    async def _observe(self) -> None:
        """Measure the lag, commit offsets for lag tools, and verify the positions every ``VERIFY_SECONDS``.

        A failure resets the watchdog, because the lag is unknown then.
        """
        with log_errors():
            await self._measure()
            await self._commit()
            if time.monotonic() - self._verified_at > VERIFY_SECONDS:
                self._verified_at = time.monotonic()
                await self._driver.verify_positions()

    async def _measure(self) -> None:
        consumer = self._driver.consumer
        if consumer is None or not consumer.assignment():
            self._watchdog.reset()
            self._lag = {}
            return
        before = dict(self._driver.last_known)
        ends = await end_offsets(consumer, consumer.assignment())
        progress: dict[int, Progress] = {}
        for tp, end in ends.items():
            if not self._driver.owns(tp) or tp not in self._driver.last_known:
                continue
            state = self._driver.states.get(tp)
            next_offset = self._driver.last_known[tp]
            if state and next_offset < end and before.get(tp) == next_offset:
                next_offset = await self._skip_markers(tp, next_offset)
            progress[tp.partition] = Progress(next_offset, end, self._driver.is_known_stalled(tp, time.monotonic()))
            self._record_lag(tp.partition, end - next_offset, state.last_timestamp_ms if state else 0)
        self._lag = {number: lag for number, lag in self._lag.items() if number in progress}
        if (stalled := self._watchdog.observe(progress, time.monotonic())) is not None:
            logger.critical(
                "consumer stalled: lag without progress",
                group=self._group,
                partition=stalled,
                lag=progress[stalled].end - progress[stalled].next_offset,
            )
            self._on_stalled()

    async def _skip_markers(self, tp: TopicPartition, next_offset: int) -> int:
        """Count transaction markers as applied, because the client skips them without returning anything."""
        consumer = self._driver.consumer
        if consumer is None or self._driver.applying or tp in consumer.paused():
            return next_offset
        async with asyncio.timeout(1):
            return max(next_offset, await consumer.position(tp))

    def _record_lag(self, partition: int, records: int, last_timestamp_ms: int) -> None:
        now = time.time()
        records = max(0, records)
        if not records:
            self._no_lag_at[partition] = now
        since = max(last_timestamp_ms / 1000, self._no_lag_at.setdefault(partition, now))
        seconds = now - since if records else 0.0
        self._lag[partition] = Lag(records, seconds)
        LAG_RECORDS.labels(self._group, str(partition)).set(records)
        LAG_SECONDS.labels(self._group, str(partition)).set(seconds)

    async def _commit(self) -> None:
        """Commit offsets to Kafka for lag tools."""
        consumer = self._driver.consumer
        if consumer is None:
            return
        moved = {
            tp: state.next_offset
            for tp, state in self._driver.states.items()
            if self._driver.owns(tp) and self._committed.get(tp) != state.next_offset
        }
        if moved:
            async with asyncio.timeout(5):
                await consumer.commit(moved)
            self._committed.update(moved)

    # -- alarms ----------------------------------------------------------------------------------------------------

    def _raise_alarm(self, alarm: Alarm) -> None:
        known = (alarm.kind, alarm.partition) in self._alarms
        self._alarms[alarm.kind, alarm.partition] = alarm
        LOG_ALARM.labels(self._group, alarm.kind, str(alarm.partition)).set(1)
        if known and alarm.kind != "records_lost":
            return
        logger.critical(
            "alarm of the log",
            group=self._group,
            kind=alarm.kind,
            topic=alarm.topic,
            partition=alarm.partition,
            detail=alarm.detail,
            lost=alarm.lost_records,
        )
        if self._on_alarm is not None:
            self._on_alarm(alarm)

    def _clear_alarm(self, kind: str, partition: int | None) -> None:
        for key in [key for key in self._alarms if key[0] == kind and key[1] == partition]:
            del self._alarms[key]
            LOG_ALARM.labels(self._group, kind, str(partition)).set(0)
