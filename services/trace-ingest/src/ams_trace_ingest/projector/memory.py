"""What this process knows of open tasks that began under its eyes, so that it need not ask the tables for what it wrote itself (ADR 0035).

Only what nobody else writes is remembered: the steps' places in their tree, which of them are wrappers (R2), and the rows of those that
are open and claim nothing (R3, which other partitions may change, needs an end or a response id). The owner of a partition is its only
writer as long as the position is the one that it left, so a memory holds for that position alone; and a task is only spoken of in one
partition, unless somebody else than intake writes to the log: then the other one's record shows in the task's row. It is a shortcut:
without it everything is read from the tables.
"""

from collections.abc import Mapping
from datetime import date

from ams_contracts.documents import Status, StepDocument
from ams_contracts.fold import Stamp, StepState
from ams_trace_ingest.projector.working import StepWork, TaskWork
from ams_trace_ingest.rollup import Counted, Node, Tree
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

STEPS_MAX = 120_000  # of all tasks; some 400 bytes each
OPEN_STEP_WEIGHT = 8  # one that is kept whole
OPEN = frozenset({Status.RUNNING, Status.WAITING, Status.LOST})


class RememberedStep:
    """A row as it was written: what ``store.step_rows.StoredStep`` gives of one that was read."""

    __slots__ = ("_state", "counted", "key", "node", "offsets", "shadowed", "status", "step_id", "wrapper")

    def __init__(self, key: TaskKey, step: StepWork) -> None:
        self.key = key
        self.step_id = step.step_id
        self.offsets: tuple[int, int | None, int] = (step.first_offset, step.end_offset, step.seen_at_us)
        self.status: Status = step.state.status
        self.counted: Counted = step.counted
        self.shadowed = step.shadowed
        self.wrapper = step.wrapper
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


class TaskMemory:
    """Of one task, all of its steps."""

    __slots__ = ("_late", "_left", "_tree", "day", "open", "partition", "steps", "weight", "wrappers")

    def __init__(self, partition: int, day: date) -> None:
        self.partition = partition
        self.day = day
        self.steps: set[str] = set()
        self.open: dict[str, RememberedStep] = {}
        self.wrappers: set[str] = set()
        self.weight = 0
        self._tree = Tree()
        self._late: list[Node] = []  # not in the tree yet: most tasks never need one
        self._left = (0, 0)  # the last record and its time, as the task's row told them after it

    def holds(self, row: TaskRow) -> bool:
        """Whether no record of another partition spoke of the task since (seen by its row, which is locked)."""
        return self._left == (row.last_offset, row.seen_at_us)

    def tree(self) -> Tree:
        """All steps that have a document."""
        for node in self._late:
            self._tree.put(node)
        self._late.clear()
        return self._tree

    def take(self, task: TaskWork, row: TaskRow) -> None:
        """What a batch wrote of the task."""
        self._left = (row.last_offset, row.seen_at_us)
        if not self.steps:  # later on the rules put what changes into the tree
            self._late = [node for step in task.steps.values() if (node := step.node) is not None]
        self.steps.update(task.steps)
        for step_id, step in task.steps.items():
            node = step.node
            if step.wrapper:
                self.wrappers.add(step_id)
            else:
                self.wrappers.discard(step_id)
            if step.state.ended or (node is not None and node.response_id):
                self.open.pop(step_id, None)
            elif step.changed or step_id not in self.open:
                self.open[step_id] = RememberedStep(task.key, step)
        self.weight = len(self.steps) + OPEN_STEP_WEIGHT * len(self.open)


class Memory:
    """Of the partitions of one projection. The tasks that were not spoken of for longest are forgotten first."""

    def __init__(self, steps_max: int = STEPS_MAX) -> None:
        """``steps_max`` bounds it."""
        self._steps_max = steps_max
        self._weight = 0
        self._tasks: dict[TaskKey, TaskMemory] = {}
        self._standing: dict[int, tuple[str, int]] = {}

    def stand(self, generation: str, positions: Mapping[int, int]) -> None:
        """Forget what is of other tables, or of another position than this process left the partition at."""
        for partition, position in positions.items():
            if self._standing.get(partition) != (generation, position):
                for key in [key for key, memory in self._tasks.items() if memory.partition == partition]:
                    self._forget(key)

    def moved(self, generation: str, positions: Mapping[int, int]) -> None:
        """The batch is committed: this is where the partitions stand now."""
        for partition, position in positions.items():
            self._standing[partition] = (generation, position)

    def take_out(self, tasks: Mapping[TaskKey, TaskWork]) -> dict[TaskKey, TaskMemory]:
        """What is known of these tasks. It is forgotten unless it is put back once the batch is committed."""
        return {
            key: memory for key, task in tasks.items() if (memory := self._forget(key)) is not None and memory.partition == task.partition
        }

    def put(self, task: TaskWork, memory: TaskMemory) -> None:
        """Remember a task after a batch, if more of it is to be expected."""
        if task.row is None or task.row.status not in OPEN:
            return
        memory.take(task, task.row)
        if memory.weight > self._steps_max:
            return
        self._tasks[task.key] = memory
        self._weight += memory.weight
        while self._weight > self._steps_max:
            self._forget(next(iter(self._tasks)))

    def _forget(self, key: TaskKey) -> TaskMemory | None:
        memory = self._tasks.pop(key, None)
        if memory is not None:
            self._weight -= memory.weight
        return memory
