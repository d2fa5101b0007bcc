"""What the tasks of a batch derive from their steps, within the batch's transaction (ADR 0042)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ams_contracts.derive import DerivedStep, DeriveTree, derive_task, step_of
from ams_trace_ingest.projector.changes import ShownByTree, TaskChanges
from ams_trace_ingest.projector.open_task_cache import CachedTask
from ams_trace_ingest.projector.ordered_tree import OrderedTree, derive_new_task
from ams_trace_ingest.store import derived as derived_table
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.derived import StoredNode, TaskPlace
from ams_trace_ingest.store.tasks import TaskKey

READ_STEPS_MAX = 2_000
"""So many steps of one task are read to derive it again within a batch, some 10 ms; a larger one that is not cached is marked."""
READ_BATCH_STEPS_MAX = 10_000
"""So many of all tasks of a batch."""
ROWS_MAX = 5_000
"""So many rows of one task are written again by a batch, or by one transaction for a marked task: some 200 ms."""

DerivedRow = tuple[str, DerivedStep]

_NO_WORDS = (None, None)


class Derivation:
    """Derives the tasks that a batch touches."""

    def __init__(self, connection: Connection, tasks: Mapping[TaskKey, TaskChanges], cached_tasks: Mapping[TaskKey, CachedTask]) -> None:
        """Take the batch in hand.

        Args:
            connection: In the batch's transaction.
            tasks: Joined with what is stored.
            cached_tasks: Open tasks whose steps are known.
        """
        self._connection = connection
        self._tasks = tasks
        self._cached_tasks = cached_tasks
        self._rows: dict[TaskKey, list[DerivedRow]] = {}
        self._without_words: list[tuple[TaskChanges, ShownByTree]] = []

    async def derive(self) -> None:
        """Set ``agent`` of every step in hand, and ``shown`` of every task of which something derived may be another now.

        A task that is too large for that is marked instead (``derive_due``).
        """
        to_read: list[TaskPlace] = []
        room = READ_BATCH_STEPS_MAX
        for key, task in self._tasks.items():
            if task.row is None:
                self._keep(key, task, *derive_new_task(task.steps))
            elif not is_touched(task):
                continue
            elif key in self._cached_tasks:
                ordered = self._cached_tasks[key].ordered_tree
                if ordered is not None and ordered.add(task.steps):
                    self._keep(key, task, ordered, [])
                else:
                    self._derive_stored(key, task, self._cached_tasks[key].derive_tree(), None)
            elif task.day is not None and task.row.steps <= min(READ_STEPS_MAX, room):
                room -= task.row.steps
                to_read.append((*key, task.day))
            else:
                _mark(task)
                _take_agents_at_hand(task)
        for key, stored in (await derived_table.load_trees(self._connection, to_read)).items():
            self._derive_stored(key, self._tasks[key], DeriveTree(node.step for node in stored), stored)
        for task, shown in self._without_words:
            if task.day is not None:
                await load_words(self._connection, (*task.key, task.day), shown)

    async def write(self) -> None:
        """Write what is derived of steps, once the batch's own rows are written."""
        for key, rows in self._rows.items():
            day = self._tasks[key].day
            if day is not None:
                await derived_table.update(self._connection, (*key, day), rows)

    def _derive_stored(self, key: TaskKey, task: TaskChanges, tree: DeriveTree, stored: Sequence[StoredNode] | None) -> None:
        for step in task.steps.values():
            if step.redocumented and (node := step_of(step.step_id, step.state)) is not None:
                tree.put(node)
        changed = tree.take_changed()
        before = None if stored is None else {node.step.step_id: node.derived for node in stored}
        rows: list[DerivedRow] = []
        for step_id in changed if before is None else tree.steps:
            found = tree.derived(step_id)
            step = task.steps.get(step_id)
            if step is not None and step.stored is None:  # its row is written with its agent, and the other columns' defaults
                if found.affected or found.flags:
                    rows.append((step_id, found))
            elif before is None or before.get(step_id) != found:
                rows.append((step_id, found))
        for step_id, step in task.steps.items():
            if step_id in tree.steps:
                step.agent = tree.agent_of(step_id)
        if len(rows) > ROWS_MAX:
            _mark(task)
            rows = []
        self._keep(key, task, tree, rows)

    def _keep(self, key: TaskKey, task: TaskChanges, tree: OrderedTree | DeriveTree, rows: list[DerivedRow]) -> None:
        derived = derive_task(tree, task.latest_state)
        cached = self._cached_tasks.get(key)
        shown = task.shown = ShownByTree(derived)
        known = None if cached is None else cached.shown
        shown.asked = _words(task, derived.asked_step_id, "preview_input")
        shown.answer = _words(task, derived.answer_step_id, "preview_output")
        if known is not None:
            shown.take_words(known)
        if shown.lacks_words:
            self._without_words.append((task, shown))
        task.tree = tree
        if rows:
            self._rows[key] = rows


async def load_words(connection: Connection, place: TaskPlace, shown: ShownByTree) -> None:
    """Read the previews that a task shows, where they are not at hand."""
    ids = [step_id for step_id in (shown.derived.asked_step_id, shown.derived.answer_step_id) if step_id is not None]
    if not ids:
        return
    found = await derived_table.previews(connection, place, ids)
    shown.asked = shown.asked or found.get(shown.derived.asked_step_id or "", _NO_WORDS)[0]
    shown.answer = shown.answer or found.get(shown.derived.answer_step_id or "", _NO_WORDS)[1]


def is_touched(task: TaskChanges) -> bool:
    """Whether the batch brought a document of the task, or of a step of it."""
    return task.state.stamp is not None or any(step.redocumented for step in task.steps.values())


def _take_agents_at_hand(task: TaskChanges) -> None:
    """Show what the batch and the rows say of agents until the marked task is derived."""
    for step in task.steps.values():
        document = step.state.document
        if document is not None and step.redocumented:
            step.agent = document.agent or step.agent or document.service


def _mark(task: TaskChanges) -> None:
    """Leave the task to ``derive_due_tasks``."""
    task.derive_due = True


def _words(task: TaskChanges, step_id: str | None, preview: Literal["preview_input", "preview_output"]) -> str | None:
    step = task.steps.get(step_id) if step_id is not None else None
    return None if step is None or step.state.document is None else getattr(step.state.document, preview)
