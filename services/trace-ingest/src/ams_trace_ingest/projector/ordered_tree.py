"""What a task derives whose steps begin after their parents: the answers of ``DeriveTree`` at a fraction of its cost. Pure.

Most tasks arrive complete, or grow from the root down, and each of their steps begins after its parent. Then there is neither a cycle nor a
skewed clock, what a step derives does not change later, and one pass over the steps of a batch is enough. A property test compares both.
"""

from collections.abc import Collection, Mapping

from ams_contracts.derive import DerivedStep, DeriveStep, DeriveTree, step_of
from ams_contracts.derive_errors import Failed, affected_steps, failed_step
from ams_contracts.derive_tree import WRONG_CLOCK_FLAGS
from ams_contracts.documents import Status, StepDocument, StepType
from ams_trace_ingest.projector.changes import StepChanges

_ERROR, _LLM = Status.ERROR, StepType.LLM  # a look-up in the class costs 0.3 us
_NEVER = 2**63
_UNKNOWN = -_NEVER

Rank = tuple[bool, int, int, str]

_Place = tuple[int | None, str | None]
"""When a step began, and the nearest agent that is named, at the step or above."""


class OrderedTree:
    """What ``derive_task`` asks of a tree, of steps that each begin after their parents."""

    __slots__ = (
        "_affected", "_answer", "_asked", "_failed", "_inherited", "_last_end", "_missing", "_named", "_outermost", "_places", "_root", "_steps",
    )  # fmt: skip

    def __init__(self) -> None:
        self._steps: Mapping[str, StepChanges] = {}  # of the batch in hand
        self._inherited: dict[str, str | None] = {}  # the agents of its steps that name none
        self._places: dict[str, _Place] = {}  # of the steps of earlier batches
        self._missing: set[str] = set()  # parents that have not come
        self._named = False  # whether a step of an earlier batch names an agent
        self._root: tuple[Rank, DeriveStep] | None = None
        self._outermost: tuple[Rank, DeriveStep] | None = None
        self._asked: Rank | None = None
        self._answer: Rank | None = None
        self._last_end: int | None = None
        self._failed: dict[str, Failed] = {}
        self._affected: set[str] = set()

    def add(self, steps: Mapping[str, StepChanges]) -> bool:
        """Add the steps of a batch, joined with what is stored of them, and give each new one its agent.

        Returns:
            False when a step does not begin after its parent, or something derived of an earlier step changes. Then the tree is not valid.
        """
        self._steps = steps
        places, last_end = self._places, self._last_end
        roots, nameless, tops = list[StepChanges](), list[StepChanges](), list[StepChanges]()
        for step_id, step in steps.items():
            document = step.state.document
            if document is None:
                continue
            if step_id not in places:
                if not self._place(step, document, nameless, tops):
                    return False
            elif not step.redocumented:
                continue
            elif not self._replaces(step, document):
                return False
            ended, flags = document.ended_at_us, document.flags
            if ended is not None and (last_end is None or ended > last_end) and (not flags or WRONG_CLOCK_FLAGS.isdisjoint(flags)):
                last_end = ended
            if document.status is _ERROR and step.state.status is _ERROR:
                self._failed[step_id] = failed_step(step_id, document.error, ended, document.started_at_us)
            if document.parent_step_id is None or document.type is _LLM:
                self._read_previews(step, document, roots)
        self._last_end = last_end
        self._root = _lowest(self._root, roots)
        self._name_agents(nameless, tops)
        return self._settle_errors() and not (self._missing and any(step_id in self._missing for step_id in steps))

    def keep(self) -> None:
        """Remember what later steps need to know of those that were added; the batch is committed, and the task is still open."""
        places, parents = self._places, set[str]()
        for step_id, step in self._steps.items():
            document = step.state.document
            if document is not None and step_id not in places:
                places[step_id] = (document.started_at_us, self._inherited.get(step_id) if document.agent is None else document.agent)
                if document.parent_step_id is not None:
                    parents.add(document.parent_step_id)
        self._missing.update(parents - places.keys())
        self._named = self._outermost is not None
        self._steps, self._inherited = {}, {}

    def rows(self) -> list[tuple[str, DerivedStep]]:
        """The added steps for which more than an agent is derived."""
        return [(step_id, DerivedStep(agent=self._steps[step_id].agent, affected=True)) for step_id in self._affected]

    def root(self) -> DeriveStep | None:
        """The earliest parentless step."""
        return None if self._root is None else self._root[1]

    def outermost(self) -> DeriveStep | None:
        """The earliest step that names an agent and has no ancestor that does, as it was first known."""
        return None if self._outermost is None else self._outermost[1]

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

    def _place(self, step: StepChanges, document: StepDocument, nameless: list[StepChanges], tops: list[StepChanges]) -> bool:
        """Sort a new step in by its agent; whether it begins after its parent, if that is known."""
        parent_id, started, above_agent = document.parent_step_id, document.started_at_us, None
        if parent_id is not None:
            above = self._steps.get(parent_id)
            above_started: int | None = _UNKNOWN
            if above is not None and (above_document := above.state.document) is not None:
                above_started, above_agent = above_document.started_at_us, above_document.agent
            elif parent_id in self._places:
                above_started, above_agent = self._places[parent_id]
            if above_started != _UNKNOWN and (started is None or above_started is None or above_started >= started):
                return False
        if document.agent is None:
            nameless.append(step)
        else:
            step.agent = document.agent or document.service
            if above_agent is None:  # else an ancestor names one
                tops.append(step)
        return True

    def _replaces(self, step: StepChanges, document: StepDocument) -> bool:
        """Whether a step of an earlier batch has the same place as before, and nothing that was derived from it is void."""
        before = None if step.stored is None else step.stored.document
        if before is None:
            return False
        self._failed.pop(step.step_id, None)
        return (
            before.parent_step_id == document.parent_step_id
            and before.agent == document.agent
            and before.service == document.service
            and before.started_at_us == document.started_at_us
            and before.seq == document.seq
            and before.type is document.type
            and (before.ended_at_us is None or (before.ended_at_us == document.ended_at_us and before.flags == document.flags))
            and not (before.preview_input and not document.preview_input)
            and not (before.preview_output and not document.preview_output)
        )

    def _read_previews(self, step: StepChanges, document: StepDocument, roots: list[StepChanges]) -> None:
        step_id, level = step.step_id, document.parent_step_id is not None
        if not level:
            roots.append(step)
        if document.preview_input:
            asked = (level, _NEVER if document.started_at_us is None else document.started_at_us, document.seq, step_id)
            if self._asked is None or asked < self._asked:
                self._asked = asked
        if document.preview_output:
            answer = (level, 1 if document.ended_at_us is None else -document.ended_at_us, document.seq, step_id)
            if self._answer is None or answer < self._answer:
                self._answer = answer

    def _settle_errors(self) -> bool:
        if len(self._failed) > 1:
            if self._places:  # what is above an earlier failure is not known here
                return False
            self._affected = affected_steps(self._failed, self._parent_of)
        return True

    def _name_agents(self, nameless: list[StepChanges], tops: list[StepChanges]) -> None:
        known = self._inherited = {}  # of every nameless step that was passed, so that each is passed once
        some = bool(tops) or self._named
        for step in nameless:
            document = step.state.document
            if document is not None:
                step.agent = (self._nearest(step.step_id, known) if some else None) or document.service
        self._outermost = _lowest(self._outermost, [step for step in tops if self._nearest(self._parent_of(step.step_id), known) is None])

    def _nearest(self, step_id: str | None, known: dict[str, str | None]) -> str | None:
        passed: list[str] = []
        agent: str | None = None
        while step_id is not None:
            if step_id in known:
                agent = known[step_id]
                break
            if step_id in self._places:
                agent = self._places[step_id][1]
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
        return parent_id if parent_id is not None and (parent_id in self._places or _document(self._steps.get(parent_id))) else None


def derive_new_task(steps: Mapping[str, StepChanges]) -> tuple[OrderedTree | DeriveTree, list[tuple[str, DerivedStep]]]:
    """Derive a task of which no step is stored, and give each of its steps the agent to show.

    Returns:
        The tree, and the steps for which more than an agent is derived.
    """
    ordered = OrderedTree()
    if ordered.add(steps):
        return ordered, ordered.rows()
    tree = DeriveTree(node for step in steps.values() if (node := step_of(step.step_id, step.state)) is not None)
    derived = {step_id: tree.derived(step_id) for step_id in tree.steps}
    for step_id, found in derived.items():
        steps[step_id].agent = found.agent
    return tree, [(step_id, found) for step_id, found in derived.items() if found.affected or found.flags]


def _document(step: StepChanges | None) -> StepDocument | None:
    return None if step is None else step.state.document


def _lowest(known: tuple[Rank, DeriveStep] | None, steps: list[StepChanges]) -> tuple[Rank, DeriveStep] | None:
    """The earliest of some steps and of the one so far; the same step is replaced."""
    if not steps:
        return known
    rank, best = min((_rank(step), step) for step in steps)
    found = step_of(best.step_id, best.state)
    return known if found is None or (known is not None and known[0] < rank) else (rank, found)


def _rank(step: StepChanges) -> Rank:
    document = step.state.document
    return (
        (True, 0, 0, step.step_id)
        if document is None
        else (document.started_at_us is None, document.started_at_us or 0, document.seq, step.step_id)
    )
