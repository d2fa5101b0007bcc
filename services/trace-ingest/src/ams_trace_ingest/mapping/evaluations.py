"""Evaluation events (``gen_ai.evaluation.result``), of spans or of the logs, as scores of their step."""

import hashlib
import math
from typing import Any

import msgspec

from ams_contracts.events import SCORE_MAX, ScoreRecorded
from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.mapping.convert import word

EVENT_PREFIX = "gen_ai.evaluation"
SCORES_MAX = 100  # of one span
_COMMENT_CHARS_MAX = 4_096
_NAME = "gen_ai.evaluation.name"
_VALUE = "gen_ai.evaluation.score.value"
_LABEL = "gen_ai.evaluation.score.label"
_EXPLANATION = "gen_ai.evaluation.explanation"
_JUDGES = ("gen_ai.response.model", "gen_ai.request.model")
_encode = msgspec.json.Encoder().encode


def score_of_evaluation(
    project_id: str, task_id: str, step_id: str, name: str, attributes: dict[str, Any], *, at_us: int
) -> ScoreRecorded | None:
    """The score that an event gives its step; ``None`` when it is no evaluation, or names no value.

    The conventions do not say who judged. An event that names a model was judged by it, any other by code. The id follows from the content, so an
    event that is sent twice is one score.

    Args:
        project_id: From the credential; part of the ids.
        task_id: The trace.
        step_id: The evaluated span.
        name: Of the event.
        attributes: Of the event.
        at_us: When, microseconds since the epoch.
    """
    if not name.startswith(EVENT_PREFIX):
        return None
    named = word(attributes.get(_NAME))
    value = attributes.get(_VALUE)
    number = None
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) <= SCORE_MAX:
        number = float(value)
    label = word(attributes.get(_LABEL)) or (str(value).lower() if isinstance(value, bool) else None)
    if not named or (number is None and not label):
        return None
    explanation = attributes.get(_EXPLANATION)
    judge = next((found for key in _JUDGES if (found := word(attributes.get(key)))), None)
    at_us = min(max(at_us, 0), TIME_MAX_US)
    content = _encode([task_id, step_id, at_us, named, number, label, explanation if isinstance(explanation, str) else None, judge])
    event_id = hashlib.blake2b(content, digest_size=16, key=project_id.encode()).hexdigest()
    return ScoreRecorded(
        event_id=event_id,
        seq=0,
        at_us=at_us,
        score_id=event_id,
        step_id=step_id,
        name=named,
        number=number,
        label=label,
        comment=explanation[:_COMMENT_CHARS_MAX] if isinstance(explanation, str) and explanation else None,
        source="code" if judge is None else "model",
        author=judge,
    )
