"""The steps projection: records of one partition -> steps, tasks, totals, producers, agents, claims and dead letters."""

from collections.abc import Callable
from typing import Any, Protocol

from ams_kit.telemetry.metrics import SEQUENCE_NUMBERS_UNPROVEN
from ams_trace_ingest.projector.changes import BatchChanges, KnownStep, StepChanges, TaskChanges
from ams_trace_ingest.projector.claim_updater import candidate_claims
from ams_trace_ingest.projector.decode import BatchDecoder, Rejected, StepsDecoder, TwoPartitionsError
from ams_trace_ingest.projector.derivation import Derivation
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.hourly_rollups import HourlyRollups, RollupDifferences, differences_of, nothing_written
from ams_trace_ingest.projector.open_task_cache import CachedTask, OpenTaskCache
from ams_trace_ingest.projector.rollup_updater import RollupUpdater
from ams_trace_ingest.projector.task_columns import (
    FLAG_REPEATED_RESPONSE,
    clear_root,
    new_row,
    root_moved_back,
    root_rank,
    set_derived,
    set_document,
    set_flag,
    set_root,
    set_status,
)
from ams_trace_ingest.projector.totals import add_totals
from ams_trace_ingest.projector.transaction import Moves, TransactionalProjection
from ams_trace_ingest.repeated_calls import CALL_PREFIX, RESPONSE_STEPS_MAX, Claim
from ams_trace_ingest.store import (
    agents,
    claims,
    media,
    own_prices,
    payloads,
    producers,
    remapped,
    scores,
    step_logs,
    steps,
    task_days,
    tasks,
    text,
)
from ams_trace_ingest.store.agents import AgentKey
from ams_trace_ingest.store.claims import ClaimKey, StoredClaims
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.step_rows import encode_new_row, encode_plain_row, encode_row
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

AGENTS_REMEMBERED_MAX = 10_000  # by minute of their last sight; one that is not remembered costs an upsert


class TasksListener(Protocol):
    """Receives what changed after each commit. Its methods return at once and do not raise."""

    def changed(self, rows: list[TaskRow]) -> None:
        """These tasks are new or changed."""
        ...

    def deleted(self, keys: list[TaskKey]) -> None:
        """These tasks were deleted."""
        ...


class StepsProjection(TransactionalProjection):
    """The steps topic."""

    projection = "steps"

    def __init__(
        self,
        *args: Any,
        listener: TasksListener | None = None,
        open_tasks: OpenTaskCache | None = None,
        response_steps_max: int = RESPONSE_STEPS_MAX,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._response_steps_max = response_steps_max
        self._listener = listener
        self._open_tasks = open_tasks or OpenTaskCache()
        self._agents_seen: dict[tuple[str, AgentKey], int] = {}
        self._hourly_rollups = HourlyRollups()

    def decoder(self, *, rejected: Rejected, events_max: int | None) -> StepsDecoder:
        return StepsDecoder(self.projection, self._now_us(), rejected=rejected, events_max=events_max)

    async def write(self, connection: Connection, decoder: BatchDecoder, *, generation: str, moves: Moves) -> Callable[[], None]:
        changes = decoder.changes
        self._forget_moved(generation, moves)
        cached_tasks = self._open_tasks.check_out(changes.tasks)
        deleted_claims: dict[ClaimKey, set[str]] = {}
        deleted: list[TaskKey] = []
        rows: list[TaskRow] = []
        differences = RollupDifferences()
        rolled_up = nothing_written
        unproven = 0
        if changes.tasks:
            new_claims, stored_claims = await self._lock(connection, changes, cached_tasks)
            deleted = [key for key, task in changes.tasks.items() if task.deleted_by is not None]
            for key in deleted:
                await _delete(connection, changes.tasks[key], deleted_claims, differences)
                cached_tasks.pop(key, None)
                task = changes.tasks.pop(key)
                changes.tally_of(task).ignored["deleted"] += task.events - 1
            failpoint("after_deletions")
            await _join_steps(connection, changes.tasks, cached_tasks)
            failpoint("after_steps")
            await _write_scores(connection, changes)
            await step_logs.append(connection, {key: task.logged for key, task in changes.tasks.items() if task.logged})
            delivered = await _deliveries(connection, changes)
            await RollupUpdater(
                connection, changes.tasks, new_claims, stored_claims, cached_tasks, response_steps_max=self._response_steps_max
            ).update(deleted_claims)
            failpoint("after_rules")
            derivation = Derivation(connection, changes.tasks, cached_tasks)
            await derivation.derive()
            failpoint("after_derivation")
            steps_days = {task.day for task in changes.tasks.values() if task.day is not None}
            direct = decoder.direct and await self.day_partitions.exist(connection, generation, "steps", steps_days)
            rows = await _write_steps_and_tasks(connection, changes, direct=direct)
            for task in changes.tasks.values():
                differences.add_task(task)
            rolled_up = await self._hourly_rollups.write(connection, generation, differences)
            failpoint("after_hourly_rollups")
            await derivation.write()
            failpoint("after_derived")
            unproven = await producers.merge(connection, delivered)
            failpoint("after_producers")
        agents_seen = await self._write_agents_and_prices(connection, changes, generation)
        failpoint("after_agents")

        def committed() -> None:
            SEQUENCE_NUMBERS_UNPROVEN.inc(unproven)
            self._agents_seen.update(agents_seen)
            rolled_up()
            while len(self._agents_seen) > AGENTS_REMEMBERED_MAX:
                self._agents_seen.pop(next(iter(self._agents_seen)))
            for key, cached in cached_tasks.items():
                self._open_tasks.check_in(changes.tasks[key], cached)
            self._open_tasks.advance(generation, {partition: after for partition, (_, after) in moves.items()})
            if self._listener is not None:
                self._listener.changed(rows)
                self._listener.deleted(deleted)

        return committed

    def _forget_moved(self, generation: str, moves: Moves) -> None:
        """Drop what is cached of partitions that another process has written, or whose last commits a crash of Postgres removed."""
        if self._open_tasks.invalidate_moved(generation, {partition: before for partition, (before, _) in moves.items()}):
            self._agents_seen.clear()
            self._hourly_rollups.forget()

    async def _lock(
        self, connection: Connection, changes: BatchChanges, cached_tasks: dict[TaskKey, CachedTask]
    ) -> tuple[dict[ClaimKey, list[Claim]], dict[ClaimKey, StoredClaims]]:
        """Take all locks in the order that every writer keeps: days, response ids, tasks; each sorted. New tasks are added to the cached ones."""
        if changes.deletes:
            await task_days.block_writers(connection)
        first_days = {key: day for key, day in changes.first_days().items() if key not in cached_tasks}
        found = await task_days.assign(connection, first_days)
        failpoint("after_days")
        for reason, keys in found.ignored():
            changes.ignore(keys, reason)
        new_claims = candidate_claims(task for task in changes.tasks.values() if task.deleted_by is None)
        stored_claims = await claims.lock(connection, new_claims, self._response_steps_max)
        failpoint("after_claims")
        stored = await tasks.lock(connection, [key for key in changes.tasks if key not in found.new])
        failpoint("after_tasks")
        if not all(key in stored and cached.is_current(stored[key]) for key, cached in cached_tasks.items()):
            raise TwoPartitionsError  # it is evicted now, so the next attempt also checks whether the task was deleted
        for key, task in changes.tasks.items():
            task.row = stored.get(key)
            if task.row is None:
                cached_tasks[key] = CachedTask(task.partition, found.day[key])
            task.day = cached_tasks[key].day if key in cached_tasks else found.day[key]
        return new_claims, stored_claims

    async def _write_agents_and_prices(
        self, connection: Connection, changes: BatchChanges, generation: str
    ) -> dict[tuple[str, AgentKey], int]:
        """Write agents last, because many partitions share these rows, and only once a minute for each."""
        if changes.prices:
            await own_prices.record(connection, changes.prices)
        if changes.registrations:
            await agents.register(connection, changes.registrations, changes.agents_seen)
        seen = {key: at_us for key, at_us in changes.agents_seen.items() if self._agents_seen.get((generation, key), -1) < at_us}
        if seen:
            await agents.see(connection, seen)
        return {(generation, key): at_us for key, at_us in seen.items()}


async def _delete(
    connection: Connection, task: TaskChanges, deleted_claims: dict[ClaimKey, set[str]], differences: RollupDifferences
) -> None:
    project_id, task_id = task.key
    if task.day is not None:
        deleted_steps = await steps.delete(connection, project_id, task_id, task.day)
        differences.subtract(project_id, task.partition, deleted_steps)
        claimed = {step.response_id for step in deleted_steps if step.response_id is not None}
        claimed |= {CALL_PREFIX + step.call_key for step in deleted_steps if step.call_key is not None}
        for key in claimed:
            deleted_claims.setdefault((project_id, key), set()).add(task_id)
        await payloads.delete(connection, project_id, task_id, task.day)
        await text.delete(connection, project_id, task_id, task.day)
        await media.delete(connection, project_id, task_id)
    await remapped.delete_of_task(connection, project_id, task_id)
    await tasks.delete(connection, task.key)
    await producers.delete(connection, task.key)
    await scores.delete(connection, task.key)
    await step_logs.delete(connection, task.key)
    await task_days.record_deleted(connection, task.key, task.deleted_by or "", task.deleted_at_us)


async def release_claims(connection: Connection, deleted: dict[ClaimKey, set[str]]) -> None:
    """Remove the claims of tasks whose rows are deleted; steps of other tasks that count now are written, with their tasks' totals.

    Args:
        connection: In a transaction with a generation set.
        deleted: Per response id the tasks.
    """
    changes = BatchChanges()
    await RollupUpdater(connection, changes.tasks, {}, {}, {}).update(deleted)
    await HourlyRollups().write(connection, "", differences_of(changes))
    await _write_steps_and_tasks(connection, changes, direct=False)


async def _join_steps(connection: Connection, tasks: dict[TaskKey, TaskChanges], cached_tasks: dict[TaskKey, CachedTask]) -> None:
    """Join the batch's steps with what is stored of them; load the root, too, where another step may replace it."""
    places: list[steps.StepPlace] = []
    known: list[KnownStep] = []
    for key, task in tasks.items():
        if task.row is not None and task.day is not None:
            ids = set(task.steps)
            if task.row.root_step_id is not None and task.parentless:
                ids.add(task.row.root_step_id)
            cached = cached_tasks.get(key)
            if cached is not None:
                ids &= cached.steps
                known += [cached.open[step_id] for step_id in ids & cached.open.keys()]
                ids -= cached.open.keys()
            places += [(*key, step_id, task.day) for step_id in ids]
    known += await steps.load(connection, places)
    for stored in known:
        task = tasks[stored.key]
        step = task.steps.get(stored.step_id)
        if step is None:
            task.steps[stored.step_id] = StepChanges.of(stored)
            continue
        said = step.state
        if said.stamp is not None and said.stamp.seq == 0 and said.stamp == stored.stamp:
            if said.document == stored.document:
                task.duplicates += 1
            else:
                task.conflicts += 1
        step.join(stored)


def _parentless(step: StepChanges) -> bool:
    return step.state.document is not None and step.state.document.parent_step_id is None


async def _write_scores(connection: Connection, changes: BatchChanges) -> None:
    """Write the scores, and count those without a sequence number that were written before."""
    found = {(*key, score_id): event for key, task in changes.tasks.items() for score_id, event in task.scores.items()}
    if not found:
        return
    stored = await scores.event_ids(connection, [key for key, event in found.items() if not event.seq])
    for project_id, task_id, score_id in (key for key, event_id in stored.items() if found[key].event_id == event_id):
        task = changes.tasks[project_id, task_id]
        task.duplicates += 1
        del found[project_id, task_id, score_id]
    await scores.write(connection, found)


async def _deliveries(connection: Connection, changes: BatchChanges) -> dict[producers.ProducerKey, producers.Delivered]:
    """What each producer delivered. Counts the duplicates of the batch."""
    delivered = {(*key, instance_id): sent for key, task in changes.tasks.items() for instance_id, sent in task.producers.items()}
    stored = await producers.load(connection, [key for key in delivered if changes.tasks[key[0], key[1]].row is not None])
    for key, sent in delivered.items():
        new = producers.not_delivered(set(sent.seqs), stored.get(key, ()))
        sent.duplicates = len(sent.seqs) - len(new)
        changes.tasks[key[0], key[1]].duplicates += sent.duplicates
    for task in changes.tasks.values():
        tally = changes.tally_of(task)
        tally.duplicates += task.duplicates
        if task.conflicts:
            tally.ignored["conflict"] += task.conflicts
    return delivered


async def _write_steps_and_tasks(connection: Connection, changes: BatchChanges, *, direct: bool) -> list[TaskRow]:
    failpoint("before_copy")
    await _write_steps(connection, changes, direct=direct)
    failpoint("after_copy")
    rootless: list[TaskChanges] = []
    rows = [_task_row(task, rootless) for task in changes.tasks.values()]
    for task in rootless:
        await _reload_root(connection, task)
    await _mark_duplicates(connection, rows)
    for row in rows:
        row.folded_into = row.run_id if row.steps and row.messaging_steps == row.steps else None
    await tasks.write(connection, rows)
    failpoint("after_task_rows")
    return rows


async def _write_steps(connection: Connection, changes: BatchChanges, *, direct: bool) -> None:
    plain: list[tuple[Any, ...]] = []
    inserts: list[tuple[Any, ...]] = []
    step_rows: list[tuple[Any, ...]] = []
    for key, task in changes.tasks.items():
        if task.day is None:
            continue
        for step in task.steps.values():
            if not step.changed:
                continue
            state = step.state
            document = state.document
            # the batch's steps were looked up, so one without a stored row has none
            if not direct or step.stored is not None or (document is not None and document.flags):
                step_rows.append(encode_row(*key, task.day, step))
            elif document is None or state.progress_stamp is not None:
                inserts.append(encode_new_row(*key, task.day, step))
            else:
                plain.append(encode_plain_row(*key, task.day, step))
    if plain:
        await steps.insert(connection, plain, steps.PLAIN_COLUMNS)
    if inserts:
        await steps.insert(connection, inserts)
    if step_rows:
        await steps.write(connection, step_rows)


async def _mark_duplicates(connection: Connection, rows: list[TaskRow]) -> None:
    """Find the tasks that only repeat calls of others, among those with a repeated call. Their steps are written."""
    repeating = [row for row in rows if row.repeated_steps]
    found = await steps.repeated_tasks(connection, [(*row.key, row.day) for row in repeating])
    for row in rows:
        row.duplicate_of = found.get(row.key) if row.repeated_steps else None


def _task_row(task: TaskChanges, rootless: list[TaskChanges]) -> TaskRow:
    """The task's row after the batch. A task whose root has to be looked up is added to ``rootless``."""
    if task.row is None:
        project_id, task_id = task.key
        task.row = new_row(
            project_id=project_id, task_id=task_id, day=task.day or task_days.EPOCH, partition=task.partition,
            first_offset=task.first_offset, last_offset=task.last_offset, seen_at_us=task.seen_at_us, sort_at_us=task.first_seen_us,
        )  # fmt: skip
    row = task.row
    repeated = FLAG_REPEATED_RESPONSE in row.flags if task.repeated_response is None else task.repeated_response
    add_totals(row, task)
    if task.events:
        row.last_offset = task.last_offset
        row.seen_at_us = max(row.seen_at_us, task.seen_at_us)
        row.heartbeats = row.heartbeats or task.heartbeats
        row.last_event_at_us = max(row.last_event_at_us, task.last_event_at_us)
        stamp = task.state.stamp
        known = task.latest_state
        if stamp is not None and known is task.state:
            set_document(row, known)
        root = task.steps.get(row.root_step_id) if row.root_step_id is not None else None
        if root is not None and root_moved_back(root):  # a step that is not loaded may be the earliest now
            rootless.append(task)
        else:
            _choose_root(task, row, root)
        set_status(row, known)
        row.derive_due = row.derive_due or task.derive_due
        if task.shown is not None:
            set_derived(row, task.shown, known)
    set_flag(row, FLAG_REPEATED_RESPONSE, repeated)
    return row


def _choose_root(task: TaskChanges, row: TaskRow, root: StepChanges | None) -> None:
    """Show the earliest parentless step, if one of them or the current root changed."""
    if not task.parentless and (root is None or not root.changed):
        return
    known = [step for step in task.steps.values() if _parentless(step)]
    if any(step.redocumented for step in known) or (root is not None and root.changed):
        _set_earliest_root(row, known)


def _set_earliest_root(row: TaskRow, parentless: list[StepChanges]) -> None:
    best = min(parentless, key=_rank, default=None)
    if best is None or best.state.document is None:
        clear_root(row)
    else:
        set_root(row, best.step_id, best.state)


async def _reload_root(connection: Connection, task: TaskChanges) -> None:
    """Look up the root after the steps are written, when the table holds all parentless ones."""
    if task.row is None or task.day is None:
        return
    earliest = await steps.earliest_root(connection, *task.key, task.day)
    _set_earliest_root(task.row, [] if earliest is None else [task.steps.get(earliest.step_id) or StepChanges.of(earliest)])
    set_status(task.row, task.row.state)
    if task.shown is not None:
        set_derived(task.row, task.shown, task.row.state)


def _rank(step: StepChanges) -> tuple[bool, int, int, str]:
    document = step.state.document
    return (True, 0, 0, step.step_id) if document is None else root_rank(step.step_id, document)
