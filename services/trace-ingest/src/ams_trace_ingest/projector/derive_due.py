"""Derives marked tasks from their rows: those that were too large for the batch that changed them (ADR 0042)."""

from collections.abc import Sequence

from ams_contracts.derive import DerivedStep, DeriveTree, derive_task
from ams_trace_ingest.projector.changes import ShownByTree
from ams_trace_ingest.projector.derivation import ROWS_MAX, load_words
from ams_trace_ingest.projector.task_columns import set_derived, set_flag
from ams_trace_ingest.store import derived as derived_table
from ams_trace_ingest.store import tasks
from ams_trace_ingest.store.connections import Connection
from ams_trace_ingest.store.tasks import TaskRow

STEPS_MAX = 200_000
"""A larger task is not derived again: it keeps what its batches derived, and says so. 100,000 steps take 2 s and 60 MB."""
FLAG_NOT_DERIVED = "not_derived"


async def derive_next_due(connection: Connection, partitions: Sequence[int]) -> TaskRow | None:
    """Derive a marked task of these partitions, or a part of it.

    The transaction holds the task's row, so no batch changes its steps at the same time. At most ``ROWS_MAX`` rows are written, and the mark stays
    until none is left to write, so an interrupted run resumes where the rows are.

    Args:
        connection: In a transaction of its own.
        partitions: Of the steps topic.

    Returns:
        The task's row, or null when no task is marked, or a batch holds each that is.
    """
    row = await derived_table.lock_next_due(connection, partitions)
    if row is None:
        return None
    place = (row.project_id, row.task_id, row.day)
    tree, stored = DeriveTree(), dict[str, DerivedStep]()
    if row.steps <= STEPS_MAX:
        async for nodes in derived_table.read_tree(connection, place, STEPS_MAX):
            for node in nodes:
                tree.put(node.step)
                stored[node.step.step_id] = node.derived
        rows = [(step_id, found) for step_id in tree.steps if (found := tree.derived(step_id)) != stored[step_id]]
        await derived_table.update(connection, place, rows[:ROWS_MAX])
        if len(rows) > ROWS_MAX:
            return row
        shown = ShownByTree(derive_task(tree, row.state))
        await load_words(connection, place, shown)
        set_derived(row, shown, row.state)
    set_flag(row, FLAG_NOT_DERIVED, row.steps > STEPS_MAX)
    row.derive_due = False
    await tasks.write(connection, [row])
    return row
