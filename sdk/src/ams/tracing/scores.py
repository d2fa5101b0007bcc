"""``ams.score``: a judgement of a step or a task, from the agent itself or, by id, from any other process."""

from time import time_ns
from typing import Literal

from opentelemetry.trace import get_current_span

from ams.tracing.context import current_record
from ams.tracing.handles import Step
from ams.tracing.ids import bits, step_hex, task_hex
from ams.tracing.records import TaskRecord
from ams.tracing.runtime import logger, runtime

Source = Literal["human", "model", "code"]
SOURCES = ("human", "model", "code")
_NUMBER_MAX = 1e15
_SIZE = 256


class ScoreRecord:
    """A score on its way to the sender. ``task`` is set when this process traces the task, so that a loss is shown there."""

    __slots__ = ("at_ns", "author", "comment", "name", "score_id", "source", "step_id", "task", "task_id", "value")

    def __init__(self, name: str, value: bool | float | str, task_id: str, step_id: str | None, task: TaskRecord | None) -> None:
        self.name = name
        self.value = value
        self.task_id = task_id
        self.step_id = step_id
        self.task = task
        self.comment: str | None = None
        self.source: Source = "code"
        self.author: str | None = None
        self.score_id = f"{bits(128):032x}"
        self.at_ns = time_ns()


def score(
    name: str,
    value: bool | float | str,
    *,
    step: Step | str | None = None,
    task: Step | str | None = None,
    comment: str | None = None,
    source: Source = "code",
    author: str | None = None,
    score_id: str | None = None,
) -> str | None:
    """Judge a step or a task. Never raises and never waits, like everything here.

    Args:
        name: What is judged, such as ``helpful``.
        value: A number, a boolean, or a category.
        step: The step, or its id of 16 hex digits; by default the current step. An id needs ``task``, unless it is a step of the current task.
        task: A task or its id of 32 hex digits; without ``step`` the whole task is judged.
        comment: Why.
        source: Who judges: ``human`` (a user of the agent), ``model`` or ``code``.
        author: Who it was: the user's id, the name of the judging model.
        score_id: Names the score, so that recording it again replaces it.

    Returns:
        The score's id. None when nothing is recorded: tracing is off, or a warning says what is wrong.
    """
    queue = runtime.queue
    if queue is None:
        return None
    try:
        target = _target(step, task)
        wrong = "there is no current step; pass step= or task=" if target is None else _wrong(name, value, source, score_id, author)
        if target is None or wrong:
            logger.warning("AMS: the score %r is not recorded: %s.", str(name)[:64], wrong)
            return None
        record = ScoreRecord(str(name), value, *target)
        record.comment = comment
        record.source = source
        record.author = author
        record.score_id = score_id or record.score_id
        if not queue.put_kept(record, _SIZE + len(comment or "")):
            if record.task is not None:
                queue.count_lost(record.task)
            else:
                queue.lost.add()
            return None
    except Exception:  # noqa: BLE001 - a guest does not raise
        runtime.report_bug("a score")
        return None
    return record.score_id


def _target(step: Step | str | None, task: Step | str | None) -> tuple[str, str | None, TaskRecord | None] | None:
    """The task's id, the step's id, and the task's record where this process traces it; None: unknown."""
    native = current_record()
    span = get_current_span().get_span_context()
    current_task = task_hex(span.trace_id) if span.is_valid else None
    if task is not None:
        task_id = task.task_id if isinstance(task, Step) else str(task).lower()
    else:
        task_id = step.task_id if isinstance(step, Step) else current_task
    if step is not None:
        step_id = step.step_id if isinstance(step, Step) else str(step).lower()
    else:
        step_id = step_hex(span.span_id) if task is None and span.is_valid else None
    if not _is_hex(task_id, 32) or (step is not None and not _is_hex(step_id, 16)) or task_id is None:
        return None
    records = [_record_of(item) for item in (step, task) if isinstance(item, Step)] + ([native.task] if native is not None else [])
    return task_id, step_id, next((item for item in records if item is not None and item.task_id == task_id), None)


def _record_of(step: Step) -> TaskRecord | None:
    return step._record.task if step else None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # both are the hot path's own classes


def _wrong(name: object, value: object, source: object, score_id: object, author: object) -> str:
    if not isinstance(value, bool | int | float | str) or value == "":
        return "the value is a number, a boolean or a category"
    if isinstance(value, int | float) and not -_NUMBER_MAX <= value <= _NUMBER_MAX:
        return "the number is not between -1e15 and 1e15"
    if not name or source not in SOURCES:
        return "it needs a name, and the source is human, model or code"
    if any(str(text).startswith("user:") for text in (score_id, author)):
        return "ids and authors that begin with user: belong to people who are signed in to AMS"
    return ""


def _is_hex(text: str | None, digits: int) -> bool:
    return text is not None and len(text) == digits and all(digit in "0123456789abcdef" for digit in text) and bool(text.strip("0"))
