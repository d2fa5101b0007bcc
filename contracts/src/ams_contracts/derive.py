"""What a step or a task shows because of other steps: its agent, affected errors, previews, end and duration (ADR 0042).

The fold decides what each step is by itself; ``derive`` decides what follows from the tree. Both are pure and depend on the set of steps
alone, not on the order in which they came. ``derive`` is linear in the size of the tree and uses no recursion. ``DeriveTree`` gives the
same answers while steps keep coming, at the cost of what each of them changes. ``web/src/fold/derive.ts`` is the twin in TypeScript; both
pass ``contracts/vectors/derive-*.json``.

* **Agent of a step**: the one that it names, else that of the nearest ancestor that names one, else the service that emitted the step.
* **Agent of a task**: the one that the task names, else that of the earliest step that names an agent and has no ancestor that does, else
  the root's service.
* **Errors**: a failed step that repeats the failure of a step below it is *affected*, and the task does not count it (``repeats``).
* **Previews**: what was asked is the input of the earliest parentless step that has one, else of the earliest model call that has one; the
  answer is the output of the parentless step that ended last, else of the model call that ended last.
* **End and duration** of a task that has ended: until the last of its steps ends.
* **Flags**: ``cycle`` for a step that is its own ancestor (it counts as one without a known parent), ``skewed`` for a step that began before
  its parent by more than the parent's length: two hosts whose clocks disagree.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from msgspec import Struct

from ams_contracts.derive_errors import Failed, origin_of
from ams_contracts.derive_tree import DerivedStep, DeriveStep, DeriveTree, rank_of, step_of
from ams_contracts.documents import Failure, Status, TaskDocument
from ams_contracts.fold import EMPTY_TASK, PHASE_ENDED, TaskState

__all__ = ["DeriveStep", "DeriveTree", "Derived", "DerivedStep", "DerivedTask", "derive", "derive_task", "rank_of", "step_of"]

OPEN_STATUSES = frozenset({Status.RUNNING, Status.WAITING, Status.LOST})


class DerivedTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task shows because of its steps.

    Attributes:
        root_step_id: The earliest parentless step; null while none is known.
        agent: Null while nothing names one.
        errors: Failed steps without the affected ones.
        error: Why the task failed: its own failure or the root's, else that of the last failure below a root that says nothing.
        asked_step_id: The step whose input preview says what was asked; the task's own preview comes first.
        answer_step_id: The step whose output preview is the answer.
        ended_at_us: Null while the task is open.
        duration_us: Null while the task is open, or where a time is unknown.
    """

    root_step_id: str | None = None
    agent: str | None = None
    errors: int = 0
    error: Failure | None = None
    asked_step_id: str | None = None
    answer_step_id: str | None = None
    ended_at_us: int | None = None
    duration_us: int | None = None


class Derived(Struct, frozen=True):
    """Of all steps of a tree, and of its task."""

    steps: dict[str, DerivedStep]
    task: DerivedTask


class Tree(Protocol):
    """What a task asks of its steps; ``DeriveTree`` says what each means."""

    def root(self) -> DeriveStep | None: ...
    def outermost(self) -> DeriveStep | None: ...
    def asked(self) -> str | None: ...
    def answer(self) -> str | None: ...
    def last_end(self) -> int | None: ...
    def errors(self) -> int: ...
    def failures(self) -> Collection[Failed]: ...


def derive(steps: Iterable[DeriveStep], task: TaskState = EMPTY_TASK) -> Derived:
    """Derive everything at once.

    Args:
        steps: Of one task, each once, in any order. Parents may be missing, and cycles may be there.
        task: The register of the task's own events.
    """
    tree = DeriveTree(_parents_first({step.step_id: step for step in steps}))
    return Derived({step_id: tree.derived(step_id) for step_id in sorted(tree.steps)}, derive_task(tree, task))


def derive_task(tree: Tree, task: TaskState) -> DerivedTask:
    """What the task shows, given all of its steps."""
    root = tree.root()
    ended_at_us, duration_us = _end(tree, root, task)
    return DerivedTask(
        root_step_id=None if root is None else root.step_id,
        agent=_agent(tree, root, task.document),
        errors=tree.errors(),
        error=_error(tree, root, task.document),
        asked_step_id=tree.asked(),
        answer_step_id=tree.answer(),
        ended_at_us=ended_at_us,
        duration_us=duration_us,
    )


def _agent(tree: Tree, root: DeriveStep | None, document: TaskDocument | None) -> str | None:
    if document is not None and document.agent is not None:
        return document.agent
    outermost = tree.outermost()
    if outermost is not None:
        return outermost.agent
    return None if root is None else root.service


def _error(tree: Tree, root: DeriveStep | None, document: TaskDocument | None) -> Failure | None:
    own = document if document is not None else root
    if own is None:
        return None
    if own.error is not None and (own.error.type or own.error.message):
        return own.error
    return origin_of(tree.failures()) if own.status is Status.ERROR else own.error


def _end(tree: Tree, root: DeriveStep | None, task: TaskState) -> tuple[int | None, int | None]:
    own: TaskDocument | DeriveStep | None = task.document if task.document is not None else root
    if own is None:
        return None, None
    ended = task.stamp is not None and task.stamp.phase == PHASE_ENDED
    if not ended and own.status in OPEN_STATUSES:
        return None, None
    last = tree.last_end()
    if last is None or (own.ended_at_us is not None and own.ended_at_us >= last):
        return own.ended_at_us, own.duration_us  # by the monotonic clock, where the producer has one
    began = own.started_at_us
    return last, last - began if began is not None and last >= began else None


def _parents_first(steps: dict[str, DeriveStep]) -> list[DeriveStep]:
    """In an order in which nothing below a step is derived twice; what is part of a cycle, or below one, comes last."""
    children: dict[str, list[DeriveStep]] = {}
    ordered: list[DeriveStep] = []
    for step in steps.values():
        if step.parent_step_id is None or step.parent_step_id not in steps:
            ordered.append(step)
        else:
            children.setdefault(step.parent_step_id, []).append(step)
    for step in ordered:  # grows while it is read
        ordered += children.pop(step.step_id, ())
    return ordered + [step for below in children.values() for step in below]
