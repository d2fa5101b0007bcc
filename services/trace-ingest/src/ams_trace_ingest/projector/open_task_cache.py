"""Open tasks that this process has written completely, so that it does not read its own rows again (ADR 0035).

The cache holds only what no other process writes: the tree of the steps, which of them are wrappers (R2), and the rows of steps that are
open and claim nothing (R3 can be changed by other partitions, and needs an end or a response id). The owner of a partition is its only
writer as long as the stored position is the one that it left, so an entry is valid for that position only. The records of a task are in
one partition, unless another program writes to the log; then the task's row shows the other partition's record. Without the cache,
everything is read from the tables.
"""

from collections.abc import Mapping
from datetime import date

from ams_contracts.derive import OPEN_STATUSES, DeriveStep, DeriveTree, step_of
from ams_contracts.documents import Status, StepDocument
from ams_contracts.fold import PHASE_ENDED, Stamp, StepState
from ams_trace_ingest.projector.changes import ShownByTree, StepChanges, TaskChanges
from ams_trace_ingest.projector.ordered_tree import OrderedTree
from ams_trace_ingest.rollup import Counted, Node, Tree
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

STEPS_MAX = 120_000  # of all tasks
STEP_BYTES_MAX = 750  # with its places in the two trees: 680 in a large task, 1,050 with the share of a task of ten
OPEN_STEP_WEIGHT = 4  # one whose row is cached, too: 1,300 bytes with previews of 200 characters
TASK_WEIGHT = 6  # without its steps: 4,000 bytes
FAILURE_WEIGHT = 6  # a message of 4,096 characters


class CachedStep:
    """A row as it was written, with the interface of ``store.step_rows.StoredStep``, which is read."""

    __slots__ = (
        "_state",
        "agent",
        "counted",
        "key",
        "node",
        "offsets",
        "repeats_call",
        "repeats_response",
        "shadowed",
        "status",
        "step_id",
        "type_raw",
        "wrapper",
    )

    def __init__(self, key: TaskKey, step: StepChanges) -> None:
        self.key = key
        self.step_id = step.step_id
        self.offsets: tuple[int, int | None, int] = (step.first_offset, step.end_offset, step.seen_at_us)
        self.status: Status = step.state.status
        self.counted: Counted = step.counted
        self.shadowed = step.shadowed
        self.wrapper = step.wrapper
        self.repeats_response, self.repeats_call = step.repeats_response, step.repeats_call
        self.agent = step.agent
        self.type_raw = step.type_raw
        self.node: Node | None = step.node
        self._state = step.state

    @property
    def stamp(self) -> Stamp | None:
        return self._state.stamp

    @property
    def document(self) -> StepDocument | None:
        return self._state.document

    def state(self, *, with_document: bool = True) -> StepState:  # noqa: ARG002  leaving it out would save nothing here
        return self._state


class CachedTask:
    """One task with all of its steps."""

    __slots__ = (
        "_derive_tree", "_failed", "_last_written", "_nodes_to_add", "_steps_to_add", "_tree", "day", "open", "ordered_tree", "partition", "shown", "steps", "weight",
        "wrappers",
    )  # fmt: skip

    def __init__(self, partition: int, day: date) -> None:
        self.partition = partition
        self.day = day
        self.steps: set[str] = set()
        self.open: dict[str, CachedStep] = {}
        self.wrappers: set[str] = set()
        self.weight = 0
        self._tree = Tree()
        self._nodes_to_add: list[Node] = []  # not in the tree yet: most tasks need none
        self._failed: set[str] = set()
        self._derive_tree = DeriveTree()
        self._steps_to_add: list[DeriveStep] = []  # not in that tree yet
        self.ordered_tree: OrderedTree | None = None  # what the task derives, as long as its steps come in order
        self.shown: ShownByTree | None = None
        self._last_written = (0, 0)  # the last record and its time, as the task's row held them after the batch

    def is_current(self, row: TaskRow) -> bool:
        """Whether no record of another partition changed the task since; its row, which is locked, would show it."""
        return self._last_written == (row.last_offset, row.seen_at_us)

    def tree(self) -> Tree:
        """All steps that have a document."""
        for node in self._nodes_to_add:
            self._tree.put(node)
        self._nodes_to_add.clear()
        return self._tree

    def derive_tree(self) -> DeriveTree:
        """All steps that have a document, and what they derive from each other."""
        if self._steps_to_add:
            for step in self._steps_to_add:
                self._derive_tree.put(step)
            self._steps_to_add.clear()
            self._derive_tree.take_changed()
        return self._derive_tree

    def update(self, task: TaskChanges, row: TaskRow) -> None:
        """Add what a batch wrote."""
        self._last_written = (row.last_offset, row.seen_at_us)
        nodes = self._nodes_to_add if not self.steps else None  # later the roll-up rules put changed steps into the tree
        self._keep_tree(task)
        if task.shown is not None:
            self.shown = task.shown
        self.steps.update(task.steps)
        open_steps, wrappers = self.open, self.wrappers
        for step_id, step in task.steps.items():
            node, stamp, document = step.node, step.state.stamp, step.state.document
            if nodes is not None and node is not None:
                nodes.append(node)
            if step.wrapper:
                wrappers.add(step_id)
            elif wrappers:
                wrappers.discard(step_id)
            if (stamp is not None and stamp.phase == PHASE_ENDED) or (node is not None and (node.response_id or node.call_key)):
                open_steps.pop(step_id, None)
            elif step.changed or step_id not in open_steps:
                open_steps[step_id] = CachedStep(task.key, step)
            if document is not None and document.error is not None:
                self._failed.add(step_id)
        self.weight = TASK_WEIGHT + len(self.steps) + OPEN_STEP_WEIGHT * len(self.open) + FAILURE_WEIGHT * len(self._failed)

    def _keep_tree(self, task: TaskChanges) -> None:
        tree = task.tree
        if isinstance(tree, OrderedTree):
            tree.keep()
            self.ordered_tree = tree
            self._steps_to_add += [
                found for step in task.steps.values() if step.redocumented and (found := step_of(step.step_id, step.state)) is not None
            ]
        elif isinstance(tree, DeriveTree):
            tree.take_changed()
            self.ordered_tree, self._derive_tree = None, tree
            self._steps_to_add.clear()


class OpenTaskCache:
    """The open tasks of one projection's partitions. The least recently changed ones are evicted first."""

    def __init__(self, steps_max: int = STEPS_MAX) -> None:
        """``steps_max`` bounds it."""
        self._steps_max = steps_max
        self._weight = 0
        self._tasks: dict[TaskKey, CachedTask] = {}
        self._positions: dict[int, tuple[str, int]] = {}

    def invalidate_moved(self, generation: str, positions: Mapping[int, int]) -> bool:
        """Evict the tasks of partitions whose tables or positions are not as this process left them.

        Returns:
            Whether there are such partitions: then other caches of what this process wrote are not valid either.
        """
        moved = [partition for partition, position in positions.items() if self._positions.get(partition) != (generation, position)]
        for partition in moved:
            for key in [key for key, cached in self._tasks.items() if cached.partition == partition]:
                self._evict(key)
        return bool(moved)

    def advance(self, generation: str, positions: Mapping[int, int]) -> None:
        """Note the positions after a batch was committed."""
        for partition, position in positions.items():
            self._positions[partition] = (generation, position)

    def check_out(self, tasks: Mapping[TaskKey, TaskChanges]) -> dict[TaskKey, CachedTask]:
        """Remove and return the entries of these tasks; ``check_in`` returns them once the batch is committed."""
        return {
            key: cached for key, task in tasks.items() if (cached := self._evict(key)) is not None and cached.partition == task.partition
        }

    def check_in(self, task: TaskChanges, cached: CachedTask) -> None:
        """Cache a task after a batch, if it is still open."""
        if task.row is None or task.row.status not in OPEN_STATUSES:
            return
        cached.update(task, task.row)
        if cached.weight > self._steps_max:
            return
        self._tasks[task.key] = cached
        self._weight += cached.weight
        while self._weight > self._steps_max:
            self._evict(next(iter(self._tasks)))

    def _evict(self, key: TaskKey) -> CachedTask | None:
        cached = self._tasks.pop(key, None)
        if cached is not None:
            self._weight -= cached.weight
        return cached
