"""A task's totals, by the difference that its changed steps make. Pure."""

from ams_contracts.documents import Status
from ams_trace_ingest.projector.changes import NO_CONTRIBUTION, Contribution, TaskChanges, contribution, repeats_other_than
from ams_trace_ingest.rollup import NOTHING
from ams_trace_ingest.store.tasks import TaskRow

_OK = Status.OK  # a look-up in the class costs 0.3 us


def add_totals(row: TaskRow, task: TaskChanges) -> None:
    """Add to the row what each changed step adds now, less what it added before."""
    task_id = task.key[1]
    plain = 0  # steps that ended well and count for nothing: half of them
    now: list[Contribution] = []
    before: list[Contribution] = []
    for step in task.steps.values():
        if not step.changed:
            continue
        status, counted, type_raw = step.state.status, step.counted, step.type_raw
        if counted is NOTHING and status is _OK and type_raw is None and step.repeats_response is None and step.repeats_call is None:
            plain += 1
        else:
            now.append(contribution(status, counted, repeated=repeats_other_than(step, task_id), type_raw=type_raw))
        if step.before is not NO_CONTRIBUTION:
            before.append(step.before)
    row.steps += plain
    if not now and not before:
        return
    # column by column: ten additions to a struct's fields a step took a tenth of the projection
    steps, errors, running, waiting, lost, tokens_in, tokens_out, nusd, priced, unpriced, repeated, unmetered, messaging = map(
        sum, zip(*(now or [NO_CONTRIBUTION]), strict=True)
    )
    less = [sum(column) for column in zip(*before, strict=True)] if before else NO_CONTRIBUTION
    row.steps += steps - less[0]
    row.errors += errors - less[1]
    row.running_steps += running - less[2]
    row.waiting_steps += waiting - less[3]
    row.lost_steps += lost - less[4]
    row.input_tokens += tokens_in - less[5]
    row.output_tokens += tokens_out - less[6]
    row.cost_nusd += nusd - less[7]
    row.priced_steps += priced - less[8]
    row.unpriced_steps += unpriced - less[9]
    row.repeated_steps += repeated - less[10]
    row.unmetered_calls += unmetered - less[11]
    row.messaging_steps += messaging - less[12]
