"""A task's totals, by the difference that its changed steps make. Pure."""

from ams_trace_ingest.projector.working import TaskWork, contribution
from ams_trace_ingest.store.tasks import TaskRow


def add_totals(row: TaskRow, task: TaskWork) -> None:
    """Add to the row what each changed step adds now, less what it added before."""
    for step in task.steps.values():
        if not step.changed:
            continue
        count, errors, running, waiting, lost, tokens_in, tokens_out, nusd, priced, unpriced = contribution(step.state.status, step.counted)
        before = step.before
        row.steps += count - before[0]
        row.errors += errors - before[1]
        row.running_steps += running - before[2]
        row.waiting_steps += waiting - before[3]
        row.lost_steps += lost - before[4]
        row.input_tokens += tokens_in - before[5]
        row.output_tokens += tokens_out - before[6]
        row.cost_nusd += nusd - before[7]
        row.priced_steps += priced - before[8]
        row.unpriced_steps += unpriced - before[9]
