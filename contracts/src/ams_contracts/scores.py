"""Scores as registers: which of several events with one score id counts, and what older events mean."""

import math

from ams_contracts.events import SCORE_MAX, ScoreRecorded, StepScored

ScoreStamp = tuple[int, int, str]
"""at_us, seq and event_id; the highest one counts."""


def score_of(event: ScoreRecorded | StepScored) -> ScoreRecorded:
    """The score that an event records. ``step.scored`` has no id of its own: each of them is a score by its event id."""
    if isinstance(event, ScoreRecorded):
        return event
    number = event.value if event.value is not None and math.isfinite(event.value) and abs(event.value) <= SCORE_MAX else None
    return ScoreRecorded(
        event_id=event.event_id,
        seq=event.seq,
        at_us=event.at_us,
        score_id=event.event_id,
        step_id=event.step_id,
        name=event.name,
        number=number,
        label=event.label,
        comment=event.explanation,
        source=event.source,
    )


def stamp_of_score(event: ScoreRecorded) -> ScoreStamp:
    """The rank of an event among those of one score."""
    return (event.at_us, event.seq, event.event_id)
