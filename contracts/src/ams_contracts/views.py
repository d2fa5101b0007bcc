"""Tasks and steps as people and programs see them: REST responses and the records of ``ams.tasks.v1``.

Names are the same in SQL, Python, JSON and TypeScript. Times are microseconds UTC; ``cost_usd`` is a decimal string with
up to nine places, null when unknown.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS, Failure, Usage
from ams_contracts.fields import Field, by_name, public_columns
from ams_contracts.fold import PHASE_ENDED, Progress, Stamp
from ams_contracts.rows import decode_rest, reader

NANO = 1_000_000_000


def usd(nusd: int | None) -> str | None:
    """Nano-USD as a decimal string without trailing zeros: ``2_100_000`` -> ``"0.0021"``, ``None`` -> ``None``."""
    if nusd is None:
        return None
    whole, rest = divmod(abs(nusd), NANO)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nusd < 0 else text


class Stamps(Struct, frozen=True, kw_only=True):
    """The stamps that a row was folded from, so that a client can fold later events into it."""

    document: Stamp | None
    progress: Stamp | None


class Task(public_columns(TASK_FIELDS), Struct, frozen=True, kw_only=True):
    """One task with its totals. The fields are the public ones of ``TASK_FIELDS``, and those below, which are computed from several."""

    cost_usd: str | None
    error: Failure | None


class Step(public_columns(STEP_FIELDS), Struct, frozen=True, kw_only=True):
    """One step. ``status`` is the one to show; ``progress`` and ``stamps`` let a client fold frames into it.

    The fields are the public ones of ``STEP_FIELDS``, and those below, which are computed from several.
    """

    usage: Usage | None
    counted: bool
    cost_usd: str | None
    error: Failure | None
    progress: Progress | None
    stamps: Stamps


class TaskChanged(Struct, frozen=True, kw_only=True):
    """A record of ``ams.tasks.v1``: the task row after a commit. A hint: it may be lost, running tasks are repeated.

    ``position`` is that of the steps topic at which the row was true; the higher one of a task wins.
    """

    v: Literal[1] = 1
    project_id: str
    position: str
    task: Task


def _readers(fields: Sequence[Field]) -> dict[str, Any]:
    return {field.name: reader(field) for field in fields if field.public and not field.in_rest}


_STEP = by_name(STEP_FIELDS)
_STEP_READERS = _readers(STEP_FIELDS)
_STEP_REST = [field.name for field in STEP_FIELDS if field.public and field.in_rest]
_TASK_READERS = _readers(TASK_FIELDS)
_read_progress_status = reader(_STEP["progress_status"])
_read_progress_usage = reader(_STEP["progress_usage"])

STEP_COLUMNS = list(
    dict.fromkeys((
        *_STEP_READERS,
        *("rest", "cost_nusd", "counted_input", "counted_output", "counted_nusd", "error_type", "error_message"),
        *("stamp_phase", "stamp_at_us", "stamp_seq", "stamp_event_id"),
        *("progress_phase", "progress_at_us", "progress_seq", "progress_event_id", "progress_status", "progress_usage", "last_beat_us"),
    ))
)  # fmt: skip
"""The columns that ``step_view`` reads."""

TASK_COLUMNS = list(dict.fromkeys((*_TASK_READERS, "cost_nusd", "priced_steps", "error_type", "error_message")))
"""The columns that ``task_view`` reads."""


def task_view(row: Any) -> Task:
    """A row with ``TASK_COLUMNS`` as people and programs see it."""
    return Task(
        **{name: read(row) for name, read in _TASK_READERS.items()},
        cost_usd=usd(row["cost_nusd"]) if row["priced_steps"] else None,
        error=_failure(row),
    )


def step_view(row: Any) -> Step:
    """A row with ``STEP_COLUMNS`` as people and programs see it."""
    rest = decode_rest(row["rest"])
    progress = _progress(row)
    usage = rest.usage
    if usage is None and progress is not None and row["stamp_phase"] != PHASE_ENDED:
        usage = progress.usage
    return Step(
        **{name: read(row) for name, read in _STEP_READERS.items()},
        **{name: getattr(rest, name) for name in _STEP_REST},
        usage=usage,
        counted=bool(row["counted_input"] or row["counted_output"] or row["counted_nusd"] is not None),
        cost_usd=usd(row["cost_nusd"]),
        error=_failure(row),
        progress=progress,
        stamps=Stamps(document=_stamp(row, "stamp"), progress=_stamp(row, "progress")),
    )


def _failure(row: Any) -> Failure | None:
    if row["error_type"] is None and row["error_message"] is None:
        return None
    return Failure(type=row["error_type"], message=row["error_message"])


def _stamp(row: Any, register: Literal["stamp", "progress"]) -> Stamp | None:
    phase = row[f"{register}_phase"]
    return None if phase is None else Stamp(phase, row[f"{register}_at_us"], row[f"{register}_seq"], row[f"{register}_event_id"])


def _progress(row: Any) -> Progress | None:
    status = _read_progress_status(row)
    return None if status is None else Progress(status=status, at_us=row["last_beat_us"], usage=_read_progress_usage(row))
