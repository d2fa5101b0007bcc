"""What a public link shows: every field is either listed or hidden, and nothing of what is hidden is in the encoded record."""

from typing import Any

import msgspec
import pytest

from ams_contracts import codec
from ams_contracts.documents import Failure, Slot, Status, StepDocument, StepType, TaskDocument
from ams_contracts.events import (
    AgentRegistered,
    Batch,
    LogLine,
    OutputDelta,
    Producer,
    ProducerReported,
    ScoreRecorded,
    StepEnded,
    StepProgressed,
    StepScored,
    TaskDeleted,
    TaskStarted,
)
from ams_contracts.sharing import CONTENTS, HIDDEN, STRUCTURE, shared_batch
from ams_contracts.views import Step, Task

STEP = "a" * 16


@pytest.mark.parametrize("kind", [Step, Task, StepDocument, TaskDocument])
def test_every_field_is_listed_as_structure_contents_or_hidden(kind: Any) -> None:
    assert set(kind.__struct_fields__) <= STRUCTURE | CONTENTS | HIDDEN, "list the new field in ams_contracts.sharing"
    assert not STRUCTURE & CONTENTS
    assert not (STRUCTURE | CONTENTS) & HIDDEN


def _event(number: int) -> dict[str, Any]:
    return {"event_id": f"{number:032x}", "seq": number, "at_us": number}


def _batch() -> Batch:
    step = StepDocument(
        type=StepType.TOOL,
        name="fetch",
        status=Status.ERROR,
        tool_name="http_get",
        preview_input="CONTENT input",
        preview_output="CONTENT output",
        parameters='{"stop": "CONTENT"}',
        waiting_for="CONTENT question",
        tags={"customer": "CONTENT"},
        error=Failure(type="HTTPError", message="CONTENT message"),
        captured=[Slot.INPUT],
        user_id="SECRET person",
        conversation_id="SECRET conversation",
        run_id="SECRET run",
    )
    task = TaskDocument(name="trip", status=Status.RUNNING, preview="CONTENT asked", user_id="SECRET person", parent_task_id="b" * 32)
    return Batch(
        v=1,
        project_id="01900000-0000-7000-8000-000000000001",
        task_id="c" * 32,
        producer=Producer(sdk="ams", instance_id="SECRET instance", host="SECRET host"),
        events=[
            TaskStarted(**_event(1), task=task),
            StepEnded(**_event(2), step_id=STEP, step=step),
            StepProgressed(
                **_event(3),
                deltas=[OutputDelta(step_id=STEP, index=0, text="CONTENT piece")],
                logs=[LogLine(step_id=STEP, text="CONTENT line")],
            ),
            ScoreRecorded(**_event(4), score_id="SECRET", name="SECRET", comment="SECRET", source="human", author="SECRET"),
            StepScored(**_event(5), step_id=STEP, name="SECRET", source="code"),
            AgentRegistered(**_event(6), name="SECRET"),
            ProducerReported(**_event(7), dropped={"SECRET": 1}),
            TaskDeleted(**_event(8), by="SECRET"),
        ],
    )


@pytest.mark.parametrize("payloads", [True, False])
def test_a_record_for_visitors_has_no_people_scores_or_machines_and_contents_only_when_shared(payloads: bool) -> None:
    shown = codec.encode(shared_batch(_batch(), payloads=payloads))

    assert b"SECRET" not in shown
    assert shown.count(b"CONTENT") == (9 if payloads else 0)
    for structure in (b"fetch", b"http_get", b"HTTPError", b"trip"):
        assert structure in shown
    kinds = [event["kind"] for event in msgspec.json.decode(shown)["events"]]
    assert kinds == ["task.started", "step.ended", "step.progressed", "task.deleted"]
