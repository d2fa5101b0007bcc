"""What is known of a task and of a step at one moment: the documents that events carry whole.

Times are int64 microseconds UTC, durations microseconds of the monotonic clock, costs int64 nano-USD.
``None`` always means *unknown*, never zero.

``gc=False``: what is decoded from JSON holds no cycles, and the collector's walks over millions of these cost a projector half its CPU.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ams_contracts.ids import Microseconds, Name, Preview, Seq, StepId, TaskId, Tokens, Word


class StepType(StrEnum):
    """What kind of work a step is."""

    AGENT = "agent"
    LLM = "llm"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    WORKFLOW = "workflow"
    GUARDRAIL = "guardrail"
    EVALUATOR = "evaluator"
    HANDOFF = "handoff"
    MEMORY = "memory"
    LOG = "log"
    SPAN = "span"


BILLABLE_TYPES = frozenset({StepType.LLM, StepType.EMBEDDING, StepType.RERANK})
"""The types whose usage is summed (roll-up rule R1)."""


class Status(StrEnum):
    """The state of a step or a task."""

    RUNNING = "running"
    WAITING = "waiting"
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    LOST = "lost"


class CostSource(StrEnum):
    """Where a cost comes from."""

    REPORTED = "reported"
    COMPUTED = "computed"
    UNKNOWN = "unknown"


class Slot(StrEnum):
    """The payloads that a step may have."""

    INPUT = "input"
    OUTPUT = "output"
    ORIGINAL = "original"
    ERROR_STACK = "error_stack"


class Usage(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Tokens. ``input`` includes the cached ones, ``output`` the reasoning."""

    input: Tokens | None = None
    output: Tokens | None = None
    cache_read: Tokens | None = None
    cache_write: Tokens | None = None
    cache_write_1h: Tokens | None = None
    reasoning: Tokens | None = None
    audio_input: Tokens | None = None
    audio_output: Tokens | None = None
    image_input: Tokens | None = None
    video_input: Tokens | None = None


class Failure(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Why something failed. The stack is a payload (slot ``error_stack``)."""

    type: Word | None = None
    message: Annotated[str, Meta(max_length=4_096)] | None = None


class StepDocument(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A step as its latest event tells it.

    ``agent`` is the agent that the step is known to belong to by what its producer said, ``service`` the program that emitted it: what a
    step shows where no agent is known follows from its tree (``ams_contracts.derive``).
    ``seq`` is that of the event that started the step: siblings are ordered by (started_at_us, seq, step_id).
    ``captured`` names the payloads that travel on the payload topic, ``too_large`` those that were left out for their size.
    ``duration_us`` and ``cost_nusd`` are checked where they are stored: out of range becomes null and a flag.
    """

    parent_step_id: StepId | None = None
    type: StepType
    type_raw: Word | None = None
    name: Name
    span_name: Name | None = None
    agent: Word | None = None
    service: Word | None = None
    status: Status
    started_at_us: Microseconds | None = None
    ended_at_us: Microseconds | None = None
    duration_us: int | None = None
    ttft_us: int | None = None
    seq: Seq = 0
    provider: Word | None = None
    model_requested: Word | None = None
    model: Word | None = None
    response_id: Word | None = None
    finish_reasons: Annotated[list[Word], Meta(max_length=16)] = []
    parameters: Annotated[str, Meta(max_length=4_096)] | None = None
    usage: Usage | None = None
    cost_nusd: int | None = None
    cost_source: CostSource = CostSource.UNKNOWN
    tool_name: Word | None = None
    tool_call_id: Word | None = None
    error: Failure | None = None
    preview_input: Preview | None = None
    preview_output: Preview | None = None
    attempts: int = 1
    captured: Annotated[list[Slot], Meta(max_length=8)] = []
    too_large: Annotated[list[Slot], Meta(max_length=8)] = []
    flags: Annotated[list[Word], Meta(max_length=32)] = []
    # what the task inherits when this step is its root
    conversation_id: Word | None = None
    user_id: Word | None = None
    environment: Word | None = None
    tags: Annotated[dict[Word, Word], Meta(max_length=64)] = {}


class TaskDocument(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A task as its latest event tells it. ``kind`` is a free word of the producer (default ``task``)."""

    name: Name
    kind: Word = "task"
    agent: Word | None = None
    conversation_id: Word | None = None
    user_id: Word | None = None
    environment: Word | None = None
    tags: Annotated[dict[Word, Word], Meta(max_length=64)] = {}
    parent_task_id: TaskId | None = None
    status: Status
    started_at_us: Microseconds | None = None
    ended_at_us: Microseconds | None = None
    duration_us: int | None = None
    error: Failure | None = None
    preview: Preview | None = None
    flags: Annotated[list[Word], Meta(max_length=32)] = []
