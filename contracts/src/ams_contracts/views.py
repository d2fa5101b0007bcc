"""Tasks and steps as people and programs see them: REST answers and the records of ``ams.tasks.v1``.

Names are the same in SQL, Python, JSON and TypeScript. Times are microseconds UTC; ``cost_usd`` is a decimal string with
up to nine places, null when unknown.
"""

from typing import Literal

from msgspec import Struct

from ams_contracts.documents import CostSource, Failure, Status, StepType, Usage
from ams_contracts.fold import Progress, Stamp

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

    document: Stamp | None = None
    progress: Stamp | None = None


class Task(Struct, frozen=True, kw_only=True):
    """One task with its totals."""

    task_id: str
    name: str
    kind: str
    agent: str | None
    status: Status
    started_at_us: int | None
    ended_at_us: int | None
    duration_us: int | None
    steps: int
    errors: int
    running_steps: int
    waiting_steps: int
    lost_steps: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    unpriced_steps: int
    conversation_id: str | None
    user_id: str | None
    environment: str | None
    tags: dict[str, str]
    parent_task_id: str | None
    preview: str | None
    error: Failure | None
    last_event_at_us: int
    flags: list[str]


class Step(Struct, frozen=True, kw_only=True):
    """One step. ``status`` is the one to show; ``progress`` and ``stamps`` let a client fold frames into it."""

    task_id: str
    step_id: str
    parent_step_id: str | None
    type: StepType
    type_raw: str | None
    name: str
    span_name: str | None
    status: Status
    agent: str | None
    provider: str | None
    model_requested: str | None
    model: str | None
    started_at_us: int | None
    ended_at_us: int | None
    duration_us: int | None
    ttft_us: int | None
    seq: int
    usage: Usage | None
    counted: bool
    cost_usd: str | None
    cost_source: CostSource
    response_id: str | None
    finish_reasons: list[str]
    parameters: str | None
    tool_name: str | None
    tool_call_id: str | None
    error: Failure | None
    attempts: int
    preview_input: str | None
    preview_output: str | None
    captured: list[str]
    too_large: list[str]
    flags: list[str]
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
