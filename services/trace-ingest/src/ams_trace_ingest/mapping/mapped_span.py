"""What the mapping gives: events of the log."""

from collections.abc import Sequence

from msgspec import Struct

from ams_contracts.events import MediaStored, PayloadStored, ScoreRecorded, StepRecorded, StepStarted


class MappedSpan(Struct, gc=False):
    """A span as events.

    Attributes:
        task_id: The trace.
        event: ``step.recorded``, or ``step.started`` for a span that still runs.
        payloads: At most one a slot.
        media: What the payloads refer to, without what an earlier span of the task brought in the same request.
        scores: What its evaluation events say.
    """

    task_id: str
    event: StepRecorded | StepStarted
    payloads: list[PayloadStored]
    media: Sequence[MediaStored]
    scores: Sequence[ScoreRecorded] = ()
