"""``POST /v1/batches``: the requests of SDKs. They name no project: it is the one of the API key."""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from ams_contracts.events import Event, Producer
from ams_contracts.ids import TaskId

REQUEST_BYTES_MAX = 4 * 1024 * 1024
REQUEST_BATCHES_MAX = 100
REQUEST_EVENTS_MAX = 1_000


class NativeBatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events of one task (or ``agent.registered`` without one), steps and payloads together, in order of ``seq``."""

    task_id: TaskId | None = None
    producer: Producer
    events: list[Event]


class NativeRequest(Struct, frozen=True, kw_only=True):
    """What an SDK sends: at most 100 batches, 1,000 events and 4 MiB."""

    v: Literal[1] = 1
    batches: Annotated[list[NativeBatch], Meta(max_length=REQUEST_BATCHES_MAX)]


class RawNativeBatch(Struct, frozen=True, kw_only=True):
    """A batch with its events not yet decoded, so that a bad event does not cost the others."""

    task_id: TaskId | None = None
    producer: Producer
    events: list[Raw]


class RawNativeRequest(Struct, frozen=True, kw_only=True):
    """What intake decodes first."""

    v: Literal[1]
    batches: Annotated[list[RawNativeBatch], Meta(max_length=REQUEST_BATCHES_MAX)]


class RejectedEvent(Struct, frozen=True, kw_only=True):
    """An event that was rejected, and why. ``event_id`` is null when it could not be decoded."""

    event_id: str | None
    code: str


class NativeAnswer(Struct, frozen=True, kw_only=True):
    """How many events are durable in the log, and which were rejected."""

    accepted: int
    rejected: list[RejectedEvent] = []
