"""Exports of a task: what each format holds, and what an export leaves out."""

import base64
import hashlib

import msgspec
import pytest

from ams_contracts.archive import ArchiveEvents, ArchiveLine, ArchiveTask
from ams_contracts.documents import Status, StepType, Usage
from ams_contracts.events import LogLine, MediaStored, OpenStep, PayloadStored, ScoreRecorded, StepProgressed, StepRecorded, StepStarted
from ams_contracts.tables import media, scores, step_logs, task_media
from ams_kit.errors import UnavailableError
from ams_trace_query.export.limits import EXPORTS_MAX, SECONDS_MAX, STALLED_SECONDS, ExportSlots

T0 = 1_782_000_000_000_000
PICTURE = b"\x89PNG\r\n\x1a\n picture"
ORIGINAL = {
    "name": "chat gpt-4o",
    "kind": 3,
    "start_ns": T0 * 1_000 + 7,
    "end_ns": T0 * 1_000 + 9,
    "attributes": {"http.host": "api", "n": 3, "list": ["a", 1.5, True]},
    "events": [{"name": "note", "time_ns": 5, "attributes": {"k": "v"}}],
    "links": [],
    "scope": {"name": "openllmetry", "version": "1"},
    "resource": {"attributes": {"service.name": "shop"}},
}
MESSAGES = '[{"role":"user","content":[{"type":"text","text":"hi"}]}]'
_line = msgspec.json.Decoder(ArchiveLine)


async def lines(project, path: str) -> list[bytes]:
    """The lines of an export."""
    answer = await project.answer(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.content.endswith(b"\n")
    return answer.content.splitlines()


async def archive(project, task_id: str, options: str = "") -> list:
    """The lines of an archive, decoded strictly."""
    return [_line.decode(line) for line in await lines(project, f"tasks/{task_id}/export?format=ams{options}")]


def events_of(found: list) -> list:
    return [event for line in found if isinstance(line, ArchiveEvents) for event in line.events]


async def a_call(store, **values) -> tuple[str, str]:
    """A task with one call that has everything."""
    task_id = await store.task(steps=1, name="trip")
    step_id = await store.step(
        task_id,
        provider="openai",
        model="gpt-4o",
        cost_nusd=2_100_000,
        cost_source="computed",
        ended_at_us=T0 + 500,
        duration_us=500,
        tags={"tier": "gold"},
        rest={"usage": {"input": 10, "output": 4}, "captured": ["input", "output"]},
        **values,
    )
    await store.payload(task_id, step_id, "input", MESSAGES, mime="application/vnd.ams.messages+json")
    await store.payload(task_id, step_id, "output", "hello é", truncated=True, bytes=900)
    await store.payload(task_id, step_id, "original", msgspec.json.encode(ORIGINAL).decode(), mime="application/json", event_id="c" * 32)
    return task_id, step_id


async def test_an_archive_holds_the_events_that_the_rows_were_folded_from(ada, store) -> None:
    task_id, step_id = await a_call(store)

    header, task, *found, end = await archive(ada, task_id)

    assert (header.v, header.tasks, header.steps, header.payloads) == (1, 1, 1, True)
    assert (task.task_id, task.name, task.steps) == (task_id, "trip", 1)
    events = events_of(found)
    (recorded,) = [event for event in events if isinstance(event, StepRecorded)]
    assert (recorded.event_id, recorded.at_us, recorded.seq, recorded.step_id) == ("e" * 32, T0 + 500, 0, step_id)
    document = recorded.step
    assert (document.type, document.name, document.status, document.cost_nusd) == (StepType.LLM, "draft", Status.OK, 2_100_000)
    assert (document.usage, document.tags, document.seq) == (Usage(input=10, output=4), {"tier": "gold"}, 1)
    payloads = {event.slot: event for event in events if isinstance(event, PayloadStored)}
    assert (payloads["input"].text, payloads["input"].mime) == (MESSAGES, "application/vnd.ams.messages+json")
    assert (payloads["output"].text, payloads["output"].bytes, payloads["output"].truncated) == ("hello é", 900, True)
    assert (end.tasks, end.steps, end.events) == (1, 1, len(events))


async def test_the_original_of_an_archive_has_an_id_that_no_replay_takes_for_a_whole_span(ada, store) -> None:
    task_id, _ = await a_call(store)

    found = {event.slot: event.event_id for event in events_of(await archive(ada, task_id)) if isinstance(event, PayloadStored)}

    assert found["input"] == "f" * 32
    assert found["original"] == "0" * 8 + "c" * 24


async def test_a_lost_step_is_archived_as_open_since_its_last_beat(ada, store) -> None:
    task_id = await store.task()
    lost = {"progress_phase": 1, "progress_at_us": T0 + 8, "progress_seq": 0, "progress_event_id": "d" * 32, "last_beat_us": T0 + 7}
    step_id = await store.step(task_id, status="lost", document_status="running", stamp_phase=0, progress_status="lost", **lost)

    started, beat = events_of(await archive(ada, task_id))

    assert isinstance(started, StepStarted)
    assert beat == StepProgressed(event_id="d" * 32, seq=0, at_us=T0 + 7, steps=[OpenStep(step_id=step_id)])


async def test_log_lines_scores_and_media_are_archived(ada, store) -> None:
    task_id, step_id = await a_call(store)
    mine = {"project_id": store.project_id, "task_id": task_id}
    for place, text in enumerate(("one", "two")):
        line = {"step_id": step_id, "at_us": T0, "event_id": "a" * 32, "place": place, "level": "info", "text": text}
        await store.insert(step_logs, **mine, **line)
    score = {"score_id": "s1", "at_us": T0, "seq": 1, "event_id": "b" * 32, "name": "quality", "number": 0.5, "source": "human"}
    await store.insert(scores, **mine, **score, removed=False)
    await store.insert(scores, **mine, **{**score, "score_id": "s2"}, removed=True)
    digest = hashlib.sha256(PICTURE).hexdigest()
    await store.insert(media, project_id=store.project_id, sha256=digest, mime="image/png", bytes=len(PICTURE), data=PICTURE)
    await store.insert(task_media, **mine, sha256=digest, day=(await _day(store, task_id)))

    events = events_of(await archive(ada, task_id))

    assert [event.logs for event in events if isinstance(event, StepProgressed)] == [
        [LogLine(step_id=step_id, text="one"), LogLine(step_id=step_id, text="two")]
    ]
    assert [(event.score_id, event.number) for event in events if isinstance(event, ScoreRecorded)] == [("s1", 0.5)]
    assert [(event.sha256, event.data) for event in events if isinstance(event, MediaStored)] == [(digest, PICTURE)]
    raw = b"".join(await lines(ada, f"tasks/{task_id}/export"))
    assert base64.b64encode(PICTURE) in raw


async def _day(store, task_id: str):
    return await store._connection.fetchval("SELECT day FROM g1.tasks WHERE task_id = $1", task_id)


async def test_more_steps_and_text_than_one_portion_come_in_order(ada, store) -> None:
    task_id = await store.task(steps=450)
    for number in range(450):
        step_id = await store.step(task_id, started_at_us=T0 + number // 3 if number < 440 else None, seq=number, name=f"n{number}")
        if number < 20:
            await store.payload(task_id, step_id, "input", "x" * 200_000)

    found = await archive(ada, task_id)

    names = [event.step.name for event in events_of(found) if isinstance(event, StepRecorded)]
    assert names == [f"n{number}" for number in range(450)]
    assert sum(isinstance(event, PayloadStored) for event in events_of(found)) == 20
    assert found[-1].steps == 450


@pytest.mark.parametrize("export_format", ["ams", "jsonl", "otlp"])
async def test_payloads_can_be_left_out(ada, store, export_format: str) -> None:
    task_id, _ = await a_call(store)

    raw = b"\n".join(await lines(ada, f"tasks/{task_id}/export?format={export_format}&payloads=false"))

    assert b"hello" not in raw
    assert b"http.host" not in raw
    assert b"draft" in raw


async def test_json_lines_are_the_rows_of_the_api(ada, store) -> None:
    task_id, step_id = await a_call(store)

    found = [msgspec.json.decode(line) for line in await lines(ada, f"tasks/{task_id}/export?format=jsonl")]

    assert [line["kind"] for line in found] == ["task", "step", "end"]
    answer = await ada.get(f"tasks/{task_id}/steps/{step_id}")
    assert found[0]["task"] == (await ada.get(f"tasks/{task_id}"))["task"]
    assert found[1]["step"] == answer["step"]
    assert found[1]["payloads"] == answer["payloads"]
    assert found[2] == {"kind": "end", "tasks": 1, "steps": 1}


async def test_otlp_has_the_conventions_names_and_what_remained_of_the_span(ada, store) -> None:
    task_id, step_id = await a_call(store, parent_step_id="b" * 16)

    (line,) = await lines(ada, f"tasks/{task_id}/export?format=otlp")

    (group,) = msgspec.json.decode(line)["resourceSpans"]
    assert group["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "shop"}}]
    (scoped,) = group["scopeSpans"]
    assert scoped["scope"] == {"name": "openllmetry", "version": "1"}
    (span,) = scoped["spans"]
    assert (span["traceId"], span["spanId"], span["parentSpanId"]) == (task_id, step_id, "b" * 16)
    assert (span["name"], span["kind"], span["startTimeUnixNano"]) == ("chat gpt-4o", 3, str(T0 * 1_000 + 7))
    attributes = {item["key"]: item["value"] for item in span["attributes"]}
    assert attributes["gen_ai.operation.name"] == {"stringValue": "chat"}
    assert attributes["gen_ai.usage.input_tokens"] == {"intValue": "10"}
    assert attributes["gen_ai.usage.cost"] == {"doubleValue": 0.0021}
    assert attributes["ams.tag.tier"] == {"stringValue": "gold"}
    assert attributes["gen_ai.input.messages"] == {"stringValue": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'}
    assert attributes["output.value"] == {"stringValue": "hello é"}
    assert attributes["list"] == {"arrayValue": {"values": [{"stringValue": "a"}, {"doubleValue": 1.5}, {"boolValue": True}]}}
    assert span["events"] == [{"name": "note", "timeUnixNano": "5", "attributes": [{"key": "k", "value": {"stringValue": "v"}}]}]


async def test_a_failed_step_without_an_original_is_a_span_with_an_exception(ada, store) -> None:
    task_id = await store.task(steps=1)
    step_id = await store.step(
        task_id, type="tool", status="error", document_status="error", error_type="LookupError", error_message="no", ended_at_us=T0 + 3
    )
    await store.payload(task_id, step_id, "error_stack", "Traceback ...")
    await store.payload(task_id, step_id, "original", '{"cut', truncated=True)

    (line,) = await lines(ada, f"tasks/{task_id}/export?format=otlp")

    (span,) = msgspec.json.decode(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["status"] == {"code": 2, "message": "no"}
    (event,) = span["events"]
    assert event["name"] == "exception"
    assert {item["key"]: item["value"]["stringValue"] for item in event["attributes"]} == {
        "exception.type": "LookupError",
        "exception.message": "no",
        "exception.stacktrace": "Traceback ...",
    }


async def test_a_file_is_named_and_announces_its_steps(ada, store) -> None:
    task_id, _ = await a_call(store)

    answer = await ada.answer(f"tasks/{task_id}/export?format=otlp")

    assert answer.headers["content-disposition"] == f'attachment; filename="task-{task_id[:8]}.otlp.jsonl"'
    assert (answer.headers["ams-export-steps"], answer.headers["ams-export-tasks"]) == ("1", "1")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("options", "code"), [("format=xml", "bad_format"), ("payloads=maybe", "bad_payloads"), ("what=1", "unknown_parameter")]
)
async def test_wrong_options_are_refused(ada, store, options: str, code: str) -> None:
    task_id = await store.task()

    problem = await ada.problem(f"tasks/{task_id}/export?{options}")

    assert (problem["status"], problem["code"]) == (400, code)


async def test_a_selection_is_one_file(ada, store) -> None:
    first, _ = await a_call(store)
    second = await store.task(steps=0, name="other", status="error", started_at_us=T0 + 5)
    await store.task(steps=0, name="third")

    header, *found, end = [_line.decode(line) for line in await lines(ada, f"export?task_id={first},{second}")]
    by_query = [_line.decode(line) for line in await lines(ada, "export?q=status:error")]

    assert (header.tasks, header.steps, end.tasks, end.steps) == (2, 1, 2, 1)
    assert [line.task_id for line in found if isinstance(line, ArchiveTask)] == [second, first]
    assert [line.task_id for line in by_query if isinstance(line, ArchiveTask)] == [second]


async def test_an_empty_selection_is_a_complete_file(ada) -> None:
    header, end = [_line.decode(line) for line in await lines(ada, "export?q=name:nothing")]

    assert (header.tasks, end.tasks) == (0, 0)


async def test_a_selection_with_a_task_of_another_project_is_not_found(ada, store, foreign) -> None:
    mine, theirs = await store.task(), await foreign.task()

    problem = await ada.problem(f"export?task_id={mine},{theirs}")

    assert (problem["status"], problem["code"]) == (404, "task_not_found")


async def test_ids_and_a_filter_do_not_combine(ada, store) -> None:
    problem = await ada.problem(f"export?task_id={await store.task()}&q=x")

    assert (problem["status"], problem["code"]) == (400, "bad_selection")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_exports_are_bounded_and_stalled_ones_do_not_count() -> None:
    clock = Clock()
    slots = ExportSlots(clock)
    running = [slots.slot() for _ in range(EXPORTS_MAX)]
    exports = [slot.__enter__() for slot in running]

    with pytest.raises(UnavailableError), slots.slot():
        pass

    clock.now = STALLED_SECONDS
    exports[0].moved()
    with slots.slot():
        pass
    for slot in running:
        slot.__exit__(None, None, None)
    clock.now = SECONDS_MAX + 1
    with pytest.raises(UnavailableError, match="at most 3600 seconds"):
        exports[0].moved()
