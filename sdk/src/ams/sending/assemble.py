"""Records -> encoded events, in the sender's thread, which assigns the sequence number of every event.

``seq`` counts the events of this process in one task from 1, in the order in which they are sent. A dropped item has no
number, so the numbers have no gap. The id of an event that carries what the agent did derives from the step's id or the update's
number, so that the same record gives the same id in another process, which makes the event from the spool.
"""

import hashlib
from collections.abc import Iterable
from time import time_ns
from typing import Any

import msgspec

from ams.sending.documents import attributes_of, failure_of, masked_text, preview_of, step_document, task_document, usage_of, word
from ams.sending.payloads import payload_of
from ams.tracing.capture import clean
from ams.tracing.ids import bits, task_hex
from ams.tracing.records import WAITING, AgentRecord, OpenSteps, StepRecord, StepUpdate, TaskRecord
from ams.tracing.scores import ScoreRecord
from ams_contracts.documents import Slot, Status, TaskDocument
from ams_contracts.events import (
    DELTA_CHARS_MAX,
    AgentRegistered,
    Event,
    LogLine,
    OpenStep,
    OutputDelta,
    PayloadStored,
    ProducerReported,
    ScoreRecorded,
    StepEnded,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskStarted,
    TaskUpdated,
)
from ams_contracts.scores import number_and_label

_COMMENT_CHARS_MAX = 4_096
STEPS_PER_BEAT_MAX = 500
DELTAS_PER_EVENT_MAX = 100
QUEUE_FULL = "queue_full"
SPOOL_FULL = "spool_full"
TRUNCATED = "truncated"
_encode = msgspec.json.Encoder().encode

# the last 8 digits of an event's id
_STARTED, _ENDED, _TASK_STARTED, _TASK_ENDED = 1, 2, 3, 4
_PAYLOAD = {slot: 0x100 * number for number, slot in enumerate(Slot, start=1)}  # added to those of the step's event
_UPDATE = 0x80000000  # and the update's number


class Encoded:
    """An event ready to send: its task (None for an agent and a report of losses), its step (0 for none), its id, its bytes."""

    __slots__ = ("data", "event_id", "step_id", "task", "task_id")

    def __init__(self, task_id: str | None, event_id: str, data: bytes, step_id: int = 0, task: TaskRecord | None = None) -> None:
        self.task_id = task_id
        self.task = task
        self.step_id = step_id
        self.event_id = event_id
        self.data = data


class Assembler:
    """Turns items of the queue into events. One per process; a forked child has a new one."""

    def __init__(self, instance_id: str, *, records_of: str | None = None) -> None:
        """An assembler.

        Args:
            instance_id: Of the producer, 32 hex digits.
            records_of: The instance that made the records, if it is another one: its events have these ids.
        """
        self.ready: list[Encoded] = []
        self._prefix = instance_id[:16]
        self._maker = (records_of or instance_id)[:8]
        self._events = 0
        self._epoch = bits(63)
        self._open: dict[int, TaskRecord] = {}
        self._beating: set[int] = set()  # open tasks of which a heartbeat was sent
        self._streams: dict[int, tuple[StepRecord, list[str]]] = {}
        self.lossy: dict[int, TaskRecord] = {}  # tasks with something to report

    def add(self, item: object) -> None:
        """Process one item of the queue."""
        if isinstance(item, StepRecord):
            self._flush_stream(item)
            self._add_step(item)
        elif isinstance(item, StepUpdate):
            self._add_update(item)
        elif isinstance(item, AgentRecord):
            self._add_agent(item)
        elif isinstance(item, ScoreRecord):
            self._add_score(item)
        elif isinstance(item, OpenSteps):
            self._take_over(item.steps)

    def open_steps(self) -> list[StepRecord]:
        """The steps that have no end event yet."""
        return [step for task in self._open.values() for step in task.open_steps.values()]

    def finish_round(self) -> list[Encoded]:
        """The events of all items since the last call."""
        for step, _ in list(self._streams.values()):
            self._flush_stream(step)
        ready, self.ready = self.ready, []
        return ready

    def beat(self) -> None:
        """Send a heartbeat of every open step."""
        self.add_missed_ends()
        for task in list(self._open.values()):
            steps = [self._open_step(step) for step in task.open_steps.values()]
            for first in range(0, len(steps), STEPS_PER_BEAT_MAX):
                self._emit(task, StepProgressed, steps=steps[first : first + STEPS_PER_BEAT_MAX])

    def add_missed_ends(self) -> None:
        """Make the end events of steps whose end was refused by a full queue."""
        for task in list(self._open.values()):
            for step in [step for step in task.open_steps.values() if step.over]:
                self._flush_stream(step)
                self._add_step(step)

    def report_losses(self, lossy: Iterable[TaskRecord]) -> None:
        """Report what was dropped, refused or truncated of tasks that AMS knows, when it is more than the last report said.

        Args:
            lossy: Tasks that may have lost something.
        """
        for task in lossy:
            dropped = {QUEUE_FULL: task.dropped.value, **task.refused}
            dropped = {reason: count for reason, count in dropped.items() if count}
            losses = {**dropped, TRUNCATED: task.truncated}
            if task.epoch == self._epoch and (dropped or task.truncated) and losses != task.reported:
                task.reported = losses
                self._emit(task, ProducerReported, dropped=dropped, truncated=task.truncated)

    def count_spool_loss(self, task_id: str, count: int) -> None:
        """Report events that were dropped from the spool, of this process or of a dead one.

        Args:
            task_id: Their task.
            count: How many.
        """
        key = int(task_id, 16)
        task = self._open.get(key) or self.lossy.get(key)
        if task is None:
            task = TaskRecord("")
            task.id, task.joined, task.epoch = key, True, self._epoch
        task.refused[SPOOL_FULL] = task.refused.get(SPOOL_FULL, 0) + count
        self.lossy[key] = task

    def cancel_open_steps(self, reason: str) -> None:
        """End every open step as cancelled, inner ones first: the process is about to end.

        Args:
            reason: Becomes the type of their error, for example the signal's name.
        """
        for task in list(self._open.values()):
            for step in reversed(list(task.open_steps.values())):
                step.interrupt(reason)
                self._flush_stream(step)
                self._add_step(step)

    # -- steps and tasks

    def _add_step(self, step: StepRecord) -> None:
        if step.phase == 2:  # noqa: PLR2004 - already complete; this is its second item in the queue
            return
        task = step.task
        over = step.over
        if step.phase == 0:
            self._begin_step(task, step)
            if over:
                seq = self._next_seq(task)
                self._emit_step_event(task, step, seq, StepRecorded, part=_ENDED)
            else:
                step.start_seq = seq = self._next_seq(task)
                task.open_steps[step.id] = step
                self._open[task.id] = task
                self._emit_step_event(task, step, seq, StepStarted, part=_STARTED)
                if task.id not in self._beating:  # at once: a process that dies within its first seconds is then reported as lost
                    self._beating.add(task.id)
                    self._emit(task, StepProgressed, steps=[self._open_step(step)])
        elif over:
            self._enter_task(task)
            self._emit_step_event(task, step, self._next_seq(task), StepEnded, part=_ENDED)
            self._forget(task, step)
        step.phase = 2 if over else 1
        if over and step.root:
            self._end_task(task, step)

    def _take_over(self, steps: list[StepRecord]) -> None:
        """Continue with steps of the client before: their heartbeats, updates and ends."""
        for step in steps:
            self._enter_task(step.task)
            step.task.open_steps[step.id] = step
            self._open[step.task.id] = step.task
        self.beat()  # at once, and the ends that came between the two clients

    def _enter_task(self, task: TaskRecord) -> None:
        """Count the events of this producer in a task from 1; the parent of a fork, and the client before, count separately."""
        if task.epoch != self._epoch:
            task.epoch, task.seq, task.open_steps, task.waiting = self._epoch, 0, {}, False
            if task.dropped.value:
                self.lossy[task.id] = task

    def _begin_step(self, task: TaskRecord, step: StepRecord) -> None:
        """Update the task when the sender sees one of its steps for the first time."""
        self._enter_task(task)
        if step.root and task.phase == 0:
            task.preview = preview_of(step.input)
            task.phase = 1
            if not step.over:
                event_id = self._id_of(step, _TASK_STARTED)
                self._emit_task_event(task, TaskStarted, event_id, task.started_ns // 1000, task_document(task, Status.RUNNING))
        elif task.agent != task.sent_agent and task.phase == 1 and not task.ended:
            self._update(task)

    def _end_task(self, task: TaskRecord, root: StepRecord) -> None:
        ended_us = root.started_ns // 1000 + (root.duration_us or 0)
        task.ended = True
        if task.dropped.value:
            self.lossy[task.id] = task
        document = task_document(task, Status(root.status), ended_us=ended_us, error=failure_of(root))
        self._emit_task_event(task, TaskEnded, self._id_of(root, _TASK_ENDED), ended_us, document)

    def _update(self, task: TaskRecord) -> None:
        if task.joined:
            return
        document = task_document(task, Status.WAITING if task.waiting else Status.RUNNING)
        self._emit_task_event(task, TaskUpdated, self._next_id(), time_ns() // 1000, document)

    def _emit_task_event(
        self, task: TaskRecord, kind: type[TaskStarted | TaskUpdated | TaskEnded], event_id: str, at_us: int, document: TaskDocument
    ) -> None:
        task.sent_agent = task.agent
        self._put(task, kind(event_id=event_id, seq=self._next_seq(task), at_us=at_us, task=document))

    def _forget(self, task: TaskRecord, step: StepRecord) -> None:
        task.open_steps.pop(step.id, None)
        if task.waiting:
            self._watch_waiting(task)
        if not task.open_steps:
            self._open.pop(task.id, None)
            self._beating.discard(task.id)

    def _emit_step_event(
        self, task: TaskRecord, step: StepRecord, seq: int, kind: type[StepStarted | StepEnded | StepRecorded], *, part: int, at_us: int = 0
    ) -> None:
        """One event of a step with its payloads, which follow it under the next numbers."""
        payloads: list[dict[str, Any]] = []
        captured: list[Slot] = []
        previews: dict[str, str | None] = {}
        ended = kind is not StepStarted
        slots = [(Slot.INPUT, step.input)]
        if ended:
            slots += [(Slot.OUTPUT, step.output), (Slot.ERROR_STACK, step.stack), (Slot.ORIGINAL, attributes_of(step))]
        for slot, value in slots:
            if value is None:
                continue
            payload = payload_of(value, slot)
            captured.append(slot)
            previews[slot] = payload.preview
            if slot is Slot.INPUT and step.sent_input is value:
                continue
            if payload.truncated:
                task.truncated += 1
                self.lossy[task.id] = task
            payloads.append(
                {"slot": slot, "mime": payload.mime, "text": payload.text, "bytes": payload.bytes, "truncated": payload.truncated}
            )
        step.sent_input = step.input
        document = step_document(step, seq=step.start_seq or seq, captured=captured, previews=previews, ended=ended)
        at_us = at_us or step.started_ns // 1000 + ((step.duration_us or 0) if ended else 0)
        self._put(task, kind(event_id=self._id_of(step, part), seq=seq, at_us=at_us, step_id=step.step_id, step=document))
        for payload in payloads:
            sha256 = hashlib.sha256(payload["text"].encode()).hexdigest()
            event_id = self._id_of(step, part + _PAYLOAD[payload["slot"]]) if part < _UPDATE else None
            self._emit(task, PayloadStored, event_id=event_id, at_us=at_us, step_id=step.step_id, sha256=sha256, **payload)

    # -- updates of open steps

    def _add_update(self, update: StepUpdate) -> None:
        step = update.step
        if step.phase == 0:
            self._add_step(step)  # the queue refused its start
        if update.kind == "log" and step.phase == 2:  # noqa: PLR2004 - the step ended before the sender read it; the line is still new
            self._emit(step.task, StepProgressed, event_id=self._id_of_update(update), at_us=update.at_ns // 1000, logs=[_log_line(update)])
        if step.phase != 1:
            return
        if update.kind == "delta":
            self._streams.setdefault(step.id, (step, []))[1].append(update.text)
            return
        self._flush_stream(step)
        if update.kind == "log":
            event_id, steps, logs = self._id_of_update(update), [self._open_step(step)], [_log_line(update)]
            self._emit(step.task, StepProgressed, event_id=event_id, at_us=update.at_ns // 1000, steps=steps, logs=logs)
        elif update.kind == "status":
            self._emit(step.task, StepProgressed, at_us=update.at_ns // 1000, steps=[self._open_step(step)])
            self._watch_waiting(step.task)
        elif not step.over:
            part, at_us = _UPDATE | update.number, update.at_ns // 1000  # later than the first start, so that it wins
            self._emit_step_event(step.task, step, self._next_seq(step.task), StepStarted, part=part, at_us=at_us)
            if step.root:
                self._update(step.task)

    def _flush_stream(self, step: StepRecord) -> None:
        """Join the pieces of a round: viewers see the same text, and one event per token would cost 50 times as much."""
        stream = self._streams.pop(step.id, None)
        if stream is None or step.phase != 1:
            return
        text = masked_text(clean("".join(stream[1])))
        deltas: list[OutputDelta] = []
        for first in range(0, len(text), DELTA_CHARS_MAX):
            deltas.append(OutputDelta(step_id=step.step_id, index=step.delta_index, text=text[first : first + DELTA_CHARS_MAX]))
            step.delta_index += 1
        for first in range(0, len(deltas), DELTAS_PER_EVENT_MAX):
            self._emit(step.task, StepProgressed, steps=[self._open_step(step)], deltas=deltas[first : first + DELTAS_PER_EVENT_MAX])

    def _watch_waiting(self, task: TaskRecord) -> None:
        waiting = any(step.status is WAITING for step in task.open_steps.values())
        if waiting is not task.waiting:
            task.waiting = waiting
            if task.phase == 1 and not task.ended:
                self._update(task)

    @staticmethod
    def _open_step(step: StepRecord) -> OpenStep:
        return OpenStep(step_id=step.step_id, status="waiting" if step.status is WAITING else "running", usage=usage_of(step))

    def _add_agent(self, agent: AgentRecord) -> None:
        event = AgentRegistered(
            event_id=self._next_id(),
            seq=0,
            at_us=time_ns() // 1000,
            name=word(agent.name) or "agent",
            version=word(agent.version),
            framework=word(agent.framework),
            description=clean(agent.description)[:4_096] if agent.description else None,
            tools=[clean(str(tool))[:256] for tool in agent.tools[:256]],
            owner=word(agent.owner),
            metadata={clean(str(key))[:256]: clean(str(value))[:1_024] for key, value in list(agent.metadata.items())[:256]},
        )
        self.ready.append(Encoded(None, event.event_id, _encode(event)))

    def _add_score(self, score: ScoreRecord) -> None:
        task = score.task
        numbered = task is not None and task.epoch == self._epoch  # scores of a task that this process does not trace have no number
        number, label = number_and_label(score.value)
        event = ScoreRecorded(
            event_id=self._next_id(),
            seq=self._next_seq(task) if numbered and task is not None else 0,
            at_us=score.at_ns // 1000,
            score_id=word(score.score_id) or "",
            step_id=score.step_id,
            name=word(score.name) or "",
            number=number,
            label=word(label),
            comment=masked_text(clean(str(score.comment)))[:_COMMENT_CHARS_MAX] if score.comment else None,
            source=score.source,
            author=word(score.author),
        )
        self.ready.append(Encoded(score.task_id, event.event_id, _encode(event), task=task))

    # -- numbers and bytes

    def _emit(self, task: TaskRecord, kind: type[Any], *, event_id: str | None = None, at_us: int | None = None, **values: Any) -> None:
        at = at_us if at_us is not None else time_ns() // 1000
        self._put(task, kind(event_id=event_id or self._next_id(), seq=self._next_seq(task), at_us=at, **values))

    def _put(self, task: TaskRecord, event: Event) -> None:
        step_id = int(event.step_id, 16) if isinstance(event, StepStarted | StepEnded | StepRecorded) else 0
        counted = None if isinstance(event, ProducerReported) else task  # the loss of a report is not reported
        self.ready.append(Encoded(task_hex(task.id), event.event_id, _encode(event), step_id, counted))

    @staticmethod
    def _next_seq(task: TaskRecord) -> int:
        task.seq += 1
        return task.seq

    def _id_of(self, step: StepRecord, part: int) -> str:
        return f"{step.id:016x}{self._maker}{part & 0xFFFFFFFF:08x}"

    def _id_of_update(self, update: StepUpdate) -> str:
        return self._id_of(update.step, _UPDATE | update.number)

    def _next_id(self) -> str:
        """For events of this process alone: heartbeats, streamed pieces, repeated descriptions of a task, reports."""
        self._events += 1
        return f"{self._prefix}{self._events:016x}"


def _log_line(update: StepUpdate) -> LogLine:
    return LogLine(step_id=update.step.step_id, level=update.level[:256], text=masked_text(clean(update.text))[:DELTA_CHARS_MAX])
