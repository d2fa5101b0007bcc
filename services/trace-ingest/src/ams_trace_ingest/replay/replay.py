"""One replay from beginning to end: make or find the next generation, build, compare, change over."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import asyncpg
import structlog
from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.events import PriceSet
from ams_contracts.topics import PAYLOADS, STEPS, Topic
from ams_kit.bus import Kafka, Log
from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.migrations.check import head, stored_revision
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.own_prices import digest, overrides_of
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.pricing.version import price_version
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.deleted_projects import ProjectPruner
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.retention import Pruner, report_deleted
from ams_trace_ingest.replay import compare, console, generations
from ams_trace_ingest.replay.build import Builder, Targets
from ams_trace_ingest.replay.generations import Generation, Generations, Place, ReplayError
from ams_trace_ingest.replay.remap import OriginalsProjection, RemappingProjection
from ams_trace_ingest.replay.remap_changes import changes_by_kind
from ams_trace_ingest.replay.reprice import RepricingProjection
from ams_trace_ingest.store import own_prices
from ams_trace_ingest.store.connections import open_writer

NEAR_RECORDS = 2_000  # records that may be left when the live projector has to wait for the rest
FEW_RECORDS = 50  # or these, as long as each round halves what is left: a record may hold a thousand events
HOLD_SECONDS_MAX = 4.0  # that the live projector waits at most; its transactions may take 8 s
LOCK_TIMEOUT = "3s"
HOLDS_MAX = 30
CONNECTIONS_MAX = 4
OWN_PRICES_PROJECTS_MAX = 500  # of one query
FAILPOINTS = ("replay_before_indexes", "replay_in_comparison", "replay_in_change_over", "replay_after_change_over")

_SEED_DAYS = "INSERT INTO {new}.task_days SELECT * FROM {old}.task_days ON CONFLICT DO NOTHING"
_SEED_VALUES = "INSERT INTO {new}.rollup_values SELECT * FROM {old}.rollup_values ON CONFLICT DO NOTHING"
_TAKE_MARKS = """
UPDATE {new}.dead_letters d SET replayed_at_us = o.replayed_at_us FROM {old}.dead_letters o
WHERE o.topic = d.topic AND o."partition" = d."partition" AND o."offset" = d."offset" AND o."index" = d."index"
  AND o.projection = d.projection AND o.replayed_at_us IS NOT NULL AND d.replayed_at_us IS NULL
"""

logger = structlog.get_logger(__name__)


class ReplayTarget(Struct, frozen=True, kw_only=True):
    """Addresses: of the database as ``ams_writer`` and as its owner, and of the log."""

    database_url: str
    owner_database_url: str
    kafka: Kafka
    topics: tuple[Topic, Topic] = (STEPS, PAYLOADS)


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """The options of one replay.

    Attributes:
        prices_file: The price file to build with, as JSON; ``{}`` for today's catalog; null for the costs that events carry.
        prices: The same, to compute with.
        accept_differences: Change over even if the tables are not the same.
        drop: Drop the old tables at the end.
        remap: Map all originals again.
        apply: With ``remap``: change over, do not only show what would change.
    """

    prices_file: str | None = None
    prices: Prices | None = None
    accept_differences: bool = False
    drop: bool = False
    remap: bool = False
    apply: bool = False


class Replay:
    """Holds the connections of one replay."""

    def __init__(self, target: ReplayTarget, owner: asyncpg.Connection, writer: asyncpg.Connection) -> None:
        """Use ``opened``."""
        self._target = target
        self.owner = owner
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def opened(cls, target: ReplayTarget) -> AsyncGenerator["Replay"]:
        """Connect, and lock out every other replay.

        Raises:
            ReplayError: Another replay runs, or the database is not migrated.
        """
        server_settings = {"application_name": "replay", "jit": "off", "lock_timeout": "10s"}
        owner = await asyncpg.connect(target.owner_database_url, timeout=10, server_settings=server_settings)
        try:
            await generations.lock(owner)
            if await stored_revision(target.owner_database_url) != head():
                raise ReplayError("the database is not of this version: run ams-trace-ingest migrate first")
            writer = await asyncpg.connect(target.database_url, timeout=10, server_settings=server_settings)
            try:
                yield cls(target, owner, writer)
            finally:
                writer.terminate()
        finally:
            owner.terminate()

    async def run(self, options: ReplayOptions) -> bool:
        """Build, compare, change over.

        Returns:
            Whether the new tables serve; not when they differ and that was not accepted.

        Raises:
            ReplayError: It is not possible; the text says why and what to do.
        """
        await generations.hold_retention(self.owner, lambda: console.print_line("waiting for a run of retention to end"))
        known = await generations.look(self.owner)
        own = await self.own_prices() if options.prices is not None or options.remap else {}
        overrides = {project_id: overrides_of(events) for project_id, events in own.items()}
        if options.prices is not None:
            options = replace(options, prices=options.prices.with_projects(overrides))
        new = await self._next(known, options, digest(own))
        await self.writer.execute(_SEED_DAYS.format(new=new.name, old=known.current.name))
        await self.writer.execute(_SEED_VALUES.format(new=new.name, old=known.current.name))
        pool = await open_writer(
            self._target.database_url, application="replay", size_max=CONNECTIONS_MAX, repeatable=True, generation=new.name
        )
        steps = _steps_projection(pool, new, options)
        builder = Builder(self._target.kafka, pool, steps, self._target.topics)
        try:
            await builder.open()
            if options.remap:
                originals = OriginalsProjection(pool, prices=Prices(GenaiPrices()).with_projects(overrides))
                await builder.remap(originals, self._target.topics[1], console.report_remap())
            return await self._run(builder, known.current, new, options)
        finally:
            await builder.close()
            pool.terminate()

    async def _next(self, known: Generations, options: ReplayOptions, own: str) -> Generation:
        new = known.next
        if new is None:
            new = await generations.make_next(self.owner, known.current, options.prices_file, remap=options.remap, own=own)
            console.print_line(f"building {new.name} beside {known.current.name}, which continues to serve")
        elif (new.remap == "again") is not options.remap:
            raise ReplayError(f"{new.name} was started {'without' if options.remap else 'with'} --remap; drop it first: ams replay --abort")
        elif options.remap and new.mapping_version != MAPPING_VERSION:
            raise ReplayError(f"{new.name} was started by another version of the mapping; drop it first: ams replay --abort")
        elif not await self._same_prices(new.prices, options.prices_file):
            raise ReplayError(f"{new.name} was started with other prices; drop it first: ams replay --abort")
        elif new.prices is not None and new.price_version != price_version(options.prices_file, own):
            raise ReplayError(f"{new.name} was started with the prices of {new.price_version}; drop it first: ams replay --abort")
        else:
            console.print_line(f"resuming the build of {new.name}")
        console.print_line(f"{new.name}: mapping version {new.mapping_version}, prices {new.price_version}")
        if options.remap:
            console.print_line(
                "inputs, outputs, words of the text search, steps of the SDK and what log records added stay as they were stored"
            )
        return new

    async def own_prices(self) -> dict[str, list[PriceSet]]:
        """The projects' own prices that are stored now."""
        found: dict[str, list[PriceSet]] = {}
        last = ""
        while projects := await own_prices.projects_after(self.writer, last, OWN_PRICES_PROJECTS_MAX):
            for project_id in projects:
                found[project_id] = await own_prices.of_project(self.writer, project_id)
            last = projects[-1]
        return found

    async def _same_prices(self, one: str | None, other: str | None) -> bool:
        return bool(await self.owner.fetchval("SELECT $1::jsonb IS NOT DISTINCT FROM $2::jsonb", one, other))

    async def _run(self, builder: Builder, old: Generation, new: Generation, options: ReplayOptions) -> bool:
        await self._approach(builder, old, new)
        failpoint("replay_before_indexes")
        await generations.make_late_indexes(self.owner, new, lambda index: console.print_line(f"{new.name}: making the index {index}"))
        await self._approach(builder, old, new)
        if builder.lost_records:
            console.print_line(f"{builder.lost_records:,} records were deleted by the log's retention before they could be read")
        console.print_line(f"{new.name} has caught up; comparing")
        await self._prune(old)
        await self._prune(new)
        await self.owner.execute(f"ANALYZE {', '.join(f'{new.name}.{table.name}' for table in compare.TABLES)}")
        found = await self._compared(builder, old, new, remap=options.remap)
        for sentence in found:
            console.print_line(sentence)
        if found and not options.accept_differences:
            console.print_line(
                f"{old.name} continues to serve; {new.name} is kept. To change over anyway: ams replay --accept-differences"
                f"{' with the same prices' if new.prices is not None else ''}; to drop {new.name}: ams replay --abort"
            )
            return False
        if options.remap and not options.apply:
            console.print_line(
                f"nothing was changed; {old.name} continues to serve. To change over: ams replay --remap --apply; to drop {new.name}: ams replay --abort"
            )
            return True
        other_prices = compare.priced_otherwise(old, new)
        console.print_line(
            "not all is the same, which was accepted"
            if found
            else "everything that mapping does not decide is the same"
            if options.remap
            else f"all rows are the same{', costs apart' if other_prices else ''}"
        )
        await self._approach(builder, old, new)
        await self._change_over(builder, old, new)
        console.print_line(f"{new.name} serves")
        if options.drop:
            for name in await generations.drop_old(self.owner):
                console.print_line(f"{name} was dropped")
        else:
            console.print_line(f"{old.name} is kept; drop it with: ams replay --drop-old")
        return True

    async def _prune(self, generation: Generation) -> None:
        """Delete what lies before the cuts of retention, so that both generations hold the same days; it waits while a replay runs."""
        pool = await open_writer(self._target.database_url, application="replay", size_max=1, repeatable=True, generation=generation.name)
        log = await Log.open(self._target.kafka, "replay")
        try:
            serves = generation.current
            pruner = Pruner(pool, now=lambda: datetime.now(UTC), on_deleted=partial(report_deleted, log) if serves else None)
            await pruner.run()
            await ProjectPruner(pool, on_deleted=partial(report_deleted, log) if serves else None).prune_all()
        finally:
            await log.close()
            pool.terminate()

    async def _approach(self, builder: Builder, old: Generation, new: Generation) -> None:
        """Catch up with the live projector while it continues."""
        targets = await self._targets(builder, old)
        reporting = asyncio.create_task(console.report_progress(new.name, builder.done, lambda: builder.missing(targets)))
        try:
            before = math.inf
            while (missing := builder.missing(targets)) > NEAR_RECORDS or FEW_RECORDS < missing < before / 2:
                before = missing
                building = asyncio.create_task(builder.catch_up(targets, low_priority=True))
                try:
                    while not building.done():  # the live projector's lag decides whether the replay waits for it
                        await asyncio.wait([building], timeout=1)
                        await self._targets(builder, old)
                    await building
                finally:
                    building.cancel()
                    await asyncio.gather(building, return_exceptions=True)
                targets = await self._targets(builder, old)
        finally:
            reporting.cancel()
        await builder.derive_due()
        await builder.mark_rootless()

    async def _targets(self, builder: Builder, old: Generation) -> dict[Place, int]:
        return await builder.targets(await generations.positions(self.owner, old))

    @asynccontextmanager
    async def _held(self, builder: Builder, old: Generation) -> AsyncGenerator[list[Place]]:
        """Both generations at the same positions: the live projector waits while the rest is read, for a few seconds at most.

        Yields:
            Where nothing is left in the log before the current generation's position.
        """
        for _ in range(HOLDS_MAX):
            transaction = self.owner.transaction()
            await transaction.start()
            try:
                async with asyncio.timeout(HOLD_SECONDS_MAX):
                    await self.owner.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                    await generations.hold_positions(self.owner, old)
                    live = await generations.positions(self.owner, old)
                    targets = await builder.targets(live)
                    await builder.catch_up(targets, low_priority=False)
            except (TimeoutError, asyncpg.LockNotAvailableError):
                await transaction.rollback()
                await self._go_on(builder, old)
                continue
            except BaseException:
                await transaction.rollback()
                raise
            try:
                yield builder.reached(live, targets)
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
            return
        raise ReplayError(
            "the live projector writes faster than the replay reads; run it again when there is less load, it continues where it was"
        )

    async def _go_on(self, builder: Builder, old: Generation) -> None:
        targets: Targets = await self._targets(builder, old)
        await builder.catch_up(targets, low_priority=False)

    async def _compared(self, builder: Builder, old: Generation, new: Generation, *, remap: bool) -> list[str]:
        """The differences in one snapshot in which both have the same positions; the live projector does not wait for it."""
        async with self.writer.transaction(isolation="repeatable_read", readonly=True):
            async with self._held(builder, old):
                await builder.derive_due()
                await builder.derive_due(old.name)
                await builder.mark_rootless()
                await generations.positions(self.writer, new)  # now the snapshot is taken
            deleted = await compare.begun_before(self.writer, old, builder.log_starts)
            if deleted:
                console.print_line(f"{deleted:,} tasks began in a part of the log that is deleted: they cannot be rebuilt as they were")
            failpoint("replay_in_comparison")
            console.print_line(console.totals_line(old.name, await compare.totals(self.writer, old)))
            console.print_line(console.totals_line(new.name, await compare.totals(self.writer, new)))
            if remap:
                for line in console.remap_table(*await changes_by_kind(self.writer, old, new)):
                    console.print_line(line)
            return await compare.differences(self.writer, old, new, console.print_compared, remap=remap)

    async def _change_over(self, builder: Builder, old: Generation, new: Generation) -> None:
        async with self._held(builder, old) as reached:
            await builder.derive_due()
            await builder.mark_rootless()
            await self.writer.execute(_TAKE_MARKS.format(new=new.name, old=old.name))
            await generations.change_over(self.owner, old, new, reached)
            failpoint("replay_in_change_over")
        failpoint("replay_after_change_over")
        with contextlib.suppress(asyncpg.PostgresError):  # a letter was marked at the same moment: only the mark is lost
            await self.writer.execute(_TAKE_MARKS.format(new=new.name, old=old.name))


def _steps_projection(pool: asyncpg.Pool, new: Generation, options: ReplayOptions) -> StepsProjection:
    if new.remap:
        return RemappingProjection(pool, prices=options.prices)
    return StepsProjection(pool) if options.prices is None else RepricingProjection(pool, prices=options.prices)
