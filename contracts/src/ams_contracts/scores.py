"""Scores as registers: which of several events with one score id counts, who may record it, and what older events mean."""

import math

from ams_contracts.events import SCORE_MAX, ScoreRecorded, StepScored

ScoreStamp = tuple[int, int, str]
"""at_us, seq and event_id; the highest one counts."""

PERSON_PREFIX = "user:"
"""Begins the author of a score that a signed-in person recorded (``user:<user_id>``), and its id (``user:<user_id>:...``).

Intake refuses both from API keys, so a program can neither name a person as the author nor replace the score of one.
"""


def person_author(user_id: str) -> str:
    """The author of a person's scores."""
    return f"{PERSON_PREFIX}{user_id}"


def names_a_person(event: ScoreRecorded) -> bool:
    """Whether the author or the id of a score belong to a signed-in person."""
    return event.score_id.startswith(PERSON_PREFIX) or (event.author or "").startswith(PERSON_PREFIX)


def number_and_label(value: bool | float | str) -> tuple[float | None, str | None]:
    """The number and the label that hold a value: a category has a label only, a boolean both (1 and ``true``), a number no label."""
    if isinstance(value, bool):
        return float(value), "true" if value else "false"
    return (None, value) if isinstance(value, str) else (float(value), None)


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
