"""What a batch of records changes, per task and step, before anything is written. Knows no driver."""

from collections import Counter
from datetime import date
from typing import Protocol

from msgspec import Struct

from ams_contracts.derive import DerivedTask, Tree
from ams_contracts.documents import MESSAGING, Status, StepDocument
from ams_contracts.events import AgentRegistered, PriceSet, ProjectTombstone, ScoreRecorded
from ams_contracts.fold import EMPTY_STEP, EMPTY_TASK, Stamp, StepState, TaskState, join
from ams_trace_ingest.repeated_calls import Claim, claims_of
from ams_trace_ingest.rollup import NOTHING, Counted, Node
from ams_trace_ingest.store.agents import AgentKey
from ams_trace_ingest.store.dead_letters import DeadLetter
from ams_trace_ingest.store.positions import Account
from ams_trace_ingest.store.producers import Delivered
from ams_trace_ingest.store.step_logs import LoggedLine
from ams_trace_ingest.store.step_rows import node_of_document
from ams_trace_ingest.store.task_days import day_of
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

Contribution = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int]
"""What a step adds to its task: steps, errors, running, waiting, lost, input, output, nusd, priced, unpriced, repeated, unmetered, messaging."""

NO_CONTRIBUTION: Contribution = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_ERROR, _RUNNING, _WAITING, _LOST = Status.ERROR, Status.RUNNING, Status.WAITING, Status.LOST  # a look-up in the class costs 0.3 us


class KnownStep(Protocol):
    """A stored step: read from the tables, or cached."""

    @property
    def key(self) -> TaskKey: ...
    @property
    def step_id(self) -> str: ...
    @property
    def offsets(self) -> tuple[int, int | None, int]:
        """First offset, offset of the end, broker's time of the last change."""
        ...

    @property
    def stamp(self) -> Stamp | None: ...
    @property
    def document(self) -> StepDocument | None: ...
    @property
    def node(self) -> Node | None: ...
    @property
    def status(self) -> Status: ...
    @property
    def counted(self) -> Counted: ...
    @property
    def shadowed(self) -> bool: ...
    @property
    def wrapper(self) -> bool: ...
    @property
    def repeats_response(self) -> str | None: ...
    @property
    def repeats_call(self) -> str | None: ...
    @property
    def type_raw(self) -> str | None: ...
    @property
    def agent(self) -> str | None:
        """The one that is shown."""
        ...

    def state(self, *, with_document: bool = True) -> StepState:
        """The registers. Without the document when another one outranks it anyway."""
        ...


class StepChanges(Struct, eq=False, gc=False):
    """A step of the batch, joined with what is stored of it. A struct, which is made in a quarter of the time of a class.

    Attributes:
        step_id: 16 hex digits.
        first_offset: Of its first record in the batch, until it is joined.
        repeats_response: The task of the step that counts instead (R3), by the response id.
        repeats_call: The same by the call key.
        agent: To show: see ``projector.derivation``.
    """

    step_id: str
    first_offset: int
    state: StepState = EMPTY_STEP
    end_offset: int | None = None
    seen_at_us: int = 0
    stored: KnownStep | None = None
    changed: bool = True
    counted: Counted = NOTHING
    wrapper: bool = False
    repeats_response: str | None = None
    repeats_call: str | None = None
    agent: str | None = None
    before: Contribution = NO_CONTRIBUTION
    _node: Node | None = None
    _node_of: StepDocument | None = None
    _claims: dict[str, Claim] | None = None
    _claims_of: StepDocument | None = None

    @classmethod
    def of(cls, stored: KnownStep) -> "StepChanges":
        """A stored step without an event in the batch, whose count may change."""
        changes = cls(stored.step_id, 0)
        changes.join(stored)
        return changes

    def join(self, stored: KnownStep) -> None:
        """Join with the stored step."""
        stamp = stored.stamp
        said = self.state.stamp
        outranked = said is not None and (stamp is None or said > stamp)
        known = stored.state(with_document=not outranked)
        state = join(known, self.state)
        first_offset, end_offset, seen_at_us = stored.offsets
        self.changed = state is not known or self.seen_at_us > seen_at_us
        self.state = state
        self.stored = stored
        self.first_offset = first_offset
        self.end_offset = end_offset if end_offset is not None else self.end_offset
        self.seen_at_us = max(self.seen_at_us, seen_at_us)
        self.counted, self.wrapper, self.agent = stored.counted, stored.wrapper, stored.agent
        self.repeats_response, self.repeats_call = stored.repeats_response, stored.repeats_call
        self.before = contribution(
            stored.status, self.counted, repeated=repeats_other_than(stored, stored.key[1]), type_raw=stored.type_raw
        )

    @property
    def shadowed(self) -> bool:
        """Whether another step reports the same usage, and counts."""
        return self.wrapper or self.repeats_response is not None or self.repeats_call is not None

    @property
    def type_raw(self) -> str | None:
        """The type as the producer named it."""
        document = self.state.document
        return None if document is None else document.type_raw

    @property
    def redocumented(self) -> bool:
        """Whether the document that counts is from this batch."""
        return self.stored is None or self.stored.stamp != self.state.stamp

    @property
    def node(self) -> Node | None:
        """The step as the roll-up rules see it; null while only its progress is known."""
        document = self.state.document
        if document is None:
            return None
        if self._node_of is not document:
            self._node_of = document
            self._node = node_of_document(self.step_id, document)
        return self._node

    def claims(self, task_id: str) -> dict[str, Claim]:
        """What the step claims by R3, by key, if it counts."""
        document = self.state.document
        if document is None:
            return {}
        if self._claims is None or self._claims_of is not document:
            self._claims_of = document
            self._claims = claims_of(task_id, self.step_id, document)
        return self._claims


def repeats_other_than(step: "KnownStep | StepChanges", task_id: str) -> bool:
    """Whether a step of another task counts instead (R3)."""
    return (step.repeats_response or task_id) != task_id or (step.repeats_call or task_id) != task_id


def contribution(status: Status, counted: Counted, *, repeated: bool = False, type_raw: str | None = None) -> Contribution:
    """What a step with this status and count adds to its task."""
    return (
        1,
        status is _ERROR,
        status is _RUNNING,
        status is _WAITING,
        status is _LOST,
        counted.input_tokens,
        counted.output_tokens,
        counted.cost_nusd or 0,
        counted.cost_nusd is not None,
        counted.unpriced,
        repeated,
        counted.unmetered,
        type_raw == MESSAGING and status is not _ERROR,  # a failure is worth a look
    )


class ShownByTree:
    """What a task shows because of its steps, with the words of its previews."""

    __slots__ = ("answer", "asked", "derived")

    def __init__(self, derived: DerivedTask) -> None:
        self.derived = derived
        self.asked: str | None = None
        self.answer: str | None = None

    def take_words(self, known: "ShownByTree") -> None:
        """Take the words that are missing from what was shown before, where they are of the same steps."""
        if self.asked is None and self.derived.asked_step_id == known.derived.asked_step_id:
            self.asked = known.asked
        if self.answer is None and self.derived.answer_step_id == known.derived.answer_step_id:
            self.answer = known.answer

    @property
    def lacks_words(self) -> bool:
        return (self.asked is None) is not (self.derived.asked_step_id is None) or (self.answer is None) is not (
            self.derived.answer_step_id is None
        )


class TaskChanges:
    """A task of the batch."""

    __slots__ = (
        "_latest_state", "conflicts", "day", "deleted_at_us", "deleted_by", "derive_due", "duplicates", "events", "first_offset", "first_seen_us", "heartbeats", "key", "last_event_at_us",
        "last_offset", "logged", "parentless", "partition", "producers", "repeated_response", "row", "scores", "seen_at_us", "shown", "state", "steps", "tree",
    )  # fmt: skip

    def __init__(self, key: TaskKey, partition: int, offset: int, seen_at_us: int) -> None:
        self.key = key
        self.partition = partition
        self.first_offset = self.last_offset = offset
        self.first_seen_us = self.seen_at_us = seen_at_us
        self.last_event_at_us = 0
        self.state: TaskState = EMPTY_TASK
        self.steps: dict[str, StepChanges] = {}
        self.producers: dict[str, Delivered] = {}
        self.heartbeats = False
        self.parentless = False  # whether the batch holds a step without a parent
        self.deleted_by: str | None = None
        self.deleted_at_us = 0
        self.events = 0  # 0: only another task's events change its totals
        self.duplicates = 0
        self.conflicts = 0
        self.scores: dict[str, ScoreRecorded] = {}
        self.logged: list[LoggedLine] = []
        self.day: date | None = None
        self.row: TaskRow | None = None
        self.repeated_response: bool | None = None  # whether a step of it claims a response id for which R3 is off; null: as before
        self.shown: ShownByTree | None = None  # null: what is derived is as it was
        self.tree: Tree | None = None  # of all its steps; null: not derived
        self.derive_due = False
        self._latest_state: TaskState | None = None

    @property
    def latest_state(self) -> TaskState:
        """The register of the task's own events, after the batch."""
        if self._latest_state is None:
            stored = EMPTY_TASK if self.row is None else self.row.state
            newer = self.state.stamp is not None and (stored.stamp is None or self.state.stamp > stored.stamp)
            self._latest_state = self.state if newer else stored
        return self._latest_state


class Tally:
    """What becomes of the events of one partition: all = projected + duplicates + ignored + dead."""

    __slots__ = ("dead", "duplicates", "events", "ignored")

    def __init__(self) -> None:
        self.events = 0
        self.duplicates = 0
        self.dead = 0
        self.ignored: Counter[str] = Counter()

    def account(self) -> Account:
        """The counts as an account, once the batch is written."""
        ignored = dict(self.ignored)
        return Account(self.events - self.duplicates - self.dead - sum(ignored.values()), self.duplicates, self.dead, ignored)


class BatchChanges:
    """Everything that records change, and what becomes of their events by partition."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, TaskChanges] = {}
        self.registrations: dict[AgentKey, AgentRegistered] = {}
        self.agents_seen: dict[AgentKey, int] = {}
        self.prices: list[tuple[str, PriceSet]] = []
        self.deleted_projects: dict[str, ProjectTombstone] = {}
        self.letters: list[DeadLetter] = []
        self.tallies: dict[int, Tally] = {}

    def tally(self, partition: int) -> Tally:
        """The partition's."""
        tally = self.tallies.get(partition)
        if tally is None:
            tally = self.tallies[partition] = Tally()
        return tally

    def first_days(self) -> dict[TaskKey, date]:
        """Per task the UTC day of its first record in the batch."""
        return {key: day_of(task.first_seen_us) for key, task in self.tasks.items()}

    def tally_of(self, task: "TaskChanges") -> Tally:
        """Of the task's partition."""
        return self.tally(task.partition)

    def ignore(self, keys: set[TaskKey], reason: str) -> None:
        """Drop the changes of these tasks, and count their events as ignored.

        Args:
            keys: Of the batch.
            reason: ``deleted``, ``expired`` (older than the project keeps) or ``project_deleted``.
        """
        for key in keys:
            task = self.tasks.pop(key)
            self.tally_of(task).ignored[reason] += task.events

    def ignore_deleted_projects(self) -> None:
        """Drop what the same records say of projects that they delete."""
        self.ignore({key for key in self.tasks if key[0] in self.deleted_projects}, "project_deleted")
        self.registrations = {key: event for key, event in self.registrations.items() if key[0] not in self.deleted_projects}
        self.agents_seen = {key: at_us for key, at_us in self.agents_seen.items() if key[0] not in self.deleted_projects}
        self.prices = [(project_id, event) for project_id, event in self.prices if project_id not in self.deleted_projects]

    @property
    def deletes(self) -> bool:
        return any(task.deleted_by is not None for task in self.tasks.values())
