"""Sampling at the end of a task: those with errors, long ones and costly ones are sent, of the others a share.

The events of a task wait in memory until its end says whether it is sent. The wait ends early where the answer is known: at the first error, when the
task is long, when it has become costly. It is bounded in time, because a task that waits for long is a long one, and in bytes.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic

from ams.sending.assemble import Encoded
from ams.settings import SdkSettings
from ams.tracing.records import StepRecord, TaskRecord

DECISIONS_MAX = 10_000
"""Tasks whose decision is remembered, for steps that end after their task."""
_SHARE_BITS = 1 << 56
_FINE = frozenset({"running", "waiting", "ok"})


@dataclass(slots=True)
class _Undecided:
    task: TaskRecord
    since: float
    events: list[Encoded] = field(default_factory=list[Encoded])
    bytes: int = 0
    steps: int = 0
    cost_usd: float = 0.0
    ended: bool = False


class TailSampler:
    """Holds events back until their task is decided. Used by the sender's thread alone.

    Attributes:
        left_out: Steps of tasks that were not sent.
        waiting_bytes: Of the events that wait.
    """

    def __init__(self, settings: SdkSettings, *, now: Callable[[], float] = monotonic) -> None:
        self.left_out = 0
        self.waiting_bytes = 0
        self._settings = settings
        self._now = now
        self._undecided: dict[str, _Undecided] = {}  # the oldest first
        self._decided: OrderedDict[str, bool] = OrderedDict()
        self._released: list[Encoded] = []

    @property
    def undecided(self) -> int:
        """Events that wait for the end of their task."""
        return sum(len(waiting.events) for waiting in list(self._undecided.values()))

    def note(self, item: object) -> None:
        """Take from an item of the queue what decides about its task; before the events are made of it."""
        if not isinstance(item, StepRecord) or item.phase == 2:  # noqa: PLR2004 - complete already; this is its second item in the queue
            return
        task_id = item.task.task_id
        over = item.over
        sent = self._decided.get(task_id)
        if sent is not None:
            if over and not sent:
                self.left_out += 1
            if item.status == "error" and not sent:
                self._decide(task_id, sent=True)  # what follows the error is sent, what was before it has left
            return
        waiting = self._undecided.get(task_id)
        if waiting is None and item.phase == 1:  # its start was sent, by the client before another ams.init
            self._decide(task_id, sent=True)
            return
        if waiting is None:
            waiting = self._undecided[task_id] = _Undecided(item.task, self._now())
        if over:
            waiting.steps += 1
            waiting.cost_usd += item.cost_usd or 0.0
            waiting.ended |= item.root or (item.task.joined and item.parent is None)
            if self._is_kept(item, waiting):
                self._decide(task_id, sent=True)

    def sift(self, events: Iterable[Encoded], *, release: bool = False) -> list[Encoded]:
        """The events that may be sent now, in order; the others wait, or are dropped with their task.

        Args:
            events: New ones.
            release: Also all that wait: the process ends, so its open tasks do not end as usual.
        """
        for event in events:
            sent = True if event.task_id is None else self._decided.get(event.task_id)
            if sent is None and event.task_id is not None and (waiting := self._undecided.get(event.task_id)) is not None:
                waiting.events.append(event)
                waiting.bytes += len(event.data)
                self.waiting_bytes += len(event.data)
            elif sent is not False:
                self._released.append(event)
        for task_id in [task_id for task_id, waiting in self._undecided.items() if waiting.ended]:
            self._decide_by_share(task_id)
        self._end_waits()
        for task_id in list(self._undecided) if release else ():
            self._decide(task_id, sent=True)
        released, self._released = self._released, []
        return released

    def _is_kept(self, step: StepRecord, waiting: _Undecided) -> bool:
        settings = self._settings
        slow = waiting.ended and (step.duration_us or 0) >= settings.tail_slow_seconds * 1_000_000
        return step.status not in _FINE or slow or (settings.tail_cost_usd > 0 and waiting.cost_usd >= settings.tail_cost_usd)

    def _end_waits(self) -> None:
        """Send what has become long, and decide about the oldest tasks when too much waits."""
        now = self._now()
        while self._undecided:
            task_id, oldest = next(iter(self._undecided.items()))
            if now - oldest.since >= self._settings.tail_slow_seconds:
                self._decide(task_id, sent=True)
            elif self.waiting_bytes > self._settings.tail_waiting_bytes_max:
                self._decide_by_share(task_id)
            else:
                return

    def _decide_by_share(self, task_id: str) -> None:
        # the same for each process of a task, and independent of the digits that sample_rate uses
        share = ((self._undecided[task_id].task.id >> 64) % _SHARE_BITS) / _SHARE_BITS
        self._decide(task_id, sent=share < self._settings.tail_sample_rate)

    def _decide(self, task_id: str, *, sent: bool) -> None:
        waiting = self._undecided.pop(task_id, None)
        self._decided[task_id] = sent
        self._decided.move_to_end(task_id)
        if len(self._decided) > DECISIONS_MAX:
            self._decided.popitem(last=False)
        if waiting is None:
            return
        self.waiting_bytes -= waiting.bytes
        if sent:
            self._released.extend(waiting.events)
        else:
            self.left_out += waiting.steps
