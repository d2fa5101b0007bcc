"""The roll-up rules on a batch: which steps' usage counts, and whose count changed, in this task or another one.

R2 needs a step's descendants and R3 other tasks' claims. Only the stored steps that the rules need are loaded
(``ams_trace_ingest.rollup`` says which).
"""

from collections.abc import Iterable, Mapping

from ams_contracts.documents import BILLABLE_TYPES, StepType
from ams_trace_ingest.projector.changes import KnownStep, StepChanges, TaskChanges
from ams_trace_ingest.projector.claim_updater import ClaimUpdater, StepKey, load_steps, places_of
from ams_trace_ingest.projector.open_task_cache import CachedTask
from ams_trace_ingest.repeated_calls import RESPONSE_STEPS_MAX, Claim
from ams_trace_ingest.rollup import (
    DEPTH_MAX,
    STOP_TYPES,
    Counted,
    Node,
    Tree,
    count,
    shadowed_steps,
    to_reexamine,
    wrappers_among,
)
from ams_trace_ingest.store import steps as steps_table
from ams_trace_ingest.store.claims import ClaimKey, StoredClaims
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.step_rows import Neighbour
from ams_trace_ingest.store.tasks import TaskKey


class RollupUpdater:
    """R1-R3 for the tasks of one batch, within its transaction."""

    def __init__(
        self,
        connection: Connection,
        tasks: dict[TaskKey, TaskChanges],
        new_claims: dict[ClaimKey, list[Claim]],
        stored_claims: dict[ClaimKey, StoredClaims],
        cached_tasks: Mapping[TaskKey, CachedTask],
        *,
        response_steps_max: int = RESPONSE_STEPS_MAX,
    ) -> None:
        """Take the batch.

        Args:
            connection: In the batch's transaction.
            tasks: Joined with what is stored. Tasks of which a count changes are added.
            new_claims: What ``candidate_claims`` found; locked, and written where nothing was.
            stored_claims: What those rows hold that were there before.
            cached_tasks: Of tasks whose steps need not be looked up.
            response_steps_max: Steps that may claim one response id before R3 is off for it.
        """
        self._connection = connection
        self._tasks = tasks
        self._cached_tasks = cached_tasks
        self._trees: dict[TaskKey, Tree] = {}
        self._dirty: dict[TaskKey, set[str]] = {}
        self._left: dict[TaskKey, set[str]] = {}  # parents of before
        self._neighbours: dict[StepKey, Neighbour] = {}
        self._missing: set[StepKey] = set()
        self._recount: dict[StepKey, StepChanges] = {}
        self._claims = ClaimUpdater(connection, tasks, new_claims, stored_claims, self._recount, steps_max=response_steps_max)

    async def update(self, deleted_claims: Mapping[ClaimKey, set[str]]) -> None:
        """Set ``wrapper``, ``shadowed`` and ``counted`` of every step for which they may have changed.

        Args:
            deleted_claims: Per response id the tasks that were deleted, and whose claims are deleted with them.
        """
        for key, task in self._tasks.items():
            if task.row is None:
                self._update_new_task(key, task)
            else:
                self._prepare_stored_task(key, task)
        if self._trees:
            await self._update_stored_tasks()
        await self._claims.update(deleted_claims)
        for step in self._recount.values():
            node, stored = step.node, step.stored
            if node is not None:
                counted = count(node, shadowed=step.shadowed)
                if stored is None or _changed(step, stored, counted):
                    step.counted = counted
                    step.changed = True

    # -- R2 ---------------------------------------------------------------------------------------------------

    def _update_new_task(self, key: TaskKey, task: TaskChanges) -> None:
        """Nothing of the task is stored: the batch holds its complete tree."""
        known = [(step, node) for step in task.steps.values() if (node := step.node) is not None]
        calls = [(step, node) for step, node in known if node.type in BILLABLE_TYPES and node.call]
        wrappers: set[str] = set()
        if len(calls) > 1 and any(_may_shadow(task, node) for _, node in calls):
            wrappers = shadowed_steps(Tree.upwards(node for _, node in known))
        for step, _ in calls:
            step.wrapper = step.step_id in wrappers
            self._recount[key, step.step_id] = step

    def _prepare_stored_task(self, key: TaskKey, task: TaskChanges) -> None:
        cached = self._cached_tasks.get(key)
        tree = None if cached is None else _with_steps(cached.tree(), task)
        dirty: set[str] = set()
        left: set[str] = set()
        for step in task.steps.values():
            node = step.node
            if node is None or not step.changed:
                continue
            before = step.stored.node if step.stored is not None else None
            if node.call or (before is not None and before.call):  # another end or model changes a claim, and not the node
                self._recount[key, step.step_id] = step
            if step.redocumented:
                if node == before or (node.type in STOP_TYPES and (before is None or before.type in STOP_TYPES)):
                    continue
                if tree is not None and (before is None or before.parent_step_id == node.parent_step_id) and tree.is_isolated(node):
                    continue  # the whole tree is known
                dirty.add(step.step_id)
                if before is not None and before.parent_step_id is not None:
                    left.add(before.parent_step_id)
        if dirty:
            self._dirty[key] = dirty
            self._left[key] = left
            self._trees[key] = _with_steps(Tree(), task) if tree is None else tree

    async def _update_stored_tasks(self) -> None:
        await self._load_above()
        await self._load_below(
            {key: to_reexamine(tree, self._dirty[key], self._left[key]) | self._below_calls(key) for key, tree in self._trees.items()}
        )
        suspects = {key: to_reexamine(tree, self._dirty[key], self._left[key]) for key, tree in self._trees.items()}
        flipped: dict[StepKey, bool] = {}
        for key, tree in self._trees.items():
            steps = self._tasks[key].steps
            examined = suspects[key] | ((self._dirty[key] | self._left[key]) & steps.keys())
            wrappers = wrappers_among(tree, examined)
            for step_id in examined:
                wrapper = step_id in wrappers
                step = steps.get(step_id)
                if step is not None:
                    step.wrapper = wrapper
                    self._recount[key, step_id] = step
                elif wrapper != self._was_wrapper(key, step_id):
                    flipped[key, step_id] = wrapper
        await load_steps(self._connection, self._tasks, flipped)
        for step_key, wrapper in flipped.items():
            step = self._recount[step_key] = self._tasks[step_key[0]].steps[step_key[1]]
            step.wrapper = wrapper

    def _below_calls(self, key: TaskKey) -> set[str]:
        """The changed steps below which unmetered calls may be views of a call above them, or may have been."""
        tree, steps = self._trees[key], self._tasks[key].steps
        return {
            step_id
            for step_id in self._dirty[key]
            if steps[step_id].stored is not None or any(above.billable for above in tree.ancestors(step_id))
        }

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
            for start in self._left[key]
            if start not in tree
        }
        climbs |= {
            (key, node.parent_step_id)
            for key, tree in self._trees.items()
            if key not in self._cached_tasks
            for start in self._left[key]
            if (node := tree.get(start)) is not None and node.parent_step_id is not None
        }
        for _ in range(DEPTH_MAX):
            ends = {climb: unknown for climb in climbs if (unknown := self._first_unknown(*climb)) is not None}
            wanted = {(key, unknown) for (key, _), unknown in ends.items()}
            if not wanted:
                return
            found = self._add_neighbours(await steps_table.load_above(self._connection, places_of(self._tasks, wanted)))
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
            for step_id in self._with_descendants(key, starts)
        }
        expanded: set[StepKey] = set()
        while frontier:
            expanded |= frontier
            found = self._add_neighbours(await steps_table.load_below(self._connection, places_of(self._tasks, frontier)))
            expanded |= {step for step in found if step[1] not in self._tasks[step[0]].steps}  # the query has expanded these already
            starts: dict[TaskKey, set[str]] = {}
            for key, start in found:
                starts.setdefault(key, set()).add(start)
            below = {(key, step_id) for key in starts for step_id in self._with_descendants(key, starts[key])}
            frontier = {step for step in below - expanded if self._type(*step) not in STOP_TYPES}

    def _with_descendants(self, key: TaskKey, starts: set[str]) -> list[str]:
        """Steps and their known descendants, down to the next stop types."""
        return [*starts, *(node.step_id for node in self._trees[key].descendants(starts))]

    def _type(self, key: TaskKey, step_id: str) -> StepType | None:
        node = self._trees[key].get(step_id)
        return None if node is None else node.type

    def _add_neighbours(self, found: Iterable[Neighbour]) -> set[StepKey]:
        put: set[StepKey] = set()
        for neighbour in found:
            key, step_id = (neighbour.project_id, neighbour.task_id), neighbour.node.step_id
            put.add((key, step_id))
            self._neighbours[key, step_id] = neighbour
            if step_id not in self._tasks[key].steps:  # else the batch knows better
                self._trees[key].put(neighbour.node)
        return put


def _changed(step: StepChanges, stored: KnownStep, counted: Counted) -> bool:
    return (
        counted != stored.counted
        or step.wrapper != stored.wrapper
        or step.repeats_response != stored.repeats_response
        or step.repeats_call != stored.repeats_call
    )


def _with_steps(tree: Tree, task: TaskChanges) -> Tree:
    for step in task.steps.values():
        if (node := step.node) is not None:
            tree.put(node)
    return tree


def _may_shadow(task: TaskChanges, node: Node) -> bool:
    """Whether the parent of a call can be its wrapper at all: mostly it is an agent or a workflow, which stops the search."""
    parent = task.steps.get(node.parent_step_id) if node.parent_step_id is not None else None
    return parent is not None and parent.state.document is not None and parent.state.document.type not in STOP_TYPES
