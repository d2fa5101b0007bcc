"""Rows of the REST answers as the short lines of tools."""

from datetime import UTC, datetime
from decimal import Decimal

from ams_contracts.documents import Failure
from ams_contracts.human import count_text, cut, duration_text
from ams_contracts.views import Step, Task
from ams_trace_query.mcp_server.answers import StepLine, TaskLine

NAME_CHARS_MAX = 120
TEXT_CHARS_MAX = 160


def time_text(microseconds: int) -> str:
    """A time in UTC, to the millisecond."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def usd_text(amount: str | None) -> str | None:
    """A cost of a REST answer, without trailing zeros."""
    return None if amount is None else f"${Decimal(amount).normalize():f}"


def failure_text(failure: Failure | None) -> str | None:
    """Type and message of an error on one line."""
    if failure is None:
        return None
    return cut(": ".join(part for part in (failure.type, failure.message) if part), 2 * TEXT_CHARS_MAX)


def task_line(task: Task) -> TaskLine:
    """A task on a line."""
    line = TaskLine(task=task.task_id, name=cut(task.name, NAME_CHARS_MAX), status=str(task.status), steps=task.steps)
    if task.started_at_us is not None:
        line["started"] = time_text(task.started_at_us)
    if task.duration_us is not None:
        line["duration"] = duration_text(task.duration_us)
    if task.agent:
        line["agent"] = cut(task.agent, NAME_CHARS_MAX)
    if task.errors:
        line["errors"] = task.errors
    if task.input_tokens or task.output_tokens:
        line["tokens"] = task.input_tokens + task.output_tokens
    if (cost := usd_text(task.cost_usd)) is not None:
        line["cost"] = cost
    if (error := failure_text(task.error)) is not None:
        line["error"] = error
    if task.preview:
        line["input"] = cut(task.preview, TEXT_CHARS_MAX)
    if task.preview_output:
        line["output"] = cut(task.preview_output, TEXT_CHARS_MAX)
    return line


def step_line(step: Step, *, previews: bool = True) -> StepLine:
    """A step on a line."""
    line = StepLine(task=step.task_id, step=step.step_id, type=str(step.type), name=cut(step.name, NAME_CHARS_MAX), status=str(step.status))
    if step.started_at_us is not None:
        line["started"] = time_text(step.started_at_us)
    if step.duration_us is not None:
        line["duration"] = duration_text(step.duration_us)
    if model := step.model or step.model_requested:
        line["model"] = model
    if step.usage is not None and (step.usage.input is not None or step.usage.output is not None):
        line["tokens"] = f"{count_text(step.usage.input or 0)} in, {count_text(step.usage.output or 0)} out"
    if (cost := usd_text(step.cost_usd)) is not None:
        line["cost"] = cost
    if (error := failure_text(step.error)) is not None:
        line["error"] = error
    if previews and step.preview_input:
        line["input"] = cut(step.preview_input, TEXT_CHARS_MAX)
    if previews and step.preview_output:
        line["output"] = cut(step.preview_output, TEXT_CHARS_MAX)
    return line
