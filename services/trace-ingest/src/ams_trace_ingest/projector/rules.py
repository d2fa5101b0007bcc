"""The roll-up rules on a batch: which steps' usage counts, whose count changed, in this task or another one.

R2 asks for a step's descendants and R3 for other tasks' claims, so rows that the batch says nothing of are loaded here, as few
as the rules need (``ams_trace_ingest.rollup`` says which).
"""

from collections.abc import Iterable, Mapping

from ams_trace_ingest.projector.working import StepWork, TaskWork
from ams_trace_ingest.rollup import (
    DEPTH_MAX,
    STOP_TYPES,
    Claim,
    Node,
    Tree,
    count,
    overlapping_claims,
    shadowed_by_descendant,
    shadowed_steps,
    to_reexamine,
)
from ams_trace_ingest.store import claims as claims_table
from ams_trace_ingest.store import steps as steps_table
from ams_trace_ingest.store import tasks as tasks_table
from ams_trace_ingest.store.claims import ClaimKey
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.steps import StepPlace, StoredStep
from ams_trace_ingest.store.tasks import TaskKey

Held = dict[ClaimKey, list[Claim]]
"""Locked response ids and what their rows hold."""


def claim_of(task_id: str, step: StepWork, node: Node | None, *, wrapper: bool) -> Claim | None:
    """What a step claims by R3, if anything."""
    document = step.state.document
    if node is None or document is None or wrapper or not node.billable or not node.response_id:
        return None
    return Claim(
        task_id=task_id,
        step_id=step.step_id,
        response_id=node.response_id,
        model=document.model,
        started_at_us=document.started_at_us,
        ended_at_us=document.ended_at_us,
    )


def candidates(tasks: Iterable[TaskWork]) -> dict[ClaimKey, list[Claim]]:
    """The claims that a batch may make, before anything stored is known: what must be locked first, and mostly all there is."""
    wanted: dict[ClaimKey, list[Claim]] = {}
    for task in tasks:
        project_id, task_id = task.key
        for step in task.steps.values():
            document = step.state.document
            if document is not None and document.response_id:
                claim = claim_of(task_id, step, step.node, wrapper=False)
                if claim is not None:
                    wanted.setdefault((project_id, claim.response_id), []).append(claim)
    return wanted


class Rules:
    """R1-R3 for the tasks of one batch, within its transaction."""

    def __init__(self, connection: Connection, tasks: dict[TaskKey, TaskWork], made: dict[ClaimKey, list[Claim]], held: Held) -> None:
        """Take the batch in hand.

        Args:
            connection: In the batch's transaction.
            tasks: Joined with what is stored. Tasks of which a count changes are added.
            made: What ``candidates`` found.
            held: What the rows of its keys hold; the same lists where a row was made just now.
        """
        self._connection = connection
        self._tasks = tasks
        self._made = made
        self._held = held
        self._missing: set[tuple[TaskKey, str]] = set()
        self._expanded: set[tuple[TaskKey, str]] = set()
        self._recount: dict[tuple[TaskKey, str], StepWork] = {}

    async def settle(self, gone: Mapping[ClaimKey, set[str]]) -> None:
        """Set ``wrapper``, ``shadowed`` and ``counted`` of every step whose answer may be another one now.

        Args:
            gone: Per response id the tasks that were deleted, and whose claims go with them.
        """
        await self._wrappers()
        changes = self._claim_changes()
        await self._hold(changes.keys() | gone.keys())
        for claim_key, task_ids in gone.items():
            places = [(claim.task_id, claim.step_id) for claim in self._held[claim_key] if claim.task_id in task_ids]
            changes.setdefault(claim_key, {}).update(dict.fromkeys(places))
        await self._claims(changes)
        for step in self._recount.values():
            node = step.node
            if node is not None:
                counted = count(node, shadowed=step.shadowed)
                stored = step.stored
                if stored is None or counted != stored.counted or step.shadowed != stored.shadowed or step.wrapper != stored.wrapper:
                    step.counted = counted
                    step.changed = True

    # -- R2 ---------------------------------------------------------------------------------------------------

    async def _wrappers(self) -> None:
        trees: dict[TaskKey, Tree] = {}
        dirty: dict[TaskKey, set[str]] = {}
        for key, task in self._tasks.items():
            nodes = [(step, node) for step in task.steps.values() if (node := step.node) is not None]
            if task.row is None:  # nothing of it is stored: the tree is whole
                self._whole(key, nodes)
                continue
            changed = {step.step_id for step, node in nodes if node != step.node_before}
            # another end or model changes a claim and no node
            self._recount.update(((key, step.step_id), step) for step, node in nodes if step.changed and node.billable)
            if changed:
                trees[key] = Tree(node for _, node in nodes)
                dirty[key] = changed | {
                    before.parent_step_id
                    for step, _ in nodes
                    if (before := step.node_before) is not None and before.parent_step_id is not None
                }
        if trees:
            await self._load_above(trees, dirty)
            suspects = {key: to_reexamine(tree, dirty[key]) for key, tree in trees.items()}
            await self._load_below(trees, suspects)
            for key, tree in trees.items():
                for step_id in suspects[key] | (dirty[key] & self._tasks[key].steps.keys()):
                    step = self._tasks[key].steps[step_id]
                    step.wrapper = step.shadowed = shadowed_by_descendant(tree, step_id)
                    self._recount[key, step_id] = step

    def _whole(self, key: TaskKey, nodes: list[tuple[StepWork, Node]]) -> None:
        billable = [(step, node) for step, node in nodes if node.billable]
        if not billable:
            return
        wrappers = shadowed_steps(Tree(node for _, node in nodes)) if len(billable) > 1 else set[str]()
        for step, _ in billable:
            step.wrapper = step.shadowed = step.step_id in wrappers
            self._recount[key, step.step_id] = step

    async def _load_above(self, trees: dict[TaskKey, Tree], dirty: dict[TaskKey, set[str]]) -> None:
        for _ in range(DEPTH_MAX):
            wanted = {
                (key, step_id)
                for key, tree in trees.items()
                for start in dirty[key]
                if (step_id := self._first_unknown_above(key, tree, start)) is not None
            }
            if not wanted:
                return
            found = await self._load(wanted)
            self._put(trees, found)
            self._missing |= wanted - {((stored.project_id, stored.task_id), stored.step_id) for stored in found}

    def _first_unknown_above(self, key: TaskKey, tree: Tree, start: str) -> str | None:
        """The next ancestor to load: not known, not known to be missing, and beneath the first stop type."""
        seen: set[str] = set()
        step_id: str | None = start
        while step_id is not None and step_id not in seen and len(seen) <= DEPTH_MAX:
            seen.add(step_id)
            node = tree.get(step_id)
            if node is None:
                return None if (key, step_id) in self._missing else step_id
            if step_id != start and node.type in STOP_TYPES:
                return None
            step_id = node.parent_step_id
        return None

    async def _load_below(self, trees: dict[TaskKey, Tree], suspects: dict[TaskKey, set[str]]) -> None:
        for _ in range(DEPTH_MAX):
            wanted = {
                (key, step_id)
                for key, tree in trees.items()
                for start in suspects[key]
                for step_id in self._unexpanded_below(key, tree, start)
            }
            if not wanted:
                return
            self._expanded |= wanted
            self._put(trees, await steps_table.load_children(self._connection, self._places(wanted)))

    def _unexpanded_below(self, key: TaskKey, tree: Tree, start: str) -> list[str]:
        around = [start, *(node.step_id for node in tree.descendants(start))]
        return [step_id for step_id in around if (key, step_id) not in self._expanded]

    def _places(self, wanted: Iterable[tuple[TaskKey, str]]) -> list[StepPlace]:
        return [(*key, step_id, day) for key, step_id in wanted if (day := self._tasks[key].day) is not None]

    async def _load(self, wanted: Iterable[tuple[TaskKey, str]]) -> list[StoredStep]:
        return await steps_table.load(self._connection, self._places(wanted))

    def _put(self, trees: dict[TaskKey, Tree], found: Iterable[StoredStep]) -> None:
        for stored in found:
            key = (stored.project_id, stored.task_id)
            if stored.step_id not in self._tasks[key].steps:  # else what the batch says of it is there already
                step = self._tasks[key].steps[stored.step_id] = StepWork.of(stored)
                if (node := step.node) is not None:
                    trees[key].put(node)

    # -- R3 ---------------------------------------------------------------------------------------------------

    def _claim_changes(self) -> dict[ClaimKey, dict[tuple[str, str], Claim | None]]:
        """Per response id, what steps claim now; null: nothing any more."""
        changes: dict[ClaimKey, dict[tuple[str, str], Claim | None]] = {}
        for (key, step_id), step in self._recount.items():
            project_id, task_id = key
            now = claim_of(task_id, step, step.node, wrapper=step.wrapper)
            if step.stored is not None and step.node_before is not None and step.node_before.response_id:
                changes.setdefault((project_id, step.node_before.response_id), {})[task_id, step_id] = None
            if now is not None:
                changes.setdefault((project_id, now.response_id), {})[task_id, step_id] = now
        for claim_key, made in self._made.items():  # what was there before, turned out to be a wrapper, or is older than what is stored
            for claim in made:
                step = self._tasks[claim_key[0], claim.task_id].steps[claim.step_id]
                now = claim_of(claim.task_id, step, step.node, wrapper=step.wrapper)
                changes.setdefault(claim_key, {}).setdefault(
                    (claim.task_id, claim.step_id), now if now is not None and now.response_id == claim_key[1] else None
                )
        return changes

    async def _hold(self, keys: Iterable[ClaimKey]) -> None:
        late = [key for key in keys if key not in self._held]
        if late:  # rare: a deletion, or a step that says another response id than before. A deadlock here is retried
            self._held.update(await claims_table.lock(self._connection, {key: [] for key in late}))

    async def _claims(self, changes: dict[ClaimKey, dict[tuple[str, str], Claim | None]]) -> None:
        updates: dict[ClaimKey, list[Claim]] = {}
        flipped: dict[tuple[TaskKey, str], bool] = {}
        for claim_key, steps in changes.items():
            held = self._held[claim_key]
            fresh = held == self._made.get(claim_key)
            before = {(claim.task_id, claim.step_id): claim for claim in held}
            after = {place: claim for place, claim in before.items() if place not in steps} | {
                place: claim for place, claim in steps.items() if claim is not None
            }
            if after != before:
                updates[claim_key] = list(after.values())
            shadowed = overlapping_claims(after.values())
            shadowed_before = set[tuple[str, str]]() if fresh else overlapping_claims(held)
            for task_id, step_id in steps.keys() | (shadowed ^ shadowed_before):
                step_key = ((claim_key[0], task_id), step_id)
                flipped[step_key] = flipped.get(step_key, False) or (task_id, step_id) in shadowed
        if updates:
            await claims_table.update(self._connection, updates)
        await self._flip(flipped)

    async def _flip(self, flipped: dict[tuple[TaskKey, str], bool]) -> None:
        foreign = sorted({key for key, _ in flipped if key not in self._tasks})
        if foreign:
            for key, row in (await tasks_table.lock(self._connection, foreign)).items():
                task = self._tasks[key] = TaskWork(key, row.first_offset, row.seen_at_us)
                task.row, task.day, task.last_offset, task.last_event_at_us = row, row.day, row.last_offset, row.last_event_at_us
        wanted = [(key, step_id) for key, step_id in flipped if key in self._tasks and step_id not in self._tasks[key].steps]
        if wanted:
            for stored in await self._load(wanted):
                self._tasks[stored.project_id, stored.task_id].steps[stored.step_id] = StepWork.of(stored)
        for (key, step_id), shadowed in flipped.items():
            step = self._tasks[key].steps.get(step_id) if key in self._tasks else None
            if step is not None:
                step.shadowed = shadowed or step.wrapper
                self._recount[key, step_id] = step
