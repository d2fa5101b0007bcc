"""A task and a step while they run: the hot path. Everything here runs in the agent's thread, so it is short and never raises.

A record is put into the queue when it starts and again when it ends. The sender, which takes them out, sees from the record
the state of the step: when it has already ended, one event carries all of it.
"""

import traceback
from collections import OrderedDict
from itertools import count
from time import perf_counter_ns, time_ns
from typing import Any

from opentelemetry.trace import INVALID_SPAN_CONTEXT, Span, SpanContext

from ams.tracing.cancellation import is_cancellation
from ams.tracing.capture import Captured, capture, clean
from ams.tracing.context import SPAN_KEY, STATE_KEY, STEP_KEY, Context, StepSpan, attach, get_current, within
from ams.tracing.event_queue import NO_QUEUE, EventQueue, NoQueue
from ams.tracing.ids import bits, new_task_id, step_hex, task_hex
from ams.tracing.runtime import PAYLOAD_BYTES_MAX, runtime
from ams.tracing.tally import Tally

_SAMPLED_BITS = 2**56 - 1  # the random part of a trace id, as W3C Trace Context level 2 says
STACK_CHARS_MAX = 65_536
JOINED_TRACES_MAX = 4_096
AGENT_ATTRIBUTES = ("gen_ai.agent.name", "agent.name", "agent_name")

_next_number = count(1).__next__  # one call of C code: no number twice, without a lock

RUNNING = "running"
WAITING = "waiting"


class TaskRecord:
    """A task: the fields of its document, and the sender's state of it."""

    __slots__ = (
        "agent", "conversation_id", "dropped", "ended", "environment", "epoch", "id", "joined", "kind", "name", "open_steps", "parent_task_id",
        "phase", "preview", "refused", "reported", "sampled", "sent_agent", "seq", "started_ns", "tags", "truncated", "user_id", "waiting",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.id = new_task_id()
        self.name = name
        self.kind = "task"
        self.agent = runtime.agent
        self.environment = runtime.environment
        self.user_id = runtime.user_id
        self.conversation_id: str | None = None
        self.tags = runtime.tags
        self.parent_task_id: int | None = None
        self.started_ns = 0
        self.dropped = Tally()
        self.sampled = runtime.sample_rate >= 1 or (self.id & _SAMPLED_BITS) < runtime.sample_rate * _SAMPLED_BITS
        self.joined = False  # another process describes it: no events of the task itself
        # the sender's
        self.preview: str | None = None
        self.phase = 0
        self.seq = 0
        self.epoch = 0
        self.ended = False
        self.truncated = 0
        self.refused: dict[str, int] = {}  # events that AMS did not accept, by reason
        self.reported: dict[str, int] | None = None  # the losses of the last report
        self.sent_agent: str | None = None
        self.waiting = False
        self.open_steps: dict[int, StepRecord] = {}

    @property
    def task_id(self) -> str:
        return task_hex(self.id)


class StepRecord:
    """A step. ``status`` is set last, so that a thread that sees the end sees all other fields."""

    __slots__ = (
        "agent",
        "attributes",
        "capture_input",
        "capture_output",
        "context",
        "cost_usd",
        "delta_index",
        "details",
        "duration_us",
        "error_message",
        "error_type",
        "first_output_us",
        "id",
        "input",
        "kept",
        "metadata_only",
        "model",
        "name",
        "output",
        "parent",
        "parent_id",
        "phase",
        "pieces",
        "pieces_chars",
        "previous",
        "queue",
        "refused",
        "root",
        "seen_error",
        "sent_input",
        "stack",
        "start_seq",
        "started_mono_ns",
        "started_ns",
        "status",
        "task",
        "type",
        "usage",
        "wait",
    )  # fmt: skip

    task: TaskRecord
    queue: EventQueue | NoQueue
    context: Context | None
    previous: Context | None

    def __init__(self, name: str, step_type: str) -> None:
        self.name = name
        self.type = step_type
        self.status = RUNNING
        self.id = 0
        self.parent: StepRecord | None = None
        self.parent_id: int | None = None
        self.agent: str | None = None
        self.capture_input: bool | None = None  # None: as the process decided at init
        self.capture_output: bool | None = None
        self.metadata_only: bool | None = None
        self.root = False
        self.refused = False
        self.kept = False  # the journal has its start
        self.model: str | None = None
        self.input: Captured | None = None
        self.output: Captured | None = None
        self.usage: dict[str, int] | None = None
        self.details: dict[str, Any] | None = None
        self.attributes: dict[str, Captured] | None = None
        self.cost_usd: float | None = None
        self.pieces: list[str] | None = None
        self.pieces_chars = 0
        self.first_output_us: int | None = None
        self.wait: tuple[str | None, int] | None = None  # for what, and since when in microseconds UTC
        self.error_type: str | None = None
        self.error_message: str | None = None
        self.stack: str | None = None
        self.seen_error = 0
        self.duration_us: int | None = None
        # the sender's
        self.phase = 0
        self.start_seq = 0
        self.sent_input: Captured | None = None
        self.delta_index = 0

    @property
    def step_id(self) -> str:
        return step_hex(self.id)

    @property
    def without_contents(self) -> bool:
        """Whether log lines, attributes, and the messages and stacks of exceptions stay in the process."""
        return runtime.metadata_only if self.metadata_only is None else self.metadata_only

    @property
    def over(self) -> bool:
        return self.status is not RUNNING and self.status is not WAITING

    def open(self, queue: EventQueue, task: TaskRecord | None = None) -> None:
        """Start now, inside the current step; with ``task``, as the root of that task."""
        context = get_current()
        self.previous = context
        span = context.get(SPAN_KEY)
        self.started_ns = time_ns()
        self.started_mono_ns = perf_counter_ns()
        self.id = bits(64) or 1  # a W3C span id; 0 means *no span*
        if span.__class__ is StepSpan and task is None:
            parent: StepRecord = span.record  # type: ignore[union-attr]  # its class was checked
            self.parent = parent
            self.parent_id = parent.id
            self.task = parent.task
            if self.agent is None:
                self.agent = parent.agent
        else:
            self._find_place(context, span, task)
        if self.type == "agent" and self.task.agent is None:
            self.task.agent = self.agent or self.name
        self.context = inner = within(self, context)
        attach(inner)
        if not self.task.sampled:
            self.queue = NO_QUEUE
            return
        self.queue = queue
        if not queue.put(self, len(self.input) if self.input is not None else 0):
            self.refused = True

    def _find_place(self, context: Context, span: object, task: TaskRecord | None) -> None:
        """The less common cases: a new task, below a span of OpenTelemetry, or below a step of another process."""
        parent: StepRecord | None = context.get(STEP_KEY)  # type: ignore[assignment]  # only `within` writes that key
        joinable = isinstance(span, Span) and runtime.join_opentelemetry
        where = span.get_span_context() if joinable else INVALID_SPAN_CONTEXT  # type: ignore[union-attr]  # its class was checked
        recording = joinable and span.is_recording()  # type: ignore[union-attr]  # the same
        if task is None and parent is not None:
            self.parent, self.task = parent, parent.task
            self.agent = self.agent or parent.agent
            self.parent_id = where.span_id if recording and where.trace_id == parent.task.id else parent.id
            return
        if parent is None and where.is_valid and (recording or where.is_remote):
            self._join(span, where, task)
        else:
            self.root = True
            self.task = task if task is not None else TaskRecord(self.name)
            self.task.parent_task_id = parent.task.id if parent is not None else None
            self.task.started_ns = self.started_ns
        self.agent = self.agent or self.task.agent

    def _join(self, span: object, where: SpanContext, task: TaskRecord | None) -> None:
        """Below a span that is not ours: its trace is the task, unless that has an explicit task already."""
        elsewhere = STATE_KEY in where.trace_state
        self.task = _joined_task(where) if elsewhere else _task_of_trace(where.trace_id, task, self, span)
        self.root = not elsewhere
        self.parent_id = where.span_id if self.task.id == where.trace_id else None

    def finish(self, status: str = "ok") -> None:
        """End now. A second call does nothing."""
        if self.status is not RUNNING and self.status is not WAITING:
            return
        self.duration_us = (perf_counter_ns() - self.started_mono_ns) // 1000
        if self.pieces is not None and self.output is None:
            self.output = capture("".join(self.pieces))
        self.status = status
        # no token is reset: a generator may be closed in another context than the one that started it
        if self.context is not None and get_current() is self.context and self.previous is not None:
            attach(self.previous)
        self.context = self.previous = None
        queue = self.queue if self.queue.successor is None else self.queue.newest()
        # a refused end alone loses nothing: the sender knows the step and finds its end at the next heartbeat
        taken = queue.put(self, len(self.output) if self.output is not None else 0) or not self.refused
        if (queue.journal is None or not queue.journal.write(self, taken=taken)) and not taken:
            queue.count_lost(self.task)

    def interrupt(self, reason: str) -> None:
        """End now as cancelled, called by another thread than the step's own: nothing of the caller's context changes."""
        if self.over:
            return
        self.duration_us = (perf_counter_ns() - self.started_mono_ns) // 1000
        if self.pieces is not None and self.output is None:
            self.output = capture("".join(self.pieces))
        self.error_type = reason
        self.status = "cancelled"

    def fail(self, error: BaseException) -> None:
        """End now with an exception."""
        if is_cancellation(error):
            self.error_type = type(error).__name__
            self.finish("cancelled")
            return
        if isinstance(error, SystemExit) and not error.code:
            self.finish()
            return
        self.record_error(error)
        self.finish("error")

    def record_error(self, error: BaseException) -> None:
        """Record an exception. Only the innermost step keeps the stack: the steps around it see the same one."""
        try:
            self.error_type = type(error).__qualname__
            if self.without_contents:
                return
            self.error_message = clean(str(error))[:4096]
            if self.seen_error != id(error):
                own_frame = error.__traceback__
                shown = own_frame.tb_next if own_frame is not None and own_frame.tb_next is not None else own_frame
                self.stack = clean("".join(traceback.format_exception(type(error), error, shown, limit=-100)))[-STACK_CHARS_MAX:]
            if self.parent is not None:
                self.parent.seen_error = id(error)
        except Exception:  # noqa: BLE001 - __str__ of a user's exception may raise
            runtime.report_bug("an exception's text")

    def stream(self, piece: str) -> None:
        """Send a piece of streamed output and keep it: all pieces together become the output at the end."""
        if self.pieces is None:
            self.pieces = []
            self.first_output_us = (perf_counter_ns() - self.started_mono_ns) // 1000
        if self.pieces_chars < PAYLOAD_BYTES_MAX:
            self.pieces.append(piece)
            self.pieces_chars += len(piece)
        self.notify("delta", piece)

    def notify(self, kind: str, text: str = "", level: str = "info") -> None:
        """Hand an update of this open step to the sender. One that the full queue refuses is counted, once, wherever it came from."""
        if not self.id or self.over or (kind == "log" and self.without_contents):
            return
        queue = self.queue if self.queue.successor is None else self.queue.newest()
        update = StepUpdate(kind, self, text, level)
        taken = queue.put(update, len(text))
        if (queue.journal is None or kind == "delta" or not queue.journal.write(update, taken=taken)) and not taken:
            queue.count_lost(self.task)


class OpenSteps:
    """Put into the queue by the next ``ams.init``: steps that began before it and are still open."""

    __slots__ = ("steps",)

    def __init__(self, steps: list[StepRecord]) -> None:
        self.steps = steps


_traces: "OrderedDict[int, TaskRecord]" = OrderedDict()


def _task_of_trace(trace_id: int, task: TaskRecord | None, step: StepRecord, span: object) -> TaskRecord:
    """The task of the active OpenTelemetry trace, named by its span. A second explicit task in one trace gets an id of its own."""
    known = _traces.get(trace_id)
    if known is not None and task is None:
        return known
    if known is not None and task is not None:
        task.parent_task_id = trace_id
        task.started_ns = step.started_ns
        return task
    record = task if task is not None else TaskRecord(str(getattr(span, "name", None) or step.name))
    attributes = getattr(span, "attributes", None) or {}
    record.agent = record.agent or next((str(attributes[name]) for name in AGENT_ATTRIBUTES if attributes.get(name)), None)
    record.id = trace_id
    record.sampled = True  # OpenTelemetry's sampler has decided
    record.started_ns = step.started_ns
    return _remember(record)


def _joined_task(where: SpanContext) -> TaskRecord:
    """The task of another process, of which this one sends steps only, if that process sends any."""
    trace_id = where.trace_id
    known = _traces.get(trace_id)
    if known is not None:
        return known
    record = TaskRecord("")
    record.id = trace_id
    record.joined = True
    record.sampled = where.trace_flags.sampled
    return _remember(record)


def _remember(record: TaskRecord) -> TaskRecord:
    _traces[record.id] = record
    while len(_traces) > JOINED_TRACES_MAX:
        _traces.popitem(last=False)
    return record


class StepUpdate:
    """An update of an open step, in order with the others: ``kind`` is ``document``, ``status``, ``delta`` or ``log``.

    ``number`` is unique in the process: the id of its event derives from it, also when another process makes that event from the spool.
    """

    __slots__ = ("at_ns", "kind", "level", "number", "step", "text")

    def __init__(self, kind: str, step: StepRecord, text: str = "", level: str = "info") -> None:
        self.kind = kind
        self.step = step
        self.text = text
        self.level = level
        self.at_ns = time_ns()
        self.number = _next_number()


class AgentRecord:
    """An agent registered itself."""

    __slots__ = ("description", "framework", "metadata", "name", "owner", "tools", "version")

    def __init__(
        self,
        name: str,
        *,
        version: str | None,
        description: str | None,
        framework: str | None,
        owner: str | None,
        tools: list[str],
        metadata: dict[str, str],
    ) -> None:
        self.name = name
        self.version = version
        self.description = description
        self.framework = framework
        self.owner = owner
        self.tools = tools
        self.metadata = metadata
