"""What a task derives whose steps are all in the batch: the answers of ``DeriveTree`` at a fifth of its cost. Pure.

Most tasks arrive complete, or begin in a batch, and in most of them every step begins after its parent. Then there is neither a cycle nor a
skewed clock, and one pass over the steps is enough. A property test compares both.
"""

from collections.abc import Collection, Iterable, Mapping

from ams_contracts.derive import DerivedStep, DeriveStep, DeriveTree, rank_of, step_of
from ams_contracts.derive_errors import Failed, affected_steps, failed_step
from ams_contracts.derive_tree import WRONG_CLOCK_FLAGS
from ams_contracts.documents import Status, StepDocument, StepType
from ams_trace_ingest.projector.changes import StepChanges

_ERROR, _LLM = Status.ERROR, StepType.LLM  # a look-up in the class costs 0.3 us
_NEVER = 2**63

Key = tuple[bool, int, int, str]


class NewTaskTree:
    """What ``derive_task`` asks of a tree, of steps that each begin after their parents."""

    __slots__ = ("_affected", "_answer", "_asked", "_failed", "_last_end", "_outermost", "_root", "_steps")

    def __init__(self, steps: Mapping[str, StepChanges]) -> None:
        self._steps = steps
        self._root: StepChanges | None = None
        self._outermost: StepChanges | None = None
        self._asked: Key | None = None
        self._answer: Key | None = None
        self._last_end: int | None = None
        self._failed: dict[str, Failed] = {}
        self._affected: set[str] = set()

    def read(self) -> bool:
        """Derive everything, and give each step its agent; whether each step begins after its parent. If not, the answers are wrong."""
        steps, roots, tops, nameless = self._steps, list[StepChanges](), list[StepChanges](), list[StepChanges]()
        last_end: int | None = None
        for step_id, step in steps.items():
            document = step.state.document
            if document is None:
                continue
            parent_id, started, ended = document.parent_step_id, document.started_at_us, document.ended_at_us
            above = _document(steps.get(parent_id)) if parent_id is not None else None
            if above is not None and (started is None or above.started_at_us is None or above.started_at_us >= started):
                return False
            if document.agent is None:
                nameless.append(step)
            else:
                step.agent = document.agent
                if above is None or above.agent is None:
                    tops.append(step)
            if ended is not None and (last_end is None or ended > last_end) and WRONG_CLOCK_FLAGS.isdisjoint(document.flags):
                last_end = ended
            if document.status is _ERROR and step.state.status is _ERROR:
                self._failed[step_id] = failed_step(step_id, document.error, ended, started)
            if parent_id is None:
                roots.append(step)
                self._read_previews(step_id, document)
            elif document.type is _LLM:
                self._read_previews(step_id, document)
        self._last_end = last_end
        self._root = min(roots, key=_rank, default=None)
        self._name_agents(nameless, tops)
        self._affected = affected_steps(self._failed, self._parent_of)
        return True

    def rows(self) -> list[tuple[str, DerivedStep]]:
        """The steps for which more than an agent is derived."""
        return [(step_id, DerivedStep(agent=self._steps[step_id].agent, affected=True)) for step_id in self._affected]

    def root(self) -> DeriveStep | None:
        """The earliest parentless step."""
        return _derive_step(self._root)

    def outermost(self) -> DeriveStep | None:
        """The earliest step that names an agent and has no ancestor that does."""
        return _derive_step(self._outermost)

    def asked(self) -> str | None:
        """The step whose input was asked."""
        return None if self._asked is None else self._asked[3]

    def answer(self) -> str | None:
        """The step whose output is the answer."""
        return None if self._answer is None else self._answer[3]

    def last_end(self) -> int | None:
        """When the last step ended, of those that have."""
        return self._last_end

    def errors(self) -> int:
        """Failed steps without the affected ones."""
        return len(self._failed) - len(self._affected)

    def failures(self) -> Collection[Failed]:
        """The failed steps."""
        return self._failed.values()

    def _read_previews(self, step_id: str, document: StepDocument) -> None:
        level = document.parent_step_id is not None
        if document.preview_input:
            asked = (level, _NEVER if document.started_at_us is None else document.started_at_us, document.seq, step_id)
            if self._asked is None or asked < self._asked:
                self._asked = asked
        if document.preview_output:
            answer = (level, 1 if document.ended_at_us is None else -document.ended_at_us, document.seq, step_id)
            if self._answer is None or answer < self._answer:
                self._answer = answer

    def _name_agents(self, nameless: Iterable[StepChanges], tops: Iterable[StepChanges]) -> None:
        tops = list(tops)
        known: dict[str, str | None] = {}  # of every nameless step that was passed, so that each is passed once
        for step in nameless:
            document = _document(step)
            if document is not None:
                step.agent = (self._nearest(step.step_id, known) if tops else None) or document.service
        outermost = [step for step in tops if self._nearest(self._parent_of(step.step_id), known) is None]
        self._outermost = min(outermost, key=_rank, default=None)

    def _nearest(self, step_id: str | None, known: dict[str, str | None]) -> str | None:
        passed: list[str] = []
        agent: str | None = None
        while step_id is not None:
            if step_id in known:
                agent = known[step_id]
                break
            document = _document(self._steps.get(step_id))
            if document is None or document.agent is not None:
                agent = None if document is None else document.agent
                break
            passed.append(step_id)
            step_id = document.parent_step_id
        known.update(dict.fromkeys(passed, agent))
        return agent

    def _parent_of(self, step_id: str) -> str | None:
        document = _document(self._steps[step_id])
        parent_id = None if document is None else document.parent_step_id
        return parent_id if parent_id is not None and _document(self._steps.get(parent_id)) is not None else None


def derive_new_task(steps: Mapping[str, StepChanges]) -> tuple[NewTaskTree | DeriveTree, list[tuple[str, DerivedStep]]]:
    """Derive a task of which no step is stored, and give each of its steps the agent to show.

    Returns:
        The tree, and the steps for which more than an agent is derived.
    """
    new = NewTaskTree(steps)
    if new.read():
        return new, new.rows()
    tree = DeriveTree(node for step in steps.values() if (node := step_of(step.step_id, step.state)) is not None)
    derived = {step_id: tree.derived(step_id) for step_id in tree.steps}
    for step_id, found in derived.items():
        steps[step_id].agent = found.agent
    return tree, [(step_id, found) for step_id, found in derived.items() if found.affected or found.flags]


def _document(step: StepChanges | None) -> StepDocument | None:
    return None if step is None else step.state.document


def _derive_step(step: StepChanges | None) -> DeriveStep | None:
    return None if step is None else step_of(step.step_id, step.state)


def _rank(step: StepChanges) -> Key:
    found = _derive_step(step)
    return (True, 0, 0, step.step_id) if found is None else rank_of(found)
