"""The events of the log, version 1, and the batch that carries them.

A published event does not change. An added field has a default; anything else is a new struct, an upcast and a golden file.
The union's tag is the field ``kind`` and is written out in full (``step.started``).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ams_contracts.documents import Slot, StepDocument, TaskDocument, Usage
from ams_contracts.ids import Count, EventId, Microseconds, Name, ProjectId, Seq, Sha256, StepId, TaskId, Word

BATCH_VERSION = 1
EVENTS_PER_BATCH_MAX = 1_000
BATCH_BYTES_MAX = 1_048_576
DELTA_CHARS_MAX = 4_096
PAYLOAD_CHARS_MAX = 1_048_576
SCORE_MAX = 1e15
PRICE_PICO_USD_MAX = 10**12  # a token: one US dollar
REQUEST_PICO_USD_MAX = 10**15  # a request: 1,000 US dollars
MEDIA_BYTES_MAX = 786_432  # 768 KiB are 1 MiB in base64, and a record of the log takes 2 MiB

MediaData = Annotated[bytes, Meta(max_length=MEDIA_BYTES_MAX)]


class EventBase(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="kind"):
    """The fields of every event: its id, its number among its producer's events, and its time."""

    event_id: EventId
    seq: Seq
    at_us: Microseconds


class AgentRegistered(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="agent.registered"):
    """An agent registered itself."""

    name: Word
    version: Word | None = None
    framework: Word | None = None
    description: Annotated[str, Meta(max_length=4_096)] | None = None
    tools: Annotated[list[Word], Meta(max_length=256)] = []
    owner: Word | None = None
    metadata: Annotated[dict[Word, Name], Meta(max_length=256)] = {}


class TaskStarted(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="task.started"):
    """A task began."""

    task: TaskDocument


class TaskUpdated(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="task.updated"):
    """A running task has a new description."""

    task: TaskDocument


class TaskEnded(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="task.ended"):
    """A task ended. The document holds everything that ``task.started`` did."""

    task: TaskDocument


class TaskDeleted(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="task.deleted"):
    """A person deleted the task: its rows are deleted, and its later events are ignored and counted."""

    by: Word


class ProjectTombstone(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="project.deleted"):
    """A project was deleted: its rows are removed, and later events of it are ignored and counted.

    The platform publishes it to every partition of the steps and payloads topics; its batch names the project and no task.
    """

    by: Word


class StepStarted(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.started"):
    """A step began."""

    step_id: StepId
    step: StepDocument


class StepEnded(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.ended"):
    """A step ended. The document holds everything that ``step.started`` did."""

    step_id: StepId
    step: StepDocument


class StepRecorded(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.recorded"):
    """A complete step in one event: an OpenTelemetry span, or a step shorter than a flush interval."""

    step_id: StepId
    step: StepDocument


class OpenStep(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A step that a heartbeat reports as open."""

    step_id: StepId
    status: Literal["running", "waiting"] = "running"
    usage: Usage | None = None


class OutputDelta(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A piece of streamed output. ``index`` counts the pieces of one step from 0."""

    step_id: StepId
    index: Annotated[int, Meta(ge=0)]
    text: Annotated[str, Meta(max_length=DELTA_CHARS_MAX)]


class LogLine(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A line that the agent logged inside a step."""

    step_id: StepId
    level: Word = "info"
    text: Annotated[str, Meta(max_length=DELTA_CHARS_MAX)]


class StepProgressed(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.progressed"):
    """Steps are still open: the heartbeat of one process for one task, or progress of a step (waiting, output, a log line).

    Every step in ``steps`` takes its status, partial usage and last beat from this event.
    """

    steps: Annotated[list[OpenStep], Meta(max_length=1_000)] = []
    deltas: Annotated[list[OutputDelta], Meta(max_length=1_000)] = []
    logs: Annotated[list[LogLine], Meta(max_length=1_000)] = []


class StepLost(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.lost"):
    """No heartbeat arrived for 30 s. ``at_us`` is the last beat + 1, in the producer's clock, so that any later beat undoes it."""

    step_id: StepId
    last_beat_us: Microseconds


class StepScored(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="step.scored"):
    """A person, a model or code judged a step. Read as ``score.recorded`` (``ams_contracts.scores``); new producers send that."""

    step_id: StepId
    name: Word
    value: float | None = None
    label: Word | None = None
    explanation: Annotated[str, Meta(max_length=4_096)] | None = None
    source: Literal["human", "model", "code"]


class ScoreRecorded(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="score.recorded"):
    """A person, a model or code judged a task, or one of its steps.

    A score is a register: of several events with one ``score_id`` the one with the highest stamp (at_us, seq, event_id) counts, whatever the
    order they arrive in. ``removed`` takes the score back.
    """

    score_id: Annotated[str, Meta(min_length=1, max_length=256)]
    step_id: StepId | None = None
    name: Word
    number: Annotated[float, Meta(ge=-SCORE_MAX, le=SCORE_MAX)] | None = None
    label: Word | None = None
    comment: Annotated[str, Meta(max_length=4_096)] | None = None
    source: Literal["human", "model", "code"]
    author: Word | None = None
    removed: bool = False


class ProducerReported(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="producer.reported"):
    """What a producer could not deliver of a task, as totals since the producer started: of two reports the one with the higher stamp counts.

    ``dropped`` counts events by reason (``queue_full``, ``too_large``, ``spool_full`` ...), ``truncated`` payloads that were cut.
    """

    dropped: Annotated[dict[Word, Count], Meta(max_length=16)] = {}
    truncated: Count = 0


PricePart = Literal[
    "input", "output", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image", "input_video", "cache_audio_read",
    "output_audio", "output_image", "output_reasoning",
]  # fmt: skip
"""What has a price of its own."""


class PriceSet(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="price.set"):
    """An owner set the project's own price of a model, for calls that begin at ``from_us`` or later. Its batch names no task.

    ``model`` is a name, or its beginning followed by ``*``. ``pico_usd`` is the price of one token by part (0.15 USD a million tokens =
    150,000); null: the list price counts again. Of events with the same model, provider and ``from_us`` the one with the highest stamp
    (at_us, seq, event_id) counts; all of them are kept.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    provider: Word | None = None
    from_us: Microseconds
    pico_usd: dict[PricePart, Annotated[int, Meta(ge=0, le=PRICE_PICO_USD_MAX)]] | None = None
    request_pico_usd: Annotated[int, Meta(ge=0, le=REQUEST_PICO_USD_MAX)] = 0
    note: Annotated[str, Meta(max_length=500)] | None = None
    by: Word


class PayloadStored(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="payload.stored"):
    """A payload of a step: an input, an output, a stack, or the rest of a span.

    ``bytes`` is the length of the complete payload in UTF-8; when ``truncated`` is set, ``text`` is only its beginning.
    Slot ``original`` is JSON: ``{attributes, events, links, scope, resource, dropped}``: what the step and its other payloads do not hold.
    ``consumed`` is the rest as JSON, to map the span again from the log; the tables do not keep it: ``[place, key, value]`` of each other
    attribute, or ``[place, key, null, slot]`` when its value is that payload's text. An original without it is whole, and
    names in ``consumed: [key]`` what the table need not keep.
    """

    step_id: StepId
    slot: Slot
    mime: Word = "text/plain"
    text: Annotated[str, Meta(max_length=PAYLOAD_CHARS_MAX)]
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Sha256 | None = None
    truncated: bool = False
    consumed: Annotated[str, Meta(max_length=PAYLOAD_CHARS_MAX)] | None = None


class MediaStored(EventBase, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="media.stored"):
    """An image, a sound or a file that messages of the task show: a part ``{"type": "media", "sha256", "mime", "bytes"}`` refers to it.

    ``sha256`` and ``bytes`` are those of ``data``. A project keeps the same bytes once, however many tasks show them.
    """

    sha256: Sha256
    mime: Word = "application/octet-stream"
    bytes: Annotated[int, Meta(ge=0, le=MEDIA_BYTES_MAX)]
    data: MediaData


TaskEvent = TaskStarted | TaskUpdated | TaskEnded
DocumentEvent = StepStarted | StepEnded | StepRecorded
StepsTopicEvent = (
    AgentRegistered
    | TaskStarted
    | TaskUpdated
    | TaskEnded
    | TaskDeleted
    | ProjectTombstone
    | StepStarted
    | StepEnded
    | StepRecorded
    | StepProgressed
    | StepLost
    | StepScored
    | ScoreRecorded
    | ProducerReported
    | PriceSet
)
PayloadsTopicEvent = PayloadStored | MediaStored
Event = StepsTopicEvent | PayloadsTopicEvent


class Producer(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The sender of a batch. Every process (and fork) has its own ``instance_id``."""

    sdk: Word
    version: Word = ""
    instance_id: Word
    host: Word = ""


class Batch(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One record of the log: events of one task that were ready at the same time. ``task_id`` is null for ``agent.registered``, ``price.set`` and ``project.deleted``."""

    v: Literal[1]
    project_id: ProjectId
    task_id: TaskId | None = None
    producer: Producer
    events: Annotated[list[Event], Meta(max_length=EVENTS_PER_BATCH_MAX)]
