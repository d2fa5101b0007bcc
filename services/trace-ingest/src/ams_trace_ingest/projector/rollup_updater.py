"""The roll-up rules on a batch: which steps' usage counts, and whose count changed, in this task or another one.

R2 asks for a step's descendants and R3 for other tasks' claims, so what is stored is looked up here, as little as the rules need
(``ams_trace_ingest.rollup`` says which).
"""

from collections.abc import Iterable, Mapping

from ams_contracts.documents import StepType
from ams_trace_ingest.projector.changes import StepChanges, TaskChanges
from ams_trace_ingest.projector.open_task_cache import CachedTask
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
from ams_trace_ingest.store.step_rows import Neighbour
from ams_trace_ingest.store.steps import StepPlace
from ams_trace_ingest.store.tasks import TaskKey

StepKey = tuple[TaskKey, str]
ClaimChanges = dict[ClaimKey, dict[tuple[str, str], Claim | None]]
"""Per response id what steps (task, step) claim now; null: nothing any more."""


def claim_of(task_id: str, step: StepChanges, node: Node | None) -> Claim | None:
    """What a step claims by R3, if anything."""
    document = step.state.document
    if node is None or document is None or step.wrapper or not node.response_id or not node.billable:
        return None
    return Claim(
        task_id=task_id,
        step_id=step.step_id,
        response_id=node.response_id,
        model=document.model,
        started_at_us=document.started_at_us,
        ended_at_us=document.ended_at_us,
    )


def candidate_claims(tasks: Iterable[TaskChanges]) -> dict[ClaimKey, list[Claim]]:
    """The claims that a batch may make, before anything stored is known: what must be locked first, and mostly all there is."""
    wanted: dict[ClaimKey, list[Claim]] = {}
    for task in tasks:
        project_id, task_id = task.key
        for step in task.steps.values():
            document = step.state.document
            if document is not None and document.response_id:
                claim = claim_of(task_id, step, step.node)
                if claim is not None:
                    wanted.setdefault((project_id, claim.response_id), []).append(claim)
    return wanted


class RollupUpdater:
    """R1-R3 for the tasks of one batch, within its transaction."""

    def __init__(
        self,
        connection: Connection,
        tasks: dict[TaskKey, TaskChanges],
        new_claims: dict[ClaimKey, list[Claim]],
        stored_claims: dict[ClaimKey, list[Claim]],
        cached_tasks: Mapping[TaskKey, CachedTask],
    ) -> None:
        """Take the batch in hand.

        Args:
            connection: In the batch's transaction.
            tasks: Joined with what is stored. Tasks of which a count changes are added.
            new_claims: What ``candidate_claims`` found; locked, and written where nothing was.
            stored_claims: What those rows hold that were there before.
            cached_tasks: Of tasks whose steps need not be looked up.
        """
        self._connection = connection
        self._tasks = tasks
        self._new_claims = new_claims
        self._stored_claims = stored_claims
        self._cached_tasks = cached_tasks
        self._trees: dict[TaskKey, Tree] = {}
        self._dirty: dict[TaskKey, set[str]] = {}
        self._neighbours: dict[StepKey, Neighbour] = {}
        self._missing: set[StepKey] = set()
        self._recount: dict[StepKey, StepChanges] = {}

    async def update(self, deleted_claims: Mapping[ClaimKey, set[str]]) -> None:
        """Set ``wrapper``, ``shadowed`` and ``counted`` of every step whose answer may be another one now.

        Args:
            deleted_claims: Per response id the tasks that were deleted, and whose claims go with them.
        """
        for key, task in self._tasks.items():
            if task.row is None:
                self._update_new_task(key, task)
            else:
                self._prepare_stored_task(key, task)
        if self._trees:
            await self._update_stored_tasks()
        await self._update_claims(deleted_claims)
        for step in self._recount.values():
            node, stored = step.node, step.stored
            if node is not None:
                counted = count(node, shadowed=step.shadowed)
                if stored is None or counted != stored.counted or step.shadowed != stored.shadowed or step.wrapper != stored.wrapper:
                    step.counted = counted
                    step.changed = True

    # -- R2 ---------------------------------------------------------------------------------------------------

    def _update_new_task(self, key: TaskKey, task: TaskChanges) -> None:
        """Nothing of the task is stored: its tree is all here."""
        billable = [(step, node) for step in task.steps.values() if (node := step.node) is not None and node.billable]
        wrappers: set[str] = set()
        if len(billable) > 1 and any(_may_shadow(task, node) for _, node in billable):
            wrappers = shadowed_steps(Tree(node for step in task.steps.values() if (node := step.node) is not None))
        for step, _ in billable:
            step.wrapper = step.shadowed = step.step_id in wrappers
            self._recount[key, step.step_id] = step

    def _prepare_stored_task(self, key: TaskKey, task: TaskChanges) -> None:
        cached = self._cached_tasks.get(key)
        tree = None if cached is None else _with_steps(cached.tree(), task)
        dirty: set[str] = set()
        for step in task.steps.values():
            node = step.node
            if node is None or not step.changed:
                continue
            before = step.stored.node if step.stored is not None else None
            if node.billable or (before is not None and before.billable):  # another end or model changes a claim, and not the node
                self._recount[key, step.step_id] = step
            if step.redocumented:
                if node == before or (node.type in STOP_TYPES and (before is None or before.type in STOP_TYPES)):
                    continue
                if tree is not None and (before is None or before.parent_step_id == node.parent_step_id) and tree.is_isolated(node):
                    continue  # the whole tree is known
                dirty.add(step.step_id)
                if before is not None and before.parent_step_id is not None:
                    dirty.add(before.parent_step_id)
        if dirty:
            self._dirty[key] = dirty
            self._trees[key] = _with_steps(Tree(), task) if tree is None else tree

    async def _update_stored_tasks(self) -> None:
        await self._load_above()
        suspects = {key: to_reexamine(tree, self._dirty[key]) for key, tree in self._trees.items()}
        await self._load_below(suspects)
        flipped: dict[StepKey, bool] = {}
        for key, tree in self._trees.items():
            steps = self._tasks[key].steps
            for step_id in suspects[key] | (self._dirty[key] & steps.keys()):
                wrapper = shadowed_by_descendant(tree, step_id)
                step = steps.get(step_id)
                if step is not None:
                    step.wrapper = step.shadowed = wrapper
                    self._recount[key, step_id] = step
                elif wrapper != self._was_wrapper(key, step_id):
                    flipped[key, step_id] = wrapper
        await self._load_steps(flipped)
        for step_key, wrapper in flipped.items():
            step = self._recount[step_key] = self._tasks[step_key[0]].steps[step_key[1]]
            step.wrapper = step.shadowed = wrapper

    def _was_wrapper(self, key: TaskKey, step_id: str) -> bool:
        cached = self._cached_tasks.get(key)
        return self._neighbours[key, step_id].wrapper if cached is None else step_id in cached.wrappers

    async def _load_above(self) -> None:
        climbs = {
            (key, node.parent_step_id)
            for key, tree in self._trees.items()
            if key not in self._cached_tasks
            for start in self._dirty[key]
            if (node := tree.get(start)) is not None and node.parent_step_id is not None
        }
        climbs |= {
            (key, start)
            for key, tree in self._trees.items()
            if key not in self._cached_tasks
            for start in self._dirty[key]
            if start not in tree
        }  # parents of before
        for _ in range(DEPTH_MAX):
            ends = {climb: unknown for climb in climbs if (unknown := self._first_unknown(*climb)) is not None}
            wanted = {(key, unknown) for (key, _), unknown in ends.items()}
            if not wanted:
                return
            found = self._add_neighbours(await steps_table.load_above(self._connection, self._places(wanted)))
            parents = {
                (key, node.parent_step_id)
                for key, step_id in found
                if (node := self._neighbours[key, step_id].node).type not in STOP_TYPES and node.parent_step_id is not None
            }
            self._missing |= (wanted | parents) - found
            climbs = set(ends)

    def _first_unknown(self, key: TaskKey, step_id: str | None) -> str | None:
        """From a step upwards, the first that is to be loaded: not known, not known to be missing, and not above a stop type."""
        tree = self._trees[key]
        seen: set[str] = set()
        while step_id is not None and step_id not in seen and len(seen) <= DEPTH_MAX:
            seen.add(step_id)
            node = tree.get(step_id)
            if node is None:
                return None if (key, step_id) in self._missing else step_id
            if node.type in STOP_TYPES:
                return None
            step_id = node.parent_step_id
        return None

    async def _load_below(self, suspects: dict[TaskKey, set[str]]) -> None:
        frontier = {
            (key, step_id)
            for key, starts in suspects.items()
            if key not in self._cached_tasks
            for start in starts
            for step_id in self._with_descendants(key, start)
        }
        expanded: set[StepKey] = set()
        while frontier:
            expanded |= frontier
            found = self._add_neighbours(await steps_table.load_below(self._connection, self._places(frontier)))
            expanded |= {step for step in found if step[1] not in self._tasks[step[0]].steps}  # the query went on beneath these by itself
            below = {(key, step_id) for key, start in found for step_id in self._with_descendants(key, start)}
            frontier = {step for step in below - expanded if self._type(*step) not in STOP_TYPES}

    def _with_descendants(self, key: TaskKey, start: str) -> list[str]:
        """A step and what is known beneath it, down to the next stop types."""
        return [start, *(node.step_id for node in self._trees[key].descendants(start))]

    def _type(self, key: TaskKey, step_id: str) -> StepType | None:
        node = self._trees[key].get(step_id)
        return None if node is None else node.type

    def _places(self, wanted: Iterable[StepKey]) -> list[StepPlace]:
        return [(*key, step_id, day) for key, step_id in wanted if (day := self._tasks[key].day) is not None]

    def _add_neighbours(self, found: Iterable[Neighbour]) -> set[StepKey]:
        put: set[StepKey] = set()
        for neighbour in found:
            key, step_id = (neighbour.project_id, neighbour.task_id), neighbour.node.step_id
            put.add((key, step_id))
            self._neighbours[key, step_id] = neighbour
            if step_id not in self._tasks[key].steps:  # else the batch knows better
                self._trees[key].put(neighbour.node)
        return put

    async def _load_steps(self, wanted: Iterable[StepKey]) -> None:
        """Load the whole rows of steps that change although the batch says nothing of them."""
        places = self._places(wanted)
        for stored in await steps_table.load(self._connection, places):
            self._tasks[stored.key].steps[stored.step_id] = StepChanges.of(stored)

    # -- R3 ---------------------------------------------------------------------------------------------------

    async def _update_claims(self, deleted_claims: Mapping[ClaimKey, set[str]]) -> None:
        changes = self._claim_changes()
        late = [key for key in changes.keys() | deleted_claims.keys() if key not in self._stored_claims and key not in self._new_claims]
        if late:  # rare: a deletion, or a step that says another response id than before. A deadlock here is retried
            nothing: dict[ClaimKey, list[Claim]] = {key: [] for key in late}
            self._stored_claims.update(nothing | await claims_table.lock(self._connection, nothing))
        for claim_key, task_ids in deleted_claims.items():
            places = [(claim.task_id, claim.step_id) for claim in self._stored_claims.get(claim_key, []) if claim.task_id in task_ids]
            changes.setdefault(claim_key, {}).update(dict.fromkeys(places))
        if changes:
            await self._apply_claims(changes)

    def _claim_changes(self) -> ClaimChanges:
        changes: ClaimChanges = {}
        settled: set[tuple[ClaimKey, str, str]] = set()
        for claim_key, new_claims in self._new_claims.items():
            fresh = claim_key not in self._stored_claims
            for claim in new_claims:
                step = self._tasks[claim_key[0], claim.task_id].steps[claim.step_id]
                if fresh and len(new_claims) == 1 and step.redocumented and not step.wrapper:
                    settled.add(
                        (claim_key, claim.task_id, claim.step_id)
                    )  # the first and only one to say so, and it is written already: nothing more to do
                    continue
                now = claim_of(claim.task_id, step, step.node)
                changes.setdefault(claim_key, {})[claim.task_id, claim.step_id] = (
                    now if now is not None and now.response_id == claim_key[1] else None
                )
        for (key, step_id), step in self._recount.items():
            node, before = step.node, step.stored.node if step.stored is not None else None
            project_id, task_id = key
            if before is None and (node is None or not node.response_id or ((project_id, node.response_id), task_id, step_id) in settled):
                continue
            now = claim_of(task_id, step, node)
            if before is not None and before.response_id and (now is None or now.response_id != before.response_id):
                changes.setdefault((project_id, before.response_id), {})[task_id, step_id] = None
            if now is not None and ((claim_key := (project_id, now.response_id)), task_id, step_id) not in settled:
                changes.setdefault(claim_key, {})[task_id, step_id] = now
        return changes

    async def _apply_claims(self, changes: ClaimChanges) -> None:
        updates: dict[ClaimKey, list[Claim]] = {}
        flipped: dict[StepKey, bool] = {}
        for claim_key, steps in changes.items():
            stored_claims = self._stored_claims.get(claim_key, [])
            # what a row was made with may be settled, and then ``steps`` does not tell it again
            written = {
                (claim.task_id, claim.step_id): claim
                for claim in (stored_claims if claim_key in self._stored_claims else self._new_claims[claim_key])
            }
            after = {place: claim for place, claim in written.items() if place not in steps}
            after.update((place, claim) for place, claim in steps.items() if claim is not None)
            if after != written:
                updates[claim_key] = list(after.values())
            shadowed = overlapping_claims(after.values()) if len(after) > 1 else set[tuple[str, str]]()
            shadowed_before = overlapping_claims(stored_claims) if len(stored_claims) > 1 else set[tuple[str, str]]()
            for task_id, step_id in steps.keys() | (shadowed ^ shadowed_before):
                step_key = ((claim_key[0], task_id), step_id)
                if (task_id, step_id) not in after and self._claims_another(*step_key, claim_key[1]):
                    continue  # the batch named this answer, and what is stored outranks it: that one says whether it is shadowed
                flipped[step_key] = flipped.get(step_key, False) or (task_id, step_id) in shadowed
        if updates:
            await claims_table.update(self._connection, updates)
        await self._set_shadowed(flipped)

    def _claims_another(self, key: TaskKey, step_id: str, response_id: str) -> bool:
        step = self._tasks[key].steps.get(step_id) if key in self._tasks else None
        claim = None if step is None else claim_of(key[1], step, step.node)
        return claim is not None and claim.response_id != response_id

    async def _set_shadowed(self, flipped: dict[StepKey, bool]) -> None:
        foreign = sorted({key for key, _ in flipped if key not in self._tasks})
        if foreign:
            for key, row in (await tasks_table.lock(self._connection, foreign)).items():
                task = self._tasks[key] = TaskChanges(key, row.partition, row.first_offset, row.seen_at_us)
                task.row, task.day = row, row.day
        await self._load_steps([(key, step_id) for key, step_id in flipped if key in self._tasks and step_id not in self._tasks[key].steps])
        for (key, step_id), shadowed in flipped.items():
            step = self._tasks[key].steps.get(step_id) if key in self._tasks else None
            if step is not None:
                step.shadowed = shadowed or step.wrapper
                self._recount[key, step_id] = step


def _with_steps(tree: Tree, task: TaskChanges) -> Tree:
    for step in task.steps.values():
        if (node := step.node) is not None:
            tree.put(node)
    return tree


def _may_shadow(task: TaskChanges, node: Node) -> bool:
    """Whether what is above a billable step could be its wrapper at all: mostly an agent or a workflow is, which stops the search."""
    parent = task.steps.get(node.parent_step_id) if node.parent_step_id is not None else None
    return parent is not None and parent.state.document is not None and parent.state.document.type not in STOP_TYPES
