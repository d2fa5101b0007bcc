"""Reads the log again into the next generation, up to the positions of the current one, and gives way to the live projector."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from ams_contracts.topics import Topic
from ams_kit.bus import Kafka, PartitionBatch, PositionMovedError, StoredPosition, TopicReader
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.derive_due import derive_next_due
from ams_trace_ingest.projector.payloads import PayloadsProjection
from ams_trace_ingest.projector.sweeps import ROOT_AFTER_SECONDS, TASKS_MAX
from ams_trace_ingest.projector.task_columns import FLAG_NO_ROOT
from ams_trace_ingest.projector.text import TextProjection
from ams_trace_ingest.projector.transaction import TransactionalProjection
from ams_trace_ingest.replay.generations import Place
from ams_trace_ingest.store import sweeps
from ams_trace_ingest.store.connections import set_generation

RECORDS_MAX = 500  # of one read; the projection makes transactions of at most 1.5 MiB of them
AT_ONCE = 2  # transactions at a time: one is written while the other is decoded
LIVE_LAG_RECORDS_MAX = 500
WAIT_SECONDS_MAX = 2.0  # then a batch is applied anyway, so that a replay ends under load
LOOK_SECONDS = 1.0
FAILURES_MAX = 10
BACKOFF_SECONDS_MAX = 5.0

_RETRIED = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, PositionMovedError)

logger = structlog.get_logger(__name__)

Targets = Mapping[Place, int]


async def _all_of(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them at the same time; the first error cancels the others and is raised alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


class Source:
    """One projection over one topic, in the next generation."""

    def __init__(self, projection: TransactionalProjection, kafka: Kafka, topic: Topic) -> None:
        self.projection = projection
        self.reader = TopicReader(kafka, topic)
        self.topic = topic
        self.began_at: dict[int, int] = {}
        self._applied: dict[int, int] = {}
        self._fence: dict[int, int] = {}
        self._interrupted = False  # an error came within a batch: the stored positions have to be read again

    async def open(self) -> None:
        """Connect, and start at the stored positions."""
        stored = await self._stored()
        await self.reader.start(stored)
        self._mark_all_applied()
        self.began_at = dict(self._applied)

    async def close(self) -> None:
        await self.reader.stop()

    def place(self, partition: int) -> Place:
        return (self.projection.projection, self.topic.name, partition)

    def until(self, targets: Targets) -> dict[int, int]:
        """The targets of this source."""
        return {partition: targets.get(self.place(partition), 0) for partition in range(self.topic.partitions)}

    def missing(self, until: Mapping[int, int]) -> int:
        """How many offsets are left."""
        return sum(max(0, offset - self._applied[partition]) for partition, offset in until.items())

    def done(self) -> int:
        """How many offsets were applied since the start."""
        return sum(self._applied[partition] - offset for partition, offset in self.began_at.items())

    async def advance(self, until: Mapping[int, int], slots: asyncio.Semaphore) -> None:
        """Read once, and apply the records."""
        try:
            taken = await self.reader.read(until, RECORDS_MAX)
            if len(taken) > 1:
                async with slots:
                    slices = [PartitionBatch(partition, records, self._fence.get(partition, 0)) for partition, records in taken.items()]
                    together = await self.projection.apply_together(self.topic.name, slices)
                    self._fence.update(together)
                    self._applied.update(together)
                    taken = {partition: records for partition, records in taken.items() if partition not in together}
            for partition, records in taken.items():
                async with slots:
                    self._fence[partition] = self._applied[partition] = await self.projection.apply(
                        self.topic.name, partition, records, self._fence.get(partition, 0)
                    )
        except BaseException:
            self._interrupted = True
            raise
        self._mark_all_applied()

    def _mark_all_applied(self) -> None:
        """Note that everything that was read is applied."""
        self._applied = {partition: self.reader.next_offset(partition) for partition in range(self.topic.partitions)}

    async def resume(self) -> None:
        """Read the stored positions again after an error."""
        if self._interrupted:
            await self.reader.seek(await self._stored())
            self._mark_all_applied()
            self._interrupted = False

    async def _stored(self) -> dict[int, StoredPosition]:
        stored = await self.projection.stored(self.topic.name, list(range(self.topic.partitions)))
        self._fence = {partition: one.next_offset for partition, one in stored.items()}
        return stored


class Builder:
    """Builds the next generation."""

    def __init__(self, kafka: Kafka, pool: asyncpg.Pool, steps: StepsProjection, topics: tuple[Topic, Topic]) -> None:
        """Opens nothing.

        Args:
            kafka: How to reach the log.
            pool: Connections to the next generation.
            steps: The projection of steps, which may count other prices; on ``pool``.
            topics: Of steps and of payloads.
        """
        self._pool = pool
        self._of_steps, of_payloads = topics
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.sources: Sequence[Source] = (
            Source(steps, kafka, self._of_steps),
            Source(PayloadsProjection(pool), kafka, of_payloads),
            Source(TextProjection(pool), kafka, of_payloads),
            Source(TextProjection(pool), kafka, self._of_steps),
        )
        self._kafka = kafka
        self._ends: dict[tuple[str, int], int] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self._live_lag = 0

    async def open(self) -> None:
        """Connect to the log."""
        await _all_of(source.open() for source in self.sources)

    async def close(self) -> None:
        """Disconnect."""
        for source in self.sources:
            await source.close()

    async def remap(self, projection: TransactionalProjection, payloads: Topic, on_progress: Callable[[int, int], None]) -> None:
        """Map the originals again: all that are in the log now. Those that come later were mapped by today's rules.

        Args:
            projection: Writes the documents.
            payloads: The topic.
            on_progress: Called with the records that were read, and those that are left.
        """
        source = Source(projection, self._kafka, payloads)
        await source.open()
        try:
            until = {partition: end for partition, (_, end) in (await source.reader.bounds()).items()}
            while source.missing(until):
                await source.resume()
                await source.advance(until, self._slots)
                on_progress(source.done(), source.missing(until))
        finally:
            await source.close()

    async def targets(self, live: Mapping[Place, int]) -> dict[Place, int]:
        """The offsets to reach: the positions of the current generation, but not beyond the end of the log.

        Args:
            live: The current generation's positions.
        """
        await _all_of(self._read_bounds(source) for source in self.sources[:2])
        self._live_lag = sum(
            max(0, self._ends[topic, partition] - offset)
            for (projection, topic, partition), offset in live.items()
            if projection != TextProjection.projection and (topic, partition) in self._ends
        )
        return {place: min(offset, self._ends[place[1:]]) for place, offset in live.items() if place[1:] in self._ends}

    async def _read_bounds(self, source: Source) -> None:
        for partition, (start, end) in (await source.reader.bounds()).items():
            self._starts[source.topic.name, partition] = start
            self._ends[source.topic.name, partition] = end

    def reached(self, live: Mapping[Place, int], targets: Targets) -> list[Place]:
        """The places at which nothing is left in the log before the current generation's position."""
        return [place for place, target in targets.items() if live[place] == target]

    def missing(self, targets: Targets) -> int:
        """How many offsets are left, of all sources."""
        return sum(source.missing(source.until(targets)) for source in self.sources)

    def done(self) -> int:
        """How many offsets were read by this process."""
        return sum(source.done() for source in self.sources)

    @property
    def lost_records(self) -> int:
        """How many the log deleted before they were read."""
        return sum(source.reader.lost_records for source in self.sources)

    @property
    def log_starts(self) -> dict[int, int]:
        """The first offset that each partition of the steps still has."""
        return {partition: start for (topic, partition), start in self._starts.items() if topic == self._of_steps.name}

    async def catch_up(self, targets: Targets, *, low_priority: bool) -> None:
        """Apply everything up to the targets.

        Args:
            targets: Per place.
            low_priority: Give way to the live projector.
        """
        await _all_of(self._catch_up(source, source.until(targets), low_priority=low_priority) for source in self.sources)

    async def _catch_up(self, source: Source, until: Mapping[int, int], *, low_priority: bool) -> None:
        failures = 0
        while True:
            try:
                await source.resume()
                if not source.missing(until):
                    return
                if low_priority:
                    await self._yield_to_live()
                await source.advance(until, self._slots)
                failures = 0
            except _RETRIED as error:
                failures += 1
                if failures > FAILURES_MAX:
                    raise
                logger.warning(
                    "a batch is tried again",
                    projection=source.projection.projection,
                    topic=source.topic.name,
                    failures=failures,
                    error_type=type(error).__name__,
                )
                await asyncio.sleep(min(0.1 * 2**failures, BACKOFF_SECONDS_MAX))

    async def _yield_to_live(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while self._live_lag > LIVE_LAG_RECORDS_MAX and time.monotonic() < deadline:  # noqa: ASYNC110  lag is measured, there is no event to wait for
            await asyncio.sleep(0.1)

    async def mark_rootless(self) -> None:
        """Show quiet tasks without a root by their steps, as the live projector's sweeps have done in the current generation."""
        before_us = time.time_ns() // 1_000 - ROOT_AFTER_SECONDS * 1_000_000
        partitions = list(range(self._of_steps.partitions))
        while True:
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                await set_generation(connection, may_sort=True)
                if len(await sweeps.mark_rootless(connection, partitions, before_us, FLAG_NO_ROOT, TASKS_MAX)) < TASKS_MAX:
                    return

    async def derive_due(self, generation: str | None = None) -> None:
        """Derive the tasks that batches have marked.

        Args:
            generation: Of other tables than those that are built.
        """
        partitions = list(range(self._of_steps.partitions))
        while True:
            async with self._pool.acquire(timeout=5) as connection, connection.transaction():
                await set_generation(connection, may_sort=True)
                if generation is not None:
                    await connection.execute("SELECT set_config('search_path', $1, true)", generation)
                if await derive_next_due(connection, partitions) is None:
                    return
