"""The fold: computes a step and a task from the events that arrived so far, in any order, repeated or not.

A step is two registers. The *document* register holds the whole document of the highest started-or-ended stamp; the
*progress* register holds status, partial usage and last beat of the highest progressed-or-lost stamp, and counts until an
end. A stamp is (phase, at_us, seq, event_id). Taking the maximum is commutative, associative and idempotent, so order and
repetition change nothing. ``web/src/fold`` is the twin in TypeScript; both pass ``contracts/vectors/*.json``.
"""

from msgspec import Struct

from ams_contracts.documents import Status, StepDocument, TaskDocument, Usage
from ams_contracts.events import (
    DocumentEvent,
    StepEnded,
    StepLost,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskEvent,
    TaskStarted,
    TaskUpdated,
)

PHASE_STARTED = 0
PHASE_PROGRESSED = 1
PHASE_ENDED = 2


# a table, not a match statement: this runs for every event of the log
_PHASES: dict[type, int] = {
    StepStarted: PHASE_STARTED,
    TaskStarted: PHASE_STARTED,
    TaskUpdated: PHASE_STARTED,
    StepProgressed: PHASE_PROGRESSED,
    StepLost: PHASE_PROGRESSED,
    StepEnded: PHASE_ENDED,
    StepRecorded: PHASE_ENDED,
    TaskEnded: PHASE_ENDED,
}

_DOCUMENT_EVENTS = (StepStarted, StepEnded, StepRecorded)  # a tuple: every check against a union creates it again, in 0.3 us


class Stamp(Struct, frozen=True, gc=False, order=True, array_like=True):
    """The rank of an event among those of one register; the highest wins. JSON: ``[phase, at_us, seq, event_id]``."""

    phase: int
    at_us: int
    seq: int
    event_id: str


class Progress(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The progress of an open step, from a heartbeat, a wait or a loss. ``at_us`` is the last beat."""

    status: Status
    at_us: int
    usage: Usage | None = None


class StepState(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A step so far. ``document`` is null while only progress of it is known."""

    document: StepDocument | None = None
    stamp: Stamp | None = None
    progress: Progress | None = None
    progress_stamp: Stamp | None = None

    @property
    def ended(self) -> bool:
        return self.stamp is not None and self.stamp.phase == PHASE_ENDED

    @property
    def status(self) -> Status:
        """The status to show: the document's when the step has ended, otherwise that of its progress."""
        document, stamp = self.document, self.stamp  # asked several times a step: ``ended`` would be another call
        if document is not None and (self.progress is None or (stamp is not None and stamp.phase == PHASE_ENDED)):
            return document.status
        return self.progress.status if self.progress is not None else Status.RUNNING

    @property
    def usage(self) -> Usage | None:
        """The document's usage, or the partial one while the step is open."""
        if self.document is not None and self.document.usage is not None:
            return self.document.usage
        return None if self.ended or self.progress is None else self.progress.usage


class TaskState(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A task so far, by its own events. ``document`` is null while only its steps are known."""

    document: TaskDocument | None = None
    stamp: Stamp | None = None


EMPTY_STEP = StepState()
EMPTY_TASK = TaskState()


def phase_of(event: DocumentEvent | TaskEvent | StepProgressed | StepLost) -> int:
    """The phase of an event's stamp: started 0 < progressed, lost 1 < ended, recorded 2."""
    return _PHASES[type(event)]


def stamp_of(event: DocumentEvent | TaskEvent | StepProgressed | StepLost) -> Stamp:
    """The stamp of an event."""
    return Stamp(phase_of(event), event.at_us, event.seq, event.event_id)


def step_ids_of(event: DocumentEvent | StepProgressed | StepLost) -> list[str]:
    """The ids of the steps in an event: one, or all that a heartbeat lists."""
    return [step.step_id for step in event.steps] if isinstance(event, StepProgressed) else [event.step_id]


def fold(state: StepState, event: DocumentEvent | StepProgressed | StepLost, step_id: str) -> StepState:
    """The step ``step_id`` after one more event. Pure; returns ``state`` itself when the event changes nothing.

    Args:
        state: The step so far; ``EMPTY_STEP`` for a new one.
        event: One with ``step_id`` among its steps (see ``step_ids_of``).
        step_id: 16 hex digits; needed because a heartbeat lists many steps.
    """
    stamp = Stamp(_PHASES[type(event)], event.at_us, event.seq, event.event_id)  # ``stamp_of`` without its calls
    if isinstance(event, _DOCUMENT_EVENTS):
        if state.stamp is not None and stamp <= state.stamp:
            return state
        return StepState(document=event.step, stamp=stamp, progress=state.progress, progress_stamp=state.progress_stamp)
    if state.progress_stamp is not None and stamp <= state.progress_stamp:
        return state
    return StepState(document=state.document, stamp=state.stamp, progress=_progress(event, step_id), progress_stamp=stamp)


def fold_task(state: TaskState, event: TaskEvent) -> TaskState:
    """The task after one more event. Pure; returns ``state`` itself when the event changes nothing."""
    stamp = stamp_of(event)
    if state.stamp is not None and stamp <= state.stamp:
        return state
    return TaskState(document=event.task, stamp=stamp)


def join(state: StepState, other: StepState) -> StepState:
    """The step after the events of both states: each register with the higher stamp; ``state``'s where they are equal.

    Returns ``state`` itself when ``other`` adds nothing.
    """
    document = other.stamp is not None and (state.stamp is None or other.stamp > state.stamp)
    progress = other.progress_stamp is not None and (state.progress_stamp is None or other.progress_stamp > state.progress_stamp)
    if not document and not progress:
        return state
    first, second = (other if document else state), (other if progress else state)
    return StepState(document=first.document, stamp=first.stamp, progress=second.progress, progress_stamp=second.progress_stamp)


def _progress(event: StepProgressed | StepLost, step_id: str) -> Progress:
    if isinstance(event, StepLost):
        return Progress(status=Status.LOST, at_us=event.last_beat_us)
    # when an event lists a step several times, the last entry counts
    entry = next(step for step in reversed(event.steps) if step.step_id == step_id)
    return Progress(status=Status(entry.status), at_us=event.at_us, usage=entry.usage)
