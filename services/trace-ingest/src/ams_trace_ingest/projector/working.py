"""What a batch of records changes, gathered per task and step before anything is written. No driver in here."""

from collections import Counter
from datetime import date

from ams_contracts.documents import Status
from ams_contracts.events import AgentRegistered
from ams_contracts.fold import EMPTY_STEP, EMPTY_TASK, StepState, TaskState, join
from ams_trace_ingest.rollup import NOTHING, Counted, Node, node_of
from ams_trace_ingest.store.agents import AgentKey
from ams_trace_ingest.store.dead_letters import DeadLetter
from ams_trace_ingest.store.producers import Delivered
from ams_trace_ingest.store.steps import StoredStep
from ams_trace_ingest.store.tasks import TaskKey, TaskRow

Contribution = tuple[int, int, int, int, int, int, int, int, int, int]
"""What a step adds to its task: steps, errors, running, waiting, lost, input, output, nusd, priced, unpriced."""

NO_CONTRIBUTION: Contribution = (0,) * 10


class StepWork:
    """A step in hand: what the batch says of it, joined with what was stored."""

    __slots__ = (
        "before",
        "changed",
        "counted",
        "end_offset",
        "first_offset",
        "node_before",
        "seen_at_us",
        "shadowed",
        "state",
        "step_id",
        "stored",
        "wrapper",
    )

    def __init__(self, step_id: str, offset: int) -> None:
        self.step_id = step_id
        self.state: StepState = EMPTY_STEP
        self.first_offset = offset
        self.end_offset: int | None = None
        self.seen_at_us = 0
        self.stored: StoredStep | None = None
        self.changed = True
        self.counted: Counted = NOTHING
        self.shadowed = False
        self.wrapper = False
        self.before: Contribution = NO_CONTRIBUTION
        self.node_before: Node | None = None

    @classmethod
    def of(cls, stored: StoredStep) -> "StepWork":
        """A row that the batch says nothing of; the totals may."""
        work = cls(stored.step_id, stored.first_offset)
        work.join(stored)
        return work

    def join(self, stored: StoredStep) -> None:
        """Take what was stored into account."""
        state = join(stored.state, self.state)
        self.changed = state is not stored.state or self.seen_at_us > stored.seen_at_us
        self.state = state
        self.stored = stored
        self.first_offset = stored.first_offset
        self.end_offset = stored.end_offset if stored.end_offset is not None else self.end_offset
        self.seen_at_us = max(self.seen_at_us, stored.seen_at_us)
        self.counted, self.shadowed, self.wrapper = stored.counted, stored.shadowed, stored.wrapper
        self.before = contribution(stored.state.status, stored.counted)
        self.node_before = node(stored.step_id, stored.state)

    @property
    def node(self) -> Node | None:
        return node(self.step_id, self.state)


def node(step_id: str, state: StepState) -> Node | None:
    """What the roll-up rules need of a step; null while only progress of it is known."""
    return None if state.document is None else node_of(step_id, state.document)


def contribution(status: Status, counted: Counted) -> Contribution:
    """What a step with this status and count adds to its task."""
    return (
        1,
        status == Status.ERROR,
        status == Status.RUNNING,
        status == Status.WAITING,
        status == Status.LOST,
        counted.input_tokens,
        counted.output_tokens,
        counted.cost_nusd or 0,
        counted.cost_nusd is not None,
        counted.unpriced,
    )


class TaskWork:
    """A task in hand."""

    __slots__ = (
        "conflicts", "day", "deleted_at_us", "deleted_by", "duplicates", "events", "first_offset", "first_seen_us", "heartbeats", "key", "last_event_at_us",
        "last_offset", "producers", "row", "scores", "seen_at_us", "state", "steps",
    )  # fmt: skip

    def __init__(self, key: TaskKey, offset: int, seen_at_us: int) -> None:
        self.key = key
        self.first_offset = self.last_offset = offset
        self.first_seen_us = self.seen_at_us = seen_at_us
        self.last_event_at_us = 0
        self.state: TaskState = EMPTY_TASK
        self.steps: dict[str, StepWork] = {}
        self.producers: dict[str, Delivered] = {}
        self.heartbeats = False
        self.deleted_by: str | None = None
        self.deleted_at_us = 0
        self.events = 0  # 0: another task's events change its totals
        self.duplicates = 0
        self.conflicts = 0
        self.scores = 0
        self.day: date | None = None
        self.row: TaskRow | None = None


class Work:
    """Everything that a batch of records changes, and the account of its events: all = projected + duplicates + ignored + letters."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, TaskWork] = {}
        self.registrations: dict[AgentKey, AgentRegistered] = {}
        self.agents_seen: dict[AgentKey, int] = {}
        self.letters: list[DeadLetter] = []
        self.events = 0
        self.duplicates = 0
        self.ignored: Counter[str] = Counter()

    def ignore_deleted(self, keys: set[TaskKey]) -> None:
        """Drop what the batch says of tasks that were deleted before."""
        for key in keys:
            self.ignored["deleted"] += self.tasks.pop(key).events

    @property
    def deletes(self) -> bool:
        return any(task.deleted_by is not None for task in self.tasks.values())
