"""The documents that events carry: all that is known of a task or a step at one moment, and how each field is stored, shown and searched.

Times are int64 microseconds UTC, durations microseconds of the monotonic clock, costs int64 nano-USD.
``None`` always means *unknown*, never zero.

``gc=False``: values decoded from JSON hold no reference cycles, and garbage collections over millions of them took half of the projector's CPU.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ams_contracts.fields import Field, Filter, Skeleton
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
    LOGS = "logs"


class Usage(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Tokens. ``input`` includes the cached ones, ``output`` the reasoning.

    ``audio_cache_read`` counts tokens that are both in ``cache_read`` and in ``audio_input``. ``service_tier`` is what the provider billed them as
    (``default``, ``priority``, ``flex``, ``batch``).
    """

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
    image_output: Tokens | None = None
    audio_cache_read: Tokens | None = None
    service_tier: Word | None = None


class Failure(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Why a step or task failed. The stack is a payload (slot ``error_stack``)."""

    type: Word | None = None
    message: Annotated[str, Meta(max_length=4_096)] | None = None


MESSAGING = "messaging"
"""``type_raw`` of a step that only passes a message of a framework's runtime. A task of such steps alone is folded into its run."""


class StepDocument(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A step as its latest event describes it.

    ``agent`` is the agent that the step is known to belong to by what its producer said, ``service`` the program that emitted it: what a
    step shows where no agent is known follows from its tree (``ams_contracts.derive``).
    ``seq`` is the one of the event that started the step: siblings are ordered by (started_at_us, seq, step_id).
    ``captured`` lists the payloads on the payloads topic, ``too_large`` those that were left out because of their size.
    ``scope`` is the instrumentation that reported a model call, and ``call_key`` what two instrumentations of one call have in common: service,
    tokens and hour. Only OpenTelemetry spans have them.
    ``waiting_for`` is what a waiting step asks of a person, and ``waiting_since_us`` when it began to wait.
    ``duration_us`` and ``cost_nusd`` are checked when they are stored: a value out of range becomes null and a flag.
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
    scope: Word | None = None
    call_key: Word | None = None
    finish_reasons: Annotated[list[Word], Meta(max_length=16)] = []
    parameters: Annotated[str, Meta(max_length=4_096)] | None = None
    usage: Usage | None = None
    cost_nusd: int | None = None
    cost_source: CostSource = CostSource.UNKNOWN
    tool_name: Word | None = None
    tool_call_id: Word | None = None
    waiting_for: Preview | None = None
    waiting_since_us: Microseconds | None = None
    error: Failure | None = None
    preview_input: Preview | None = None
    preview_output: Preview | None = None
    attempts: int = 1
    captured: Annotated[list[Slot], Meta(max_length=8)] = []
    too_large: Annotated[list[Slot], Meta(max_length=8)] = []
    flags: Annotated[list[Word], Meta(max_length=32)] = []
    # what the task inherits when this step is its root
    run_id: Word | None = None
    conversation_id: Word | None = None
    user_id: Word | None = None
    environment: Word | None = None
    tags: Annotated[dict[Word, Word], Meta(max_length=64)] = {}


STEP_FIELDS = (
    Field("project_id", str, "project_id", key=True),
    Field("task_id", str, "task_id", "The task, 32 hex digits.", key=True, public=True, filters=(Filter(name="task", kind="id", digits=32, indexed=True),)),
    Field("step_id", str, "step.step_id", "16 hex digits.", key=True, public=True, filters=(Filter(name="step", kind="id", digits=16),)),
    Field("day", date, "day", "UTC day of the task's first record, by the broker's clock.", key=True),
    Field("first_offset", int, "step.first_offset", "The record with the first event of the step.", skeleton=Skeleton(name="first_offset")),
    Field("end_offset", int | None, "step.end_offset", "The record with the end; null while open.", skeleton=Skeleton(name="end_offset")),
    Field("seen_at_us", int, "step.seen_at_us", "The broker's time of the last record that changed the step."),
    # the document register; its phase is null while only progress is known
    Field("stamp_phase", int | None, "state.stamp.phase", sql="smallint", skeleton=Skeleton(name="phase", default=1)),
    Field("stamp_at_us", int | None, "state.stamp.at_us", skeleton=Skeleton(name="at", relative=True, or_else="progress_at_us")),
    Field("stamp_seq", int | None, "state.stamp.seq"),
    Field("stamp_event_id", str | None, "state.stamp.event_id"),
    # the progress register
    Field("progress_phase", int | None, "state.progress_stamp.phase", sql="smallint"),
    Field("progress_at_us", int | None, "state.progress_stamp.at_us"),
    Field("progress_seq", int | None, "state.progress_stamp.seq"),
    Field("progress_event_id", str | None, "state.progress_stamp.event_id"),
    Field("progress_status", Status | None, "state.progress.status"),
    Field("progress_usage", Usage | None, "state.progress.usage"),
    Field("last_beat_us", int | None, "state.progress.at_us"),
    # the document
    Field("parent_step_id", str | None, "state.document.parent_step_id", "Null for a step without a parent.", public=True),
    Field(
        *("type", StepType, "state.document.type", "What kind of work it is."),
        absent=StepType.SPAN, public=True, filters=(Filter(name="type"),), skeleton=Skeleton(name="type", values="types"),
    ),
    Field("type_raw", str | None, "state.document.type_raw", "The type as the producer named it, when AMS has another word.", public=True),
    Field(
        *("name", str, "state.document.name", "Empty while only progress of the step is known."),
        absent="", public=True, searched=True, filters=(Filter(name="name"),), skeleton=Skeleton(name="name", values="names"),
    ),
    Field("span_name", str | None, "state.document.span_name", "The span's name, when it differs from `name`.", public=True),
    Field(
        *("agent", str | None, "step.agent", "The agent that did it: the nearest one that is named, at the step or above it, else its service."),
        public=True, filters=(Filter(name="agent"),), skeleton=Skeleton(name="agent", values="agents"),
    ),
    Field(
        *("status", Status, "state.status", "The status to show: of the document, or of the latest progress while the step is open."),
        public=True, filters=(Filter(name="status"),), skeleton=Skeleton(name="status", values="statuses"),
    ),
    Field("document_status", Status | None, "state.document.status"),
    Field(
        *("started_at_us", int | None, "state.document.started_at_us", "Microseconds UTC."),
        public=True, sortable=True, skeleton=Skeleton(name="start", relative=True),
    ),
    Field("ended_at_us", int | None, "state.document.ended_at_us", "Microseconds UTC.", public=True),
    Field(
        *("duration_us", int | None, "state.document.duration_us", "Microseconds, by a monotonic clock where the producer has one."), public=True,
        filters=(Filter(name="latency", indexed_from=10_000_000), Filter(name="duration", indexed_from=10_000_000)),
        skeleton=Skeleton(name="duration"),
    ),
    Field("ttft_us", int | None, "state.document.ttft_us", "Microseconds to the first token.", public=True, filters=(Filter(name="ttft"),)),
    Field(
        *("seq", int, "state.document.seq", "Of the event that started it: siblings are ordered by (started_at_us, seq, step_id)."),
        absent=0, public=True, skeleton=Skeleton(name="seq"),
    ),
    Field("provider", str | None, "state.document.provider", "Of the model.", public=True, filters=(Filter(name="provider"),)),
    Field("model_requested", str | None, "state.document.model_requested", "As asked for.", public=True, filters=(Filter(name="model"),)),
    Field(
        *("model", str | None, "state.document.model", "As the provider named it in its answer."),
        public=True, filters=(Filter(name="model"),), skeleton=Skeleton(name="model", values="models", or_else="model_requested"),
    ),
    Field("response_id", str | None, "state.document.response_id", "The provider's id of its answer.", public=True),
    Field("call_key", str | None, "state.document.call_key", "What two instrumentations of one call have in common."),
    Field(
        *("input_tokens", int | None, "state.usage.input"), skeleton=Skeleton(name="input_tokens"),
        filters=(Filter(name="tokens", kind="sum", indexed_from=20_000), Filter(name="input_tokens")),
    ),
    Field(
        *("output_tokens", int | None, "state.usage.output"), skeleton=Skeleton(name="output_tokens"),
        filters=(Filter(name="tokens", kind="sum", indexed_from=20_000), Filter(name="output_tokens")),
    ),
    Field(
        *("cost_nusd", int | None, "state.document.cost_nusd"),
        filters=(Filter(name="cost", indexed_from=50_000_000),), skeleton=Skeleton(name="cost_nusd"),
    ),
    Field(
        *("cost_source", CostSource, "state.document.cost_source", "Who computed the cost."),
        absent=CostSource.UNKNOWN, public=True, filters=(Filter(name="cost_source"),),
    ),
    Field("tool_name", str | None, "state.document.tool_name", "The tool that was called.", public=True, filters=(Filter(name="tool"),)),
    Field("error_type", str | None, "state.document.error.type", filters=(Filter(name="error", kind="contains"),)),
    Field("error_message", str | None, "state.document.error.message", filters=(Filter(name="error", kind="contains"),)),
    Field("preview_input", str | None, "state.document.preview_input", "The beginning of the input.", public=True, searched=True),
    Field("preview_output", str | None, "state.document.preview_output", "The beginning of the output.", public=True, searched=True),
    Field(
        *("conversation_id", str | None, "state.document.conversation_id", "What the task takes over when this step is its root."),
        public=True, filters=(Filter(name="conversation"),),
    ),
    Field("user_id", str | None, "state.document.user_id", "The same.", public=True, filters=(Filter(name="user"),)),
    Field("environment", str | None, "state.document.environment", "The same.", public=True, filters=(Filter(name="env"),)),
    Field(
        *("tags", dict[str, str], "state.document.tags", "The same."),
        absent={}, nullable=True, public=True, filters=(Filter(name="tag"),),
    ),
    Field(
        *("flags", list[str], "state.document.flags", "What was unusual about what the producer sent."),
        absent=[], copy_default=True, public=True, filters=(Filter(name="flag"),),
    ),
    # no column of their own
    Field("usage", Usage | None, "state.document.usage", in_rest=True),
    Field("scope", str | None, "state.document.scope", "The instrumentation that reported a model call.", in_rest=True, public=True),
    Field("run_id", str | None, "state.document.run_id", "The run that several tasks are part of.", in_rest=True, public=True),
    Field("service", str | None, "state.document.service", "The program that emitted the step.", in_rest=True, public=True),
    Field("finish_reasons", list[str], "state.document.finish_reasons", "Why the model stopped.", absent=[], in_rest=True, public=True),
    Field("parameters", str | None, "state.document.parameters", "Of the model, as JSON.", in_rest=True, public=True),
    Field("tool_call_id", str | None, "state.document.tool_call_id", "The model's id of the call.", in_rest=True, public=True),
    Field("waiting_for", str | None, "state.document.waiting_for", "What a waiting step asks of a person.", in_rest=True, public=True),
    Field("waiting_since_us", int | None, "state.document.waiting_since_us", "When it began to wait.", in_rest=True, public=True),
    Field("attempts", int, "state.document.attempts", "How often it was tried.", absent=1, in_rest=True, public=True),
    Field("captured", list[Slot], "state.document.captured", "The payloads that were sent.", absent=[], in_rest=True, public=True),
    Field("too_large", list[Slot], "state.document.too_large", "The payloads left out for their size.", absent=[], in_rest=True, public=True),
    Field("rest", dict[str, object], about="The fields that have no column of their own."),
    # roll-up: what this step adds to its task's totals (rules R1-R3)
    Field("counted_input", int, "counted.input_tokens"),
    Field("counted_output", int, "counted.output_tokens"),
    Field("counted_nusd", int | None, "counted.cost_nusd"),
    Field("usage_shadowed", bool, "step.shadowed", "Another step reports the same usage, and counts (R2 or R3)."),
    Field("usage_wrapper", bool, "step.wrapper", "The same by R2 alone: a step below it."),
    Field("repeats_response", str | None, "step.repeats_response", "The same by R3: the task whose step counts, by the response id."),
    Field("repeats_call", str | None, "step.repeats_call", "The same by R3, without a response id."),
    # what follows from other steps (``ams_contracts.derive``)
    Field("document_agent", str | None, "state.document.agent"),
    Field(
        *("affected", bool, None, "It failed by a failure of a step below it, and is not counted as an error of its own."),
        absent=False, updated_apart=True, public=True,
    ),
    Field(
        *("derived_flags", list[str], None, "What is unusual about its place in the task: `cycle`, `skewed`."),
        absent=[], updated_apart=True, public=True, filters=(Filter(name="flag"),),
    ),
)  # fmt: skip
"""The columns of ``steps``, in the order of COPY, and the fields in its column ``rest``. ``docs/extending.md`` says how to add one."""


class TaskDocument(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A task as its latest event describes it. ``kind`` is a free word of the producer (default ``task``)."""

    name: Name
    kind: Word = "task"
    agent: Word | None = None
    run_id: Word | None = None
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


TASK_FIELDS = (
    Field("project_id", str, key=True),
    Field("task_id", str, about="32 hex digits.", key=True, public=True, filters=(Filter(name="task", kind="id", digits=32),)),
    Field("day", date),
    Field("partition", int, sql="integer"),
    Field("first_offset", int),
    Field("last_offset", int, about="Of the last record that touched the task."),
    Field("seen_at_us", int, about="The broker's time of that record."),
    Field("heartbeats", bool, about="A producer of it sent a heartbeat: its silence means something."),
    # the register of the task's own events (fold_task)
    Field("document", str | None, about="TaskDocument as JSON; null while only steps are known.", sql="jsonb"),
    Field("stamp_phase", int | None, sql="smallint"),
    Field("stamp_at_us", int | None),
    Field("stamp_seq", int | None),
    Field("stamp_event_id", str | None),
    # what is shown: from the document (``path``), else from the earliest step without a parent (``root``)
    Field("root_step_id", str | None),
    Field("name", str, "document.name", root="document.name", public=True, searched=True, filters=(Filter(name="name"),)),
    Field("kind", str, "document.kind", "A free word of the producer.", absent="task", public=True, filters=(Filter(name="kind"),)),
    Field(
        *("agent", str | None, None, "The outermost agent that is named, else the root's service."),
        public=True, filters=(Filter(name="agent", indexed=True),),
    ),
    Field(
        *("status", Status, "document.status"), root="status",
        absent=Status.RUNNING, public=True, filters=(Filter(name="status", indexed=True),),
    ),
    Field("started_at_us", int | None, "document.started_at_us", "Microseconds UTC.", root="document.started_at_us", public=True),
    Field("ended_at_us", int | None, about="Microseconds UTC, of the last step; null while it runs.", public=True),
    Field("duration_us", int | None, about="Microseconds.", public=True, filters=(Filter(name="latency"), Filter(name="duration"))),
    Field(
        *("conversation_id", str | None, "document.conversation_id"), root="document.conversation_id",
        public=True, filters=(Filter(name="conversation", indexed=True),),
    ),
    Field("user_id", str | None, "document.user_id", root="document.user_id", public=True, filters=(Filter(name="user"),)),
    Field("environment", str | None, "document.environment", root="document.environment", public=True, filters=(Filter(name="env"),)),
    Field("tags", dict[str, str], "document.tags", root="document.tags", public=True, filters=(Filter(name="tag"),)),
    Field("parent_task_id", str | None, "document.parent_task_id", "The task that began this one.", public=True),
    Field("preview", str | None, about="The beginning of what was asked.", public=True, searched=True),
    Field("error_type", str | None, filters=(Filter(name="error", kind="contains"),)),
    Field("error_message", str | None, filters=(Filter(name="error", kind="contains"),)),
    Field("flags", list[str], "document.flags", "What was unusual about what the producers sent.", public=True, filters=(Filter(name="flag"),)),
    # totals, kept by difference
    Field("steps", int, sql="integer", public=True, filters=(Filter(name="steps"),)),
    Field(
        *("errors", int, None, "Failed steps, without those affected by one below them."),
        sql="integer", public=True, filters=(Filter(name="errors"),),
    ),
    Field("running_steps", int, sql="integer", public=True),
    Field("waiting_steps", int, sql="integer", public=True),
    Field("lost_steps", int, sql="integer", public=True),
    Field("input_tokens", int, public=True, filters=(Filter(name="tokens", kind="sum"), Filter(name="input_tokens"))),
    Field("output_tokens", int, public=True, filters=(Filter(name="tokens", kind="sum"), Filter(name="output_tokens"))),
    Field("cost_nusd", int, filters=(Filter(name="cost", known_by="priced_steps"),)),
    Field("priced_steps", int, about="0: the task's cost is unknown (null), not zero.", sql="integer"),
    Field("unpriced_steps", int, about="Steps with usage and without a known price.", sql="integer", public=True),
    Field("last_event_at_us", int, about="By the producers' clocks.", public=True),
    Field(
        *("sort_at_us", int, None, "`started_at_us`, else the broker's time of the first record: the order of the list."),
        public=True, sortable=True,
    ),
    Field("preview_output", str | None, about="The beginning of the answer.", public=True, searched=True),
    Field(
        *("run_id", str | None, "document.run_id", "The run that a framework spread over several tasks."), root="document.run_id",
        public=True, filters=(Filter(name="run"),),
    ),
    Field(
        "duplicate_of", str | None,
        about="The task that reports the same calls: this one only repeats them. Lists leave it out unless they are asked for it.",
        public=True, filters=(Filter(name="duplicate_of", kind="id", digits=32), Filter(name="duplicate", kind="present")),
    ),
    Field("repeated_steps", int, about="Calls that a step of another task reports too, which counts.", sql="integer", public=True),
    Field("messaging_steps", int, about="Steps that only pass messages of a framework's runtime.", sql="integer", public=True),
    Field(
        "folded_into", str | None,
        about="The run of a task that does nothing but pass messages. Lists leave it out unless they are asked for it.",
        public=True, filters=(Filter(name="folded_into"), Filter(name="folded", kind="present")),
    ),
    Field("derive_due", bool, about="Its steps were too many to derive what follows from them within the batch."),
    Field(
        "unmetered_calls", int,
        about="Answered model calls without a token count: tokens and cost are at least what is counted.", sql="integer", public=True,
    ),
)  # fmt: skip
"""The columns of ``tasks``, in the order of COPY."""
