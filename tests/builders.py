"""Events, batches and records for the tests, with ids that read as numbers."""

from typing import Any

from ams_contracts.codec import encode
from ams_contracts.documents import Status, StepDocument, StepType, TaskDocument, Usage
from ams_contracts.events import (
    Batch,
    Event,
    LogLine,
    OpenStep,
    Producer,
    StepEnded,
    StepProgressed,
    StepRecorded,
    StepStarted,
    TaskEnded,
    TaskStarted,
)
from ams_contracts.topics import STEPS, task_key
from ams_kit.bus import LogRecord

PROJECT = "01900000-0000-7000-8000-000000000001"
BASE_US = 1_790_000_000_000_000
BASE_MS = BASE_US // 1_000
NATIVE = Producer(sdk="ams-python", version="1", instance_id="p1", host="h")
OTLP = Producer(sdk="otlp", instance_id="otlp")


def task_id(number: int) -> str:
    return f"a{number:031x}"  # zero is no id


def step_id(number: int) -> str:
    return f"{number:016x}"


def document(**changes: Any) -> StepDocument:
    given: dict[str, Any] = {"type": StepType.SPAN, "name": "work", "status": Status.OK, "started_at_us": BASE_US, **changes}
    if isinstance(given.get("parent_step_id"), int):
        given["parent_step_id"] = step_id(given["parent_step_id"])
    return StepDocument(**given)


def llm(tokens: int, **changes: Any) -> StepDocument:
    return document(
        **{
            "type": StepType.LLM,
            "name": "chat",
            "usage": Usage(input=tokens, output=tokens // 2),
            "cost_nusd": tokens * 10,
            "ended_at_us": BASE_US + 50,
            **changes,
        }
    )


def _event_id(*parts: object) -> str:
    return f"{hash(parts) & (2**128 - 1):032x}"


def recorded(step: int, doc: StepDocument, *, at_us: int = BASE_US + 100, seq: int = 0, event_id: str | None = None) -> StepRecorded:
    return StepRecorded(
        event_id=event_id or f"{step:016x}{at_us - BASE_US:08x}{seq:08x}", seq=seq, at_us=at_us, step_id=step_id(step), step=doc
    )


def started(step: int, doc: StepDocument, *, seq: int, at_us: int = BASE_US) -> StepStarted:
    return StepStarted(event_id=f"a{step:015x}{seq:016x}", seq=seq, at_us=at_us, step_id=step_id(step), step=doc)


def ended(step: int, doc: StepDocument, *, seq: int, at_us: int = BASE_US + 100) -> StepEnded:
    return StepEnded(event_id=f"b{step:015x}{seq:016x}", seq=seq, at_us=at_us, step_id=step_id(step), step=doc)


def beat(*steps: int, seq: int, at_us: int, status: str = "running") -> StepProgressed:
    return StepProgressed(
        event_id=f"c{seq:031x}", seq=seq, at_us=at_us, steps=[OpenStep(step_id=step_id(step), status=status) for step in steps]
    )


def logged(step: int, *texts: str, seq: int, at_us: int) -> StepProgressed:
    lines = [LogLine(step_id=step_id(step), text=text) for text in texts]
    return StepProgressed(event_id=_event_id("logged", step, seq, at_us), seq=seq, at_us=at_us, logs=lines)


def task_started(doc: TaskDocument, *, seq: int = 1, at_us: int = BASE_US) -> TaskStarted:
    return TaskStarted(event_id=f"d{seq:031x}", seq=seq, at_us=at_us, task=doc)


def task_ended(doc: TaskDocument, *, seq: int = 99, at_us: int = BASE_US + 1_000) -> TaskEnded:
    return TaskEnded(event_id=f"e{seq:031x}", seq=seq, at_us=at_us, task=doc)


def batch(task: int | None, *events: Event, producer: Producer = OTLP, project: str = PROJECT) -> Batch:
    return Batch(v=1, project_id=project, task_id=None if task is None else task_id(task), producer=producer, events=list(events))


def record(
    offset: int, value: Batch | bytes | None, *, partition: int = 0, timestamp_ms: int = BASE_MS, topic: str = STEPS.name
) -> LogRecord:
    key = task_key(value.project_id, value.task_id or "") if isinstance(value, Batch) else None
    data = encode(value) if isinstance(value, Batch) else value
    return LogRecord(
        topic=topic, partition=partition, offset=offset, key=key, value=data, headers=(("v", b"1"),), timestamp_ms=timestamp_ms
    )


def records(*values: Batch | bytes | None, first: int = 0, partition: int = 0) -> list[LogRecord]:
    return [record(first + index, value, partition=partition) for index, value in enumerate(values)]
