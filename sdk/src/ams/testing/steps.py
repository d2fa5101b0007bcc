"""Events as steps that a test can read: values instead of payloads, dollars instead of nano-USD."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ams_contracts.documents import Slot, StepDocument, Usage
from ams_contracts.events import Event, LogLine, PayloadStored, StepEnded, StepProgressed, StepRecorded, StepStarted

_NUSD_PER_USD = 1_000_000_000


@dataclass(slots=True)
class RecordedStep:
    """A step as it was when it was read.

    Attributes:
        id: 16 hex digits.
        task_id: 32 hex digits.
        parent_id: Of the step or span around it, None for a root.
        name: As in the explorer.
        type: A step type such as ``tool`` or ``llm``.
        status: ``running``, ``waiting``, ``ok``, ``error`` or ``cancelled``.
        agent: Whose step it is.
        model: The model that answered, else the one that was asked.
        input: What went in, decoded from JSON; a text that is none, or that was truncated, as text; None when nothing was captured.
        output: What came out, likewise.
        error_type: The class of the exception.
        error_message: Its text.
        error_stack: Its stack, of the innermost step alone.
        started_at_us: When it started, in microseconds since 1970.
        logs: Log lines, each with ``level`` and ``text``.
        attributes: Everything else that the code has set.
        usage: Tokens by kind, None when none were reported.
        cost_usd: The reported cost, None when none was.
        duration_seconds: None while it is open.
    """

    id: str
    task_id: str
    parent_id: str | None
    name: str
    type: str
    status: str
    agent: str | None
    model: str | None
    usage: Usage | None
    cost_usd: float | None
    duration_seconds: float | None
    error_type: str | None
    error_message: str | None
    error_stack: str | None = None
    input: Any = None
    output: Any = None
    started_at_us: int = 0
    logs: list[LogLine] = field(default_factory=list[LogLine])
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def ok(self) -> bool:
        """It ended without an error."""
        return self.status == "ok"

    @property
    def failed(self) -> bool:
        """It ended with an error."""
        return self.status == "error"

    @property
    def tokens(self) -> int | None:
        """Input and output together, None when neither was reported."""
        if self.usage is None or (self.usage.input is None and self.usage.output is None):
            return None
        return (self.usage.input or 0) + (self.usage.output or 0)

    @property
    def title(self) -> str:
        """Name, type, and what is unusual about its end, in a line."""
        ending = "" if self.ok else f" {self.status}"
        if self.error_type is not None:
            ending += f": {self.error_type}" + (f": {self.error_message}" if self.error_message else "")
        return " ".join(f"{self.name} [{self.type}]{ending}".split())


def steps_of(events: Iterable[tuple[str | None, Event]]) -> list[RecordedStep]:
    """The latest state of each step, in the order of their starts."""
    documents: dict[str, tuple[str, StepDocument]] = {}
    payloads: dict[tuple[str, str], PayloadStored] = {}
    logs: dict[str, list[LogLine]] = {}
    for task_id, event in events:
        if isinstance(event, StepStarted | StepEnded | StepRecorded):
            documents[event.step_id] = (task_id or "", event.step)
        elif isinstance(event, PayloadStored):
            payloads[event.step_id, event.slot] = event
        elif isinstance(event, StepProgressed):
            for line in event.logs:
                logs.setdefault(line.step_id, []).append(line)
    steps = [_step(step_id, task_id, document) for step_id, (task_id, document) in documents.items()]
    for step in steps:
        step.input = _value(payloads.get((step.id, Slot.INPUT)))
        step.output = _value(payloads.get((step.id, Slot.OUTPUT)))
        step.error_stack = _value(payloads.get((step.id, Slot.ERROR_STACK)))
        step.attributes = (_value(payloads.get((step.id, Slot.ORIGINAL))) or {}).get("attributes", {})
        step.logs = logs.get(step.id, [])
    return steps


def _step(step_id: str, task_id: str, document: StepDocument) -> RecordedStep:
    error = document.error
    return RecordedStep(
        id=step_id,
        task_id=task_id,
        parent_id=document.parent_step_id,
        name=document.name,
        type=str(document.type),
        status=str(document.status),
        agent=document.agent,
        model=document.model or document.model_requested,
        usage=document.usage,
        cost_usd=document.cost_nusd / _NUSD_PER_USD if document.cost_nusd is not None else None,
        duration_seconds=document.duration_us / 1e6 if document.duration_us is not None else None,
        error_type=error.type if error is not None else None,
        error_message=error.message if error is not None else None,
        started_at_us=document.started_at_us or 0,
    )


def _value(payload: PayloadStored | None) -> Any:
    if payload is None or payload.truncated or not payload.mime.endswith("json"):
        return payload.text if payload is not None else None
    return msgspec.json.decode(payload.text)
