"""One transaction a batch, or one for what several partitions brought at once (ADR 0034): effect and position together."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date

import asyncpg

from ams_kit.bus import PartitionBatch, StoredPosition
from ams_kit.telemetry.metrics import (
    DEAD_LETTERS_DROPPED,
    EVENTS_ACCOUNTED,
    EVENTS_DEAD,
    EVENTS_DUPLICATE,
    EVENTS_IGNORED,
    EVENTS_PROJECTED,
    PROJECT_SECONDS,
)
from ams_trace_ingest.projector.applier import BatchApplier
from ams_trace_ingest.projector.changes import BatchChanges
from ams_trace_ingest.projector.decode import BatchDecoder
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.store import dead_letters, deleted_projects, positions, task_days
from ams_trace_ingest.store.connections import Connection, set_generation
from ams_trace_ingest.store.day_partitions import DayPartitions
from ams_trace_ingest.store.tasks import TaskKey

ACQUIRE_TIMEOUT_SECONDS = 5

Moves = Mapping[int, tuple[int, int]]
"""By partition a position before and after."""


class _TrialOverError(Exception):
    """Raised to roll a trial back."""


class TransactionalProjection(BatchApplier):
    """A projection into Postgres; a subclass decodes records into changes, and writes changes.

    It is an ``ams_kit.bus.Projection``: effect and position are one transaction, and its lock on the position row makes this the only
    writer of the partition.
    """

    def __init__(self, pool: asyncpg.Pool, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        """``now_us`` is used instead of a broker's time that is missing or far in the future."""
        super().__init__()
        self._pool = pool
        self._now_us = now_us
        self.day_partitions = DayPartitions()

    async def write(self, connection: Connection, decoder: BatchDecoder, *, generation: str, moves: Moves) -> Callable[[], None]:
        """Write what was decoded, within the transaction that holds the positions of its partitions.

        Args:
            connection: In the transaction.
            decoder: Has decoded the records.
            generation: Of the tables.
            moves: By partition the position that is locked, and the one that it moves to.

        Returns:
            What to do once it is committed.

        Raises:
            NotTogetherError: It has decoded several partitions, and they have to be written one by one.
        """
        raise NotImplementedError

    def on_not_new(self) -> None:
        self.day_partitions.clear()

    async def stored(self, topic: str, partitions: Sequence[int]) -> dict[int, StoredPosition]:
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection, connection.transaction():
            await set_generation(connection)
            for partition, account in (await positions.accounts(connection, self.projection, topic, partitions)).items():
                export_account(self.projection, topic, partition, account)
            return await positions.load(connection, self.projection, topic, partitions)

    async def transact(self, batches: Sequence[PartitionBatch], decoder: BatchDecoder, *, trial: bool = False) -> dict[int, int]:
        moves = {one.partition: (one.expected, one.records[-1].offset + 1) for one in batches}
        with suppress(_TrialOverError):
            await self._transact(batches, decoder, moves, trial=trial)
        return {partition: position for partition, (_, position) in moves.items()}

    async def _transact(self, batches: Sequence[PartitionBatch], decoder: BatchDecoder, moves: Moves, *, trial: bool) -> None:
        started = time.perf_counter()
        topic, changes = batches[0].records[-1].topic, decoder.changes
        failpoint("before_begin")
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            async with connection.transaction():
                generation = await set_generation(connection)
                before = await positions.lock(
                    connection, self.projection, topic, {partition: expected for partition, (expected, _) in moves.items()}
                )
                failpoint("after_lock")
                if changes.deleted_projects:
                    await deleted_projects.record(connection, changes.deleted_projects)
                    changes.ignore_deleted_projects()
                committed = await self.write(connection, decoder, generation=generation, moves=moves)
                dropped = 0
                if changes.letters:
                    dropped = await dead_letters.insert(connection, changes.letters)
                    failpoint("after_letters")
                accounts = {partition: account.plus(changes.tally(partition).account()) for partition, account in before.items()}
                stored = {one.partition: StoredPosition(moves[one.partition][1], one.records[-1].timestamp_ms) for one in batches}
                await positions.move(connection, self.projection, topic, stored, accounts)
                failpoint("after_move")
                if trial:
                    raise _TrialOverError
            failpoint("after_commit")
        committed()
        DEAD_LETTERS_DROPPED.inc(dropped)
        self._count(changes)
        for partition, account in accounts.items():
            export_account(self.projection, topic, partition, account)
        PROJECT_SECONDS.labels(self.projection).observe(time.perf_counter() - started)

    def _count(self, changes: BatchChanges) -> None:
        for letter in changes.letters:
            EVENTS_DEAD.labels(self.projection, letter.reason).inc()
        for tally in changes.tallies.values():
            for reason, count in tally.ignored.items():
                EVENTS_IGNORED.labels(self.projection, reason).inc(count)
            if tally.duplicates:
                EVENTS_DUPLICATE.labels(self.projection).inc(tally.duplicates)
            EVENTS_PROJECTED.labels(self.projection).inc(max(0, tally.account().projected))


async def assign_days(connection: Connection, changes: BatchChanges) -> Mapping[TaskKey, date]:
    """Block deletions until the transaction ends, and drop the changes of tasks that were deleted or are older than is kept.

    For the projections of what belongs to steps; that of the steps itself has more to lock.

    Returns:
        The days of the tasks that are left.
    """
    await task_days.block_deletions(connection)
    found = await task_days.assign(connection, changes.first_days())
    failpoint("after_days")
    for reason, keys in found.ignored():
        changes.ignore(keys, reason)
    return found.day


def export_account(projection: str, topic: str, partition: int, account: positions.Account) -> None:
    """Export the stored account as metrics; unlike the counters, it does not restart with the process."""
    for outcome, count in (("projected", account.projected), ("duplicate", account.duplicate), ("dead", account.dead)):
        EVENTS_ACCOUNTED.labels(projection, topic, str(partition), outcome, "").set(count)
    for reason, count in account.ignored.items():
        EVENTS_ACCOUNTED.labels(projection, topic, str(partition), "ignored", reason).set(count)
