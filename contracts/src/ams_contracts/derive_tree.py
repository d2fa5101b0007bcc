"""A tree of steps that knows what each derives from the others, and keeps it true while steps come (``ams_contracts.derive``)."""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from ams_contracts.derive_errors import Failed, affected_steps, failed_step
from ams_contracts.documents import Failure, Status, StepType
from ams_contracts.fold import StepState

FLAG_CYCLE = "cycle"
FLAG_SKEWED = "skewed"
WRONG_CLOCK_FLAGS = frozenset({"odd_time", "clock_skew", "clock_ahead"})
"""A step with one of these (``docs/mapping.md``) has times that are known to be wrong: its end is not the task's."""

Rank = tuple[bool, int, int, str]


class DeriveStep(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What deriving needs of a step. ``agent`` is the one that it names itself; ``status`` is the one to show.

    ``asks`` and ``answers`` say whether it has a preview of its input and of its output.
    """

    step_id: str
    parent_step_id: str | None = None
    type: StepType = StepType.SPAN
    status: Status = Status.OK
    agent: str | None = None
    service: str | None = None
    started_at_us: int | None = None
    ended_at_us: int | None = None
    duration_us: int | None = None
    seq: int = 0
    error: Failure | None = None
    asks: bool = False
    answers: bool = False
    wrong_clock: bool = False


class DerivedStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a step shows because of others."""

    agent: str | None = None
    affected: bool = False
    flags: list[str] = []


def step_of(step_id: str, state: StepState) -> DeriveStep | None:
    """What deriving needs of a folded step; null while only progress of it is known, for then its place is unknown."""
    document = state.document
    if document is None:
        return None
    return DeriveStep(
        step_id=step_id,
        parent_step_id=document.parent_step_id,
        type=document.type,
        status=state.status,
        agent=document.agent,
        service=document.service,
        started_at_us=document.started_at_us,
        ended_at_us=document.ended_at_us,
        duration_us=document.duration_us,
        seq=document.seq,
        error=document.error,
        asks=bool(document.preview_input),
        answers=bool(document.preview_output),
        wrong_clock=bool(document.flags) and not WRONG_CLOCK_FLAGS.isdisjoint(document.flags),
    )


def rank_of(step: DeriveStep) -> Rank:
    """The order of steps in time: the root is the lowest of the parentless ones; one without a start comes last."""
    return step.started_at_us is None, step.started_at_us or 0, step.seq, step.step_id


class _First:
    """The lowest of some steps by a key. A step for which the key is null is none of them."""

    __slots__ = ("_key", "_least", "_stale", "_steps")

    def __init__(self, steps: dict[str, DeriveStep], key: Callable[[DeriveStep], Rank | None]) -> None:
        self._steps = steps
        self._key = key
        self._least: Rank | None = None  # its last element is the step's id
        self._stale = False

    def put(self, step: DeriveStep) -> None:
        key = self._key(step)
        least = self._least
        if least is not None and least[3] == step.step_id:
            self._stale = self._stale or key is None or key > least
            self._least = key if not self._stale else least
        elif key is not None and (least is None or key < least):
            self._least = key

    def get(self) -> str | None:
        if self._stale:
            self._least = min((key for step in self._steps.values() if (key := self._key(step)) is not None), default=None)
            self._stale = False
        return None if self._least is None else self._least[3]


def _root_key(step: DeriveStep) -> Rank | None:
    return rank_of(step) if step.parent_step_id is None else None


def _asked_key(step: DeriveStep) -> Rank | None:
    if not step.asks or (step.parent_step_id is not None and step.type is not StepType.LLM):
        return None
    started = step.started_at_us
    # an input without a start comes after all that have one
    return step.parent_step_id is not None, 2**63 if started is None else started, step.seq, step.step_id


def _answer_key(step: DeriveStep) -> Rank | None:
    if not step.answers or (step.parent_step_id is not None and step.type is not StepType.LLM):
        return None
    ended = step.ended_at_us
    return step.parent_step_id is not None, 1 if ended is None else -ended, step.seq, step.step_id


def _end_key(step: DeriveStep) -> Rank | None:
    return None if step.ended_at_us is None or step.wrong_clock else (False, -step.ended_at_us, 0, step.step_id)


class DeriveTree:
    """Steps of one task, and what they derive. Putting a step costs as much as what it changes below it."""

    __slots__ = (
        "_affected", "_agents", "_answer", "_asked", "_changed", "_children", "_cycle", "_end", "_failed", "_outermost", "_root", "_skewed", "_stale_errors",
        "_tops", "steps",
    )  # fmt: skip

    def __init__(self, steps: Iterable[DeriveStep] = ()) -> None:
        self.steps: dict[str, DeriveStep] = {}
        self._children: dict[str, dict[str, None]] = {}  # also of parents that have not come
        self._agents: dict[str, str | None] = {}  # the nearest agent that is named, at the step or above
        self._tops: dict[str, None] = {}  # steps that name an agent, and no ancestor does
        self._cycle: set[str] = set()
        self._skewed: set[str] = set()
        self._failed: dict[str, Failed] = {}
        self._affected: set[str] = set()
        self._stale_errors = False
        self._changed: set[str] = set()
        self._root = _First(self.steps, _root_key)
        self._asked = _First(self.steps, _asked_key)
        self._answer = _First(self.steps, _answer_key)
        self._end = _First(self.steps, _end_key)
        self._outermost = _First(self.steps, lambda step: rank_of(step) if step.step_id in self._tops else None)
        for step in steps:
            self.put(step)

    # -- what is asked ----------------------------------------------------------------------------------------

    def derived(self, step_id: str) -> DerivedStep:
        """Of a step that is there."""
        step = self.steps[step_id]
        self._settle_errors()
        return DerivedStep(agent=self._agents[step_id] or step.service, affected=step_id in self._affected, flags=self._flags_of(step_id))

    def _flags_of(self, step_id: str) -> list[str]:
        if step_id not in self._cycle and step_id not in self._skewed:
            return []
        return [FLAG_CYCLE] * (step_id in self._cycle) + [FLAG_SKEWED] * (step_id in self._skewed)

    def agent_of(self, step_id: str) -> str | None:
        """The agent of a step that is there; null when nothing names one."""
        return self._agents[step_id] or self.steps[step_id].service

    def take_changed(self) -> set[str]:
        """The steps of which something derived is another than when this was last asked; new steps are among them."""
        self._settle_errors()
        changed, self._changed = self._changed, set()
        return changed

    def root(self) -> DeriveStep | None:
        """The earliest parentless step."""
        return self._step(self._root.get())

    def outermost(self) -> DeriveStep | None:
        """The earliest step that names an agent and has no ancestor that does."""
        return self._step(self._outermost.get())

    def asked(self) -> str | None:
        """The step whose input was asked."""
        return self._asked.get()

    def answer(self) -> str | None:
        """The step whose output is the answer."""
        return self._answer.get()

    def last_end(self) -> int | None:
        """When the last step ended, of those that have."""
        step = self._step(self._end.get())
        return None if step is None else step.ended_at_us

    def errors(self) -> int:
        """Failed steps without the affected ones."""
        self._settle_errors()
        return len(self._failed) - len(self._affected)

    def failures(self) -> Collection[Failed]:
        """The failed steps."""
        return self._failed.values()

    # -- what comes -------------------------------------------------------------------------------------------

    def put(self, step: DeriveStep) -> None:
        """Add a step, or replace what was known of it."""
        step_id = step.step_id
        before = self.steps.get(step_id)
        if before == step:
            return
        self.steps[step_id] = step
        relinked = before is None or before.parent_step_id != step.parent_step_id
        reached = {step_id: None}
        if relinked:
            reached.update(self._relink(step, before))
        below = self._children.get(step_id)
        self._put_failure(step, before, relinked=relinked and bool(below))
        if before is None or before.service != step.service:
            self._changed.add(step_id)
        self._spread(reached)
        if below and (before is None or (before.started_at_us, before.ended_at_us) != (step.started_at_us, step.ended_at_us)):
            reached.update(below)
        for other in reached:
            self._judge_clock(self.steps[other])
        for first in (self._root, self._asked, self._answer, self._end):
            first.put(step)
        if step_id in self._tops:
            self._outermost.put(step)

    def _relink(self, step: DeriveStep, before: DeriveStep | None) -> dict[str, None]:
        """Put the step below its parent; the steps of which the known parent is another one now."""
        step_id, parent_id = step.step_id, step.parent_step_id
        reached: dict[str, None] = {}
        if before is None:
            reached.update(self._children.get(step_id, ()))
        else:
            if before.parent_step_id is not None:
                del self._children[before.parent_step_id][step_id]
            if step_id in self._cycle:
                reached.update(self._open_cycle(step_id, before.parent_step_id))
        if parent_id is not None:
            self._children.setdefault(parent_id, {})[step_id] = None
            if self._children.get(step_id):  # else it closes none
                reached.update(self._close_cycle(step_id, parent_id))
        return reached

    def _open_cycle(self, step_id: str, parent_id: str | None) -> dict[str, None]:
        members = {step_id: None}
        while parent_id is not None and parent_id != step_id:
            members[parent_id] = None
            parent_id = self.steps[parent_id].parent_step_id
        self._cycle.difference_update(members)
        self._changed.update(members)
        return members

    def _close_cycle(self, step_id: str, parent_id: str) -> dict[str, None]:
        members = {step_id: None}
        above = self.steps.get(parent_id)
        while above is not None and above.step_id not in members and above.step_id not in self._cycle:
            members[above.step_id] = None
            above = self.steps.get(above.parent_step_id) if above.parent_step_id is not None else None
        if above is None or above.step_id != step_id:
            return {}
        self._cycle.update(members)
        self._changed.update(members)
        return members

    def _spread(self, reached: Iterable[str]) -> None:
        """Pass agents down from these steps, as far as they change."""
        todo = list(reached)
        while todo:
            step_id = todo.pop()
            step = self.steps[step_id]
            parent_id = self._parent_of(step_id)
            above = None if parent_id is None else self._agents.get(parent_id)
            self._put_top(step, top=step.agent is not None and above is None)
            agent = step.agent if step.agent is not None else above
            if step_id not in self._agents or self._agents[step_id] != agent:
                self._agents[step_id] = agent
                self._changed.add(step_id)
                todo += [child for child in self._children.get(step_id, ()) if child not in self._cycle]

    def _put_top(self, step: DeriveStep, *, top: bool) -> None:
        if top == (step.step_id in self._tops):
            return
        if top:
            self._tops[step.step_id] = None
        else:
            del self._tops[step.step_id]
        self._outermost.put(step)

    def _judge_clock(self, step: DeriveStep) -> None:
        parent_id = self._parent_of(step.step_id)
        skewed = parent_id is not None and _is_skewed(step, self.steps[parent_id])
        if skewed != (step.step_id in self._skewed):
            self._changed.add(step.step_id)
            (self._skewed.add if skewed else self._skewed.discard)(step.step_id)

    def _put_failure(self, step: DeriveStep, before: DeriveStep | None, *, relinked: bool) -> None:
        """Note whether what is affected has to be found again: a failure changed, or a step that others are below has another place."""
        step_id = step.step_id
        known = self._failed.get(step_id)
        if step.status is Status.ERROR:
            failed = self._failed[step_id] = failed_step(step_id, step.error, step.ended_at_us, step.started_at_us)
            moved = before is None or before.parent_step_id != step.parent_step_id
            self._stale_errors = self._stale_errors or moved or failed != known
        elif known is not None:
            del self._failed[step_id]
            self._stale_errors = True
        elif relinked:
            self._stale_errors = self._stale_errors or len(self._failed) > 1

    def _settle_errors(self) -> None:
        if not self._stale_errors:
            return
        self._stale_errors = False
        affected = affected_steps(self._failed, self._parent_of)
        self._changed.update(affected ^ self._affected)
        self._affected = affected

    def _parent_of(self, step_id: str) -> str | None:
        """The step's parent where it is there, and is not the step's own descendant."""
        parent_id = self.steps[step_id].parent_step_id
        return parent_id if parent_id in self.steps and step_id not in self._cycle else None

    def _step(self, step_id: str | None) -> DeriveStep | None:
        return None if step_id is None else self.steps[step_id]


def _is_skewed(step: DeriveStep, parent: DeriveStep) -> bool:
    """Whether the step began before its parent by more than the parent's length: no program does that, so a clock is wrong.

    A step that begins after its parent ended is none: queues and background work do that.
    """
    began, ended, start = parent.started_at_us, parent.ended_at_us, step.started_at_us
    return began is not None and ended is not None and start is not None and began - start > max(0, ended - began)
