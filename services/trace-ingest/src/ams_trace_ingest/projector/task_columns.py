"""The columns that show a task, from its own events or from its steps. Pure."""

from ams_contracts.codec import encode
from ams_contracts.derive import OPEN_STATUSES
from ams_contracts.documents import Status, StepDocument
from ams_contracts.fold import PHASE_ENDED, TaskState
from ams_trace_ingest.projector.changes import ShownByTree
from ams_trace_ingest.store.tasks import TaskRow

FLAG_NO_ROOT = "no_root"
FLAG_REPEATED_RESPONSE = "repeated_response_id"  # steps of it claim a response id that too many steps claim: all of them count


def root_rank(step_id: str, document: StepDocument) -> tuple[bool, int, int, str]:
    """The order of parentless steps: the lowest one is the root; one without a start is last."""
    return (document.started_at_us is None, document.started_at_us or 0, document.seq, step_id)


def set_document(row: TaskRow, state: TaskState) -> None:
    """Show a task by its own document. ``set_status`` sets the status afterwards, from the totals."""
    row.hold(state)
    document = state.document
    if document is None:
        return
    row.name, row.kind, row.started_at_us = document.name, document.kind, document.started_at_us
    row.run_id = document.run_id
    row.conversation_id, row.user_id, row.environment = document.conversation_id, document.user_id, document.environment
    row.tags = encode(document.tags).decode()
    row.parent_task_id = document.parent_task_id
    row.flags = list(document.flags)
    row.status = document.status
    if document.started_at_us is not None:
        row.sort_at_us = document.started_at_us


def set_root(row: TaskRow, step_id: str, document: StepDocument, status: Status) -> None:
    """Show a task without a document by its earliest parentless step."""
    row.root_step_id = step_id
    if row.document is not None:
        return
    row.name, row.status, row.started_at_us = document.name, status, document.started_at_us
    row.run_id = document.run_id
    row.conversation_id, row.user_id, row.environment = document.conversation_id, document.user_id, document.environment
    row.tags = encode(document.tags).decode()
    row.flags = [flag for flag in row.flags if flag != FLAG_NO_ROOT]
    if document.started_at_us is not None:
        row.sort_at_us = document.started_at_us


def clear_root(row: TaskRow) -> None:
    """No step is without a parent any more: reset what the root has shown."""
    row.root_step_id = None
    if row.document is not None:
        return
    row.name, row.status, row.started_at_us = "", Status.RUNNING, None
    row.run_id = row.conversation_id = row.user_id = row.environment = None
    row.tags = "{}"


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
