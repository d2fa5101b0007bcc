"""The columns that show a task, from its own events or from its steps. Pure.

Columns that only repeat a field of the task's document or of its root follow from ``TASK_FIELDS``.
"""

from collections.abc import Callable, Mapping
from datetime import date
from operator import attrgetter
from typing import Any, get_origin

from ams_contracts.codec import encode
from ams_contracts.derive import OPEN_STATUSES
from ams_contracts.documents import TASK_FIELDS, Status, StepDocument
from ams_contracts.fields import Field, columns
from ams_contracts.fold import PHASE_ENDED, StepState, TaskState
from ams_trace_ingest.projector.changes import ShownByTree, StepChanges
from ams_trace_ingest.store.tasks import TaskRow

FLAG_NO_ROOT = "no_root"
FLAG_REPEATED_RESPONSE = "repeated_response_id"  # steps of it claim a response id that too many steps claim: all of them count


def _encoder(field: Field) -> Callable[[Any], Any] | None:
    """Makes of a value what the row holds; null: the value itself. Decided once: the type of a column takes longer to find out than to encode."""
    if field.sql_type == "jsonb":
        return lambda value: encode(value).decode()
    return list if field.sql_type == "text[]" else None


def _reader(field: Field, path: str) -> Callable[[Any], Any]:
    """The value of a column, read from a state that has a document."""
    get, to_stored = attrgetter(path), _encoder(field)
    return get if to_stored is None else lambda state: to_stored(get(state))


def _absent(field: Field) -> Any:
    """What a column holds while nothing is known: null, what the field declares, or nothing of its type."""
    if field.is_nullable:
        return None
    value = (get_origin(field.value_type) or field.value_type)() if field.absent is None else field.absent
    to_stored = _encoder(field)
    return value if to_stored is None else to_stored(value)


_OF_DOCUMENT = {field.name: _reader(field, field.path) for field in TASK_FIELDS if field.path is not None}
_OF_ROOT = {field.name: _reader(field, field.root) for field in TASK_FIELDS if field.root is not None}
_ABSENT = {field.name: _absent(field) for field in columns(TASK_FIELDS) if field.value_type is not date and not field.key}


def root_rank(step_id: str, document: StepDocument) -> tuple[bool, int, int, str]:
    """The order of parentless steps: the lowest one is the root; one without a start is last."""
    return (document.started_at_us is None, document.started_at_us or 0, document.seq, step_id)


def root_moved_back(root: StepChanges) -> bool:
    """Whether the current root has a parent now, or starts later than before."""
    before = root.stored.document if root.stored is not None else None
    now = root.state.document
    return (
        before is not None
        and now is not None
        and (now.parent_step_id is not None or root_rank(root.step_id, before) < root_rank(root.step_id, now))
    )


def new_row(**known: Any) -> TaskRow:
    """The row of a task of which nothing else is known yet.

    Args:
        known: Columns with a value; the others have the value that ``TASK_FIELDS`` declares as absent.
    """
    return TaskRow(**(_ABSENT | {"flags": []} | known))


def set_document(row: TaskRow, state: TaskState) -> None:
    """Show a task by its own document. ``set_status`` sets the status afterwards, from the totals."""
    row.hold(state)
    if state.document is not None:
        _show(row, state, _OF_DOCUMENT)


def set_root(row: TaskRow, step_id: str, root: StepState) -> None:
    """Show a task without a document by its earliest parentless step."""
    row.root_step_id = step_id
    if row.document is None:
        row.flags = [flag for flag in row.flags if flag != FLAG_NO_ROOT]
        _show(row, root, _OF_ROOT)


def clear_root(row: TaskRow) -> None:
    """No step is without a parent any more: reset what the root has shown."""
    row.root_step_id = None
    if row.document is None:
        for name in _OF_ROOT:
            setattr(row, name, _ABSENT[name])


def _show(row: TaskRow, state: TaskState | StepState, columns: Mapping[str, Callable[[Any], Any]]) -> None:
    for name, value in columns.items():
        setattr(row, name, value(state))
    if row.started_at_us is not None:
        row.sort_at_us = row.started_at_us


def set_flag(row: TaskRow, flag: str, wanted: bool) -> None:
    """Set a flag of the projector's own, last of all, whatever the task's document says."""
    if wanted or flag in row.flags:
        row.flags = [*(other for other in row.flags if other != flag), *[flag] * wanted]


def set_derived(row: TaskRow, shown: ShownByTree, state: TaskState) -> None:
    """What follows from all steps of the task, and from its own document: ``ams_contracts.derive``. The rest is set before."""
    derived = shown.derived
    row.agent, row.errors = derived.agent, derived.errors
    row.ended_at_us, row.duration_us = derived.ended_at_us, derived.duration_us
    row.error_type, row.error_message = (None, None) if derived.error is None else (derived.error.type, derived.error.message)
    asked = None if state.document is None else state.document.preview
    row.preview, row.preview_output = asked or shown.asked, shown.answer


def set_status(row: TaskRow, state: TaskState) -> None:
    """The status of an open task follows its open steps: waiting before running before lost."""
    if state.stamp is not None and state.document is not None:
        if state.stamp.phase == PHASE_ENDED or state.document.status not in OPEN_STATUSES:
            return
        base = state.document.status
    elif row.root_step_id is None:  # its root may still arrive; the sweep marks it after a while
        row.flags = [flag for flag in row.flags if flag != FLAG_NO_ROOT]
        base = Status.RUNNING
    elif row.status not in OPEN_STATUSES:
        return
    else:
        base = Status.RUNNING
    if row.waiting_steps:
        row.status = Status.WAITING
    elif row.running_steps or not row.lost_steps:
        row.status = Status.WAITING if base == Status.WAITING else Status.RUNNING
    else:
        row.status = Status.LOST
