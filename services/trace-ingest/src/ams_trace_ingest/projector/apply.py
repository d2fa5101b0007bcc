"""The steps projection: records of one partition -> steps, tasks, totals, producers, agents, claims and dead letters."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ams_trace_ingest.projector.derive import root_rank, show_document, show_no_root, show_root, show_status
from ams_trace_ingest.projector.failpoints import failpoint
from ams_trace_ingest.projector.memory import Memory, TaskMemory
from ams_trace_ingest.projector.reading import Buried, ReaderBase, StepsReader, TwoPartitionsError
from ams_trace_ingest.projector.rules import Rules, candidates
from ams_trace_ingest.projector.totals import add_totals
from ams_trace_ingest.projector.transaction import Moves, TransactionalProjection, nothing
from ams_trace_ingest.projector.working import KnownStep, StepWork, TaskWork, Work
from ams_trace_ingest.rollup import Claim
from ams_trace_ingest.store import agents, claims, days, payloads, producers, steps, tasks, text
from ams_trace_ingest.store.agents import AgentKey
from ams_trace_ingest.store.claims import ClaimKey
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.step_rows import row_of
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()
DAY_US = 86_400_000_000


class TasksListener(Protocol):
    """Is told after each commit. Must return at once and never raise."""

    def changed(self, rows: list[TaskRow]) -> None:
        """These tasks are new or changed."""
        ...

    def deleted(self, keys: list[TaskKey]) -> None:
        """These are gone."""
        ...


class StepsProjection(TransactionalProjection):
    """The steps topic."""

    projection = "steps"

    def __init__(self, *args: Any, listener: TasksListener | None = None, memory: Memory | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listener = listener
        self._memory = memory or Memory()
        self._agents_seen: dict[tuple[str, AgentKey], int] = {}

    def reader(self, *, buried: Buried, events_max: int | None) -> StepsReader:
        return StepsReader(self.projection, self._now_us(), buried=buried, events_max=events_max)

    async def write(
        self, connection: Connection, reader: ReaderBase, *, generation: str, moves: Moves, meanwhile: Callable[[], None]
    ) -> Callable[[], None]:
        work = reader.work
        self._memory.stand(generation, {partition: before for partition, (before, _) in moves.items()})
        memories = self._memory.take_out(work.tasks)
        gone: dict[ClaimKey, set[str]] = {}
        deleted: list[TaskKey] = []
        rows: list[TaskRow] = []
        if work.tasks:
            made, held = await self._begin(connection, work, memories)
            deleted = [key for key, task in work.tasks.items() if task.deleted_by is not None]
            for key in deleted:
                await _delete(connection, work.tasks[key], gone)
                memories.pop(key, None)
                task = work.tasks.pop(key)
                work.tally_of(task).ignored["deleted"] += task.events - 1
            failpoint("after_deletions")
            await _join_steps(connection, work.tasks, memories)
            failpoint("after_steps")
            delivered = await _deliveries(connection, work)
            await Rules(connection, work.tasks, made, held, memories).settle(gone)
            failpoint("after_rules")
            steps_days = {task.day for task in work.tasks.values() if task.day is not None}
            direct = reader.direct and await self.leaves.all_there(connection, generation, "steps", steps_days)
            rows = await _write_steps_and_tasks(connection, work, meanwhile, direct=direct)
            await producers.merge(connection, delivered)
            failpoint("after_producers")
        agents_seen = await self._write_agents(connection, work, generation)
        failpoint("after_agents")

        def committed() -> None:
            self._agents_seen.update(agents_seen)
            for key, memory in memories.items():
                self._memory.put(work.tasks[key], memory)
            self._memory.moved(generation, {partition: after for partition, (_, after) in moves.items()})
            if self._listener is not None:
                self._listener.changed(rows)
                self._listener.deleted(deleted)

        return committed

    async def _begin(
        self, connection: Connection, work: Work, memories: dict[TaskKey, TaskMemory]
    ) -> tuple[dict[ClaimKey, list[Claim]], dict[ClaimKey, list[Claim]]]:
        """Take all locks in the order that every writer keeps: days, response ids, tasks; each sorted. New tasks get a memory."""
        if work.deletes:
            await days.exclude_writers(connection)
        first_days = {key: EPOCH + timedelta(task.first_seen_us // DAY_US) for key, task in work.tasks.items() if key not in memories}
        found = await days.claim(connection, first_days)
        failpoint("after_days")
        work.ignore_deleted(found.deleted)
        made = candidates(task for task in work.tasks.values() if task.deleted_by is None)
        held = await claims.lock(connection, made)
        failpoint("after_claims")
        stored = await tasks.lock(connection, [key for key in work.tasks if key not in found.new])
        failpoint("after_tasks")
        if not all(key in stored and memory.holds(stored[key]) for key, memory in memories.items()):
            raise TwoPartitionsError  # it is forgotten now, so the next attempt asks whether the task was deleted, too
        for key, task in work.tasks.items():
            task.row = stored.get(key)
            if task.row is None:
                memories[key] = TaskMemory(task.partition, found.day[key])
            task.day = memories[key].day if key in memories else found.day[key]
        return made, held

    async def _write_agents(self, connection: Connection, work: Work, generation: str) -> dict[tuple[str, AgentKey], int]:
        """Last, for many partitions share these rows; and only when the minute is a new one."""
        if work.registrations:
            await agents.register(connection, work.registrations, work.agents_seen)
        seen = {key: at_us for key, at_us in work.agents_seen.items() if self._agents_seen.get((generation, key), -1) < at_us}
        if seen:
            await agents.see(connection, seen)
        return {(generation, key): at_us for key, at_us in seen.items()}


async def _delete(connection: Connection, task: TaskWork, gone: dict[ClaimKey, set[str]]) -> None:
    project_id, task_id = task.key
    if task.day is not None:
        for response_id in await steps.delete(connection, project_id, task_id, task.day):
            gone.setdefault((project_id, response_id), set()).add(task_id)
        await payloads.delete(connection, project_id, task_id, task.day)
        await text.delete(connection, project_id, task_id, task.day)
    await tasks.delete(connection, task.key)
    await producers.delete(connection, task.key)
    await days.remember_deleted(connection, task.key, task.deleted_by or "", task.deleted_at_us)


async def _join_steps(connection: Connection, works: dict[TaskKey, TaskWork], memories: dict[TaskKey, TaskMemory]) -> None:
    """Take into account what is stored of the steps that the batch speaks of, and of the root where that may be another one now."""
    places: list[steps.StepPlace] = []
    known: list[KnownStep] = []
    for key, task in works.items():
        if task.row is not None and task.day is not None:
            ids = set(task.steps)
            if task.row.root_step_id is not None and task.parentless:
                ids.add(task.row.root_step_id)
            memory = memories.get(key)
            if memory is not None:
                ids &= memory.steps
                known += [memory.open[step_id] for step_id in ids & memory.open.keys()]
                ids -= memory.open.keys()
            places += [(*key, step_id, task.day) for step_id in ids]
    known += await steps.load(connection, places)
    for stored in known:
        task = works[stored.key]
        step = task.steps.get(stored.step_id)
        if step is None:
            task.steps[stored.step_id] = StepWork.of(stored)
            continue
        said = step.state
        if said.stamp is not None and said.stamp.seq == 0 and said.stamp == stored.stamp:
            if said.document == stored.document:
                task.duplicates += 1
            else:
                task.conflicts += 1
        step.join(stored)


def _parentless(step: StepWork) -> bool:
    return step.state.document is not None and step.state.document.parent_step_id is None


async def _deliveries(connection: Connection, work: Work) -> dict[producers.ProducerKey, producers.Delivered]:
    """What each producer delivered; and the account of the batch's duplicates."""
    delivered = {(*key, instance_id): sent for key, task in work.tasks.items() for instance_id, sent in task.producers.items()}
    stored = await producers.load(connection, [key for key in delivered if work.tasks[key[0], key[1]].row is not None])
    for key, sent in delivered.items():
        new = set(sent.seqs)
        if key in stored:
            new = {seq for seq in new if not any(lower <= seq < upper for lower, upper in stored[key])}
        sent.duplicates = len(sent.seqs) - len(new)
        work.tasks[key[0], key[1]].scores += len(new.intersection(sent.scores))
        work.tasks[key[0], key[1]].duplicates += sent.duplicates
    for task in work.tasks.values():
        tally = work.tally_of(task)
        tally.duplicates += task.duplicates
        if task.conflicts:
            tally.ignored["conflict"] += task.conflicts
        if task.scores:
            tally.ignored["scores"] += task.scores
    return delivered


async def _write_steps_and_tasks(connection: Connection, work: Work, meanwhile: Callable[[], None], *, direct: bool) -> list[TaskRow]:
    failpoint("before_copy")
    inserts: list[tuple[Any, ...]] = []
    step_rows: list[tuple[Any, ...]] = []
    for key, task in work.tasks.items():
        if task.day is None:
            continue
        for step in task.steps.values():
            if not step.changed:
                continue
            # what is stored of the batch's steps was looked up, so it is not there
            new = direct and step.stored is None and (step.state.document is None or not step.state.document.flags)
            row = row_of(
                (*key, step.step_id),
                task.day,
                (step.first_offset, step.end_offset, step.seen_at_us),
                step.state,
                step.counted,
                shadowed=step.shadowed,
                wrapper=step.wrapper,
                new=new,
            )
            (inserts if new else step_rows).append(row)
    rows: list[TaskRow] = []
    rootless: list[TaskWork] = []

    def show() -> None:
        rows.extend(_show(task, rootless) for task in work.tasks.values())
        meanwhile()

    if inserts:
        await steps.insert(connection, inserts, show)
    if step_rows:
        await steps.write(connection, step_rows, nothing if inserts else show)
    if not inserts and not step_rows:
        show()
    failpoint("after_copy")
    for task in rootless:
        await _ask_for_root(connection, task)
    await tasks.write(connection, rows)
    failpoint("after_task_rows")
    return rows


def _show(task: TaskWork, rootless: list[TaskWork]) -> TaskRow:
    """The task's row after the batch. Those whose root is to be looked for are put on the list."""
    if task.row is None:
        task.row = _new_row(task)
    row = task.row
    add_totals(row, task)
    if task.events:
        row.last_offset = task.last_offset
        row.seen_at_us = max(row.seen_at_us, task.seen_at_us)
        row.heartbeats = row.heartbeats or task.heartbeats
        row.last_event_at_us = max(row.last_event_at_us, task.last_event_at_us)
        stamp = task.state.stamp
        known = row.state
        if stamp is not None and (known.stamp is None or stamp > known.stamp):
            known = task.state
            show_document(row, known)
        root = task.steps.get(row.root_step_id) if row.root_step_id is not None else None
        if root is not None and _sank(root):  # a row that is not loaded may be the earliest now
            rootless.append(task)
        else:
            _choose_root(task, row, root)
        show_status(row, known)
    return row


def _choose_root(task: TaskWork, row: TaskRow, root: StepWork | None) -> None:
    """The earliest parentless step. Nothing to do unless one of them, or the one so far, changed."""
    if not task.parentless and (root is None or not root.changed):
        return
    known = [step for step in task.steps.values() if _parentless(step)]
    if any(step.redocumented for step in known) or (root is not None and root.changed):
        _show_earliest(row, known)


def _show_earliest(row: TaskRow, parentless: list[StepWork]) -> None:
    best = min(parentless, key=_rank, default=None)
    if best is None or best.state.document is None:
        show_no_root(row)
    else:
        show_root(row, best.step_id, best.state.document, best.state.status)


async def _ask_for_root(connection: Connection, task: TaskWork) -> None:
    """After the steps are written: the table knows all parentless ones."""
    if task.row is None or task.day is None:
        return
    earliest = await steps.earliest_root(connection, *task.key, task.day)
    _show_earliest(task.row, [] if earliest is None else [task.steps.get(earliest.step_id) or StepWork.of(earliest)])
    show_status(task.row, task.row.state)


def _rank(step: StepWork) -> tuple[bool, int, int, str]:
    document = step.state.document
    return (True, 0, 0, step.step_id) if document is None else root_rank(step.step_id, document)


def _sank(root: StepWork) -> bool:
    """Whether the root so far has a parent now, or starts later than it did."""
    before = root.stored.document if root.stored is not None else None
    now = root.state.document
    return (
        before is not None
        and now is not None
        and (now.parent_step_id is not None or root_rank(root.step_id, before) < root_rank(root.step_id, now))
    )


def _new_row(task: TaskWork) -> TaskRow:
    project_id, task_id = task.key
    return TaskRow(
        project_id=project_id, task_id=task_id, day=task.day or EPOCH, partition=task.partition, first_offset=task.first_offset, last_offset=task.last_offset,
        seen_at_us=task.seen_at_us, heartbeats=False, document=None, stamp_phase=None, stamp_at_us=None, stamp_seq=None, stamp_event_id=None,
        root_step_id=None, name="", kind="task", agent=None, status="running", started_at_us=None, ended_at_us=None, duration_us=None,
        conversation_id=None, user_id=None, environment=None, tags="{}", parent_task_id=None, preview=None, error_type=None, error_message=None, flags=[],
        steps=0, errors=0, running_steps=0, waiting_steps=0, lost_steps=0, input_tokens=0, output_tokens=0, cost_nusd=0, priced_steps=0, unpriced_steps=0,
        last_event_at_us=0, sort_at_us=task.first_seen_us,
    )  # fmt: skip
