"""What the mapping gives: events of the log."""

from msgspec import Struct

from ams_contracts.events import PayloadStored, StepRecorded, StepStarted

MAPPER_VERSION = 1


class MappedSpan(Struct, gc=False):
    """A span as events.

    Attributes:
        task_id: The trace.
        event: ``step.recorded``, or ``step.started`` for a span that still runs.
        payloads: At most one a slot.
    """

    task_id: str
    event: StepRecorded | StepStarted
    payloads: list[PayloadStored]
