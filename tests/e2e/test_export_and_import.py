"""What was exported and imported again is the same task: tree, payloads, tokens, cost, scores and log lines, over the whole platform."""

import base64
import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

TRACES = sorted((Path(__file__).parents[1] / "traces").glob("*.json*"))
LINES = {"Content-Type": "application/x-ndjson"}
PICTURE = b"\x89PNG\r\n\x1a\n to be taken elsewhere"
# what depends on when and where a task is stored, not on what it is
OF_THE_PLACE = {"first_offset", "end_offset", "sort_at_us", "position"}


@pytest.fixture
def project(platform: Platform) -> Project:
    return Account(platform.url).project("source")


def spans(task: str) -> bytes:
    """A run with a model call that shows a picture, a failed tool, and a step that is still open."""
    prompt = json.dumps(
        [
            {"role": "user", "parts": [{"type": "text", "content": "What is this?"}]},
            {"role": "user", "parts": [{"type": "blob", "mime_type": "image/png", "content": base64.b64encode(PICTURE).decode()}]},
        ]
    )
    root, call, tool = (os.urandom(8).hex() for _ in range(3))

    def attributes(**values: Any) -> list[dict[str, Any]]:
        return [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]

    return hostile_posts.request(
        hostile_posts.span(
            task,
            spanId=root,
            name="run",
            attributes=attributes(gen_ai__operation__name={"stringValue": "invoke_agent"}, own={"intValue": "7"}),
        ),
        hostile_posts.span(
            task,
            spanId=call,
            parentSpanId=root,
            name="chat",
            attributes=attributes(
                gen_ai__operation__name={"stringValue": "chat"},
                gen_ai__provider__name={"stringValue": "openai"},
                gen_ai__request__model={"stringValue": "gpt-4o-mini"},
                gen_ai__response__id={"stringValue": f"chatcmpl-{os.urandom(6).hex()}"},
                gen_ai__usage__input_tokens={"intValue": "1000"},
                gen_ai__usage__output_tokens={"intValue": "100"},
                gen_ai__input__messages={"stringValue": prompt},
            ),
        ),
        hostile_posts.span(
            task,
            spanId=tool,
            parentSpanId=root,
            name="execute_tool lookup",
            status={"code": 2, "message": "no such city"},
            attributes=attributes(gen_ai__operation__name={"stringValue": "execute_tool"}, gen_ai__tool__name={"stringValue": "lookup"}),
        ),
    )


def state_of(project: Project, task: str) -> dict[str, Any]:
    """Everything that people see of a task, without what depends on the place."""
    answer = project.get(f"tasks/{task}")
    steps: dict[str, Any] = {}
    for step in project.items(f"tasks/{task}/steps"):
        whole = project.get(f"tasks/{task}/steps/{step['step_id']}")
        step["stamps"] = [stamp and [stamp[0], stamp[1], stamp[3]] for stamp in step["stamps"].values()]
        steps[step["step_id"]] = (
            {name: value for name, value in step.items() if name not in OF_THE_PLACE},
            whole["payloads"],
        )
    scores = list(project.items(f"tasks/{task}/scores"))
    return {
        "task": {name: value for name, value in answer["task"].items() if name not in OF_THE_PLACE},
        "steps": steps,
        "scores": scores,
    }


def settled(project: Project, task: str, steps: int) -> dict[str, Any]:
    """The task when all of its steps and payloads are there and nothing changes any more."""

    def is_here() -> bool:
        answer = project.http.get(f"/api/traces/{project.id}/tasks/{task}")
        if answer.status_code != 200 or answer.json()["task"]["steps"] < steps:
            return False
        found = state_of(project, task)
        return not any(payload["absent"] == "not_here_yet" for _, payloads in found["steps"].values() for payload in payloads)

    assert eventually(is_here, bool)
    last = state_of(project, task)
    return eventually(lambda: state_of(project, task), lambda now: now == last)


def export(project: Project, task: str, export_format: str = "ams") -> bytes:
    return project.http.get(f"/api/traces/{project.id}/tasks/{task}/export?format={export_format}").raise_for_status().content


def sent(platform: Platform, project: Project) -> tuple[str, dict[str, Any]]:
    task = hostile_posts.trace_id()
    project.post("/v1/traces", spans(task), **{"Content-Type": "application/json"}).raise_for_status()
    score = {"score_id": "s", "event_id": os.urandom(16).hex(), "seq": 0, "at_us": 1_790_000_000_000_000, "kind": "score.recorded"}
    body = {
        "v": 1,
        "batches": [
            {
                "task_id": task,
                "producer": {"sdk": "t", "instance_id": "t"},
                "events": [{**score, "name": "good", "number": 0.5, "source": "code"}],
            }
        ],
    }
    project.post("/v1/batches", json.dumps(body).encode(), **{"Content-Type": "application/json"}).raise_for_status()
    eventually(lambda: project.get(f"tasks/{task}/scores")["items"] if settled(project, task, 3) else [], bool)
    return task, settled(project, task, 3)


def test_a_task_is_the_same_in_another_project(platform: Platform, project: Project) -> None:
    task, before = sent(platform, project)
    file = export(project, task)
    other = Account(platform.url).project("target")

    answer = other.post("/v1/import", gzip.compress(file), **LINES, **{"Content-Encoding": "gzip"}).raise_for_status().json()

    assert (answer["rejected"], answer["faults"], answer["tasks"], answer["ended"]) == (0, [], [task], True)
    assert settled(other, task, 3) == before
    assert before["task"]["cost_usd"] is not None
    assert before["task"]["input_tokens"] == 1000
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert eventually(lambda: other.http.get(f"/api/traces/{other.id}/media/{digest}").content, lambda got: got == PICTURE) == PICTURE
    # a second export holds the same events
    again = export(other, task)
    assert again.splitlines()[1:] == file.splitlines()[1:]


def test_importing_into_the_project_that_has_the_task_changes_nothing(platform: Platform, project: Project) -> None:
    task, before = sent(platform, project)

    answer = project.http.post(f"/api/ingest/{project.id}/import", content=export(project, task), headers=LINES).raise_for_status().json()
    marker = hostile_posts.trace_id()
    project.post("/v1/traces", spans(marker), **{"Content-Type": "application/json"}).raise_for_status()
    settled(project, marker, 3)

    assert answer["rejected"] == 0
    assert settled(project, task, 3) == before


def test_a_copy_counts_beside_its_original_and_a_deleted_task_comes_back_only_as_a_copy(platform: Platform, project: Project) -> None:
    task, before = sent(platform, project)
    file = export(project, task)

    copied = project.http.post(f"/api/ingest/{project.id}/import?copy_as=abcdefgh", content=file, headers=LINES).raise_for_status().json()
    (copy,) = copied["tasks"]
    after = settled(project, copy, 3)

    assert copy != task
    for name in ("input_tokens", "output_tokens", "cost_usd", "errors", "name", "agent", "duplicate_of"):
        assert after["task"][name] == before["task"][name], name
    project.http.delete(f"/api/ingest/{project.id}/tasks/{task}").raise_for_status()
    refused = project.http.post(f"/api/ingest/{project.id}/import", content=file, headers=LINES).raise_for_status().json()
    assert [(fault["line"], fault["code"]) for fault in refused["faults"]] == [(2, "task_deleted")]
    assert (refused["rejected"], refused["tasks"]) == (1, [])


def test_exported_spans_are_the_same_steps_again(platform: Platform, project: Project) -> None:
    task, before = sent(platform, project)
    other = Account(platform.url).project("target")

    for line in export(project, task, "otlp").splitlines():
        other.post("/v1/traces", line, **{"Content-Type": "application/json"}).raise_for_status()

    after = settled(other, task, 3)
    for name in (
        "name",
        "agent",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "errors",
        "steps",
        "started_at_us",
        "duration_us",
        "preview",
    ):
        assert after["task"][name] == before["task"][name], name
    for step_id, (step, payloads) in before["steps"].items():
        mapped, contents = after["steps"][step_id]
        for name in (
            "name",
            "type",
            "status",
            "parent_step_id",
            "usage",
            "model_requested",
            "response_id",
            "tool_name",
            "duration_us",
            "tags",
        ):
            assert mapped[name] == step[name], name
        shown = {payload["slot"]: payload["text"] for payload in contents}
        for payload in payloads:
            if payload["slot"] in {"input", "output"} and "media" not in (payload["text"] or ""):
                assert shown[payload["slot"]] == payload["text"]


@pytest.mark.parametrize("path", ["/v1/import", "/api/ingest/{project}/import"])
def test_faults_name_the_line_and_the_others_are_imported(platform: Platform, project: Project, path: str) -> None:
    task = hostile_posts.trace_id()
    good = {
        "kind": "step.recorded",
        "event_id": "1" * 32,
        "seq": 0,
        "at_us": 1,
        "step_id": "2" * 16,
        "step": {"type": "tool", "name": "n", "status": "ok"},
    }
    bad = {**good, "event_id": "3" * 32, "step": {"type": "nothing"}}
    lines = [
        json.dumps({"kind": "ams.archive", "v": 2, "exported_at_us": 1, "tasks": 1, "steps": 1, "payloads": True}),
        "{not json",
        json.dumps({"kind": "events", "task_id": task, "events": [good, bad]}),
        "",
        json.dumps({"kind": "step", "step": {}}),
        json.dumps({"what": 1}),
        json.dumps({"kind": "events", "task_id": "x", "events": []}),
        json.dumps({"resourceSpans": 7}),
    ]
    headers = LINES | {"Authorization": f"Bearer {project.key}" if path.startswith("/v1") else project.http.headers["Authorization"]}

    answer = httpx.post(platform.url + path.format(project=project.id), content="\n".join(lines), headers=headers).raise_for_status().json()

    assert [(fault["line"], fault["code"]) for fault in answer["faults"]] == [
        (1, "unsupported_version"),
        (2, "not_json"),
        (3, "invalid"),
        (5, "not_an_archive"),
        (6, "unknown_line"),
        (7, "invalid"),
        (8, "malformed_otlp"),
    ]
    assert answer["faults"][2]["event_id"] == "3" * 32
    assert (answer["accepted"], answer["rejected"], answer["lines"], answer["ended"]) == (1, 7, 7, False)
    assert eventually(lambda: project.http.get(f"/api/traces/{project.id}/tasks/{task}").status_code, lambda got: got == 200) == 200


def test_a_viewer_and_a_reading_key_import_nothing(platform: Platform, project: Project) -> None:
    viewer = Account(platform.url)
    project.http.post(f"/api/projects/{project.id}/members", json={"username": viewer.name, "role": "viewer"}).raise_for_status()
    reading = project.http.post(f"/api/projects/{project.id}/keys", json={"name": "r", "scopes": ["read"]}).raise_for_status().json()["key"]

    as_viewer = viewer.http.post(f"/api/ingest/{project.id}/import", content=b"{}", headers=LINES)
    as_reader = httpx.post(f"{platform.url}/v1/import", content=b"{}", headers=LINES | {"Authorization": f"Bearer {reading}"})

    assert (as_viewer.status_code, as_viewer.json()["code"]) == (403, "role_too_low")
    assert (as_reader.status_code, as_reader.json()["code"]) == (403, "scope_missing")


def test_what_is_no_part_of_a_file_is_refused(platform: Platform, project: Project) -> None:
    def status(body: bytes, query: str = "", **headers: str) -> tuple[int, str]:
        answer = project.post(f"/v1/import{query}", body, **(LINES | headers))
        return answer.status_code, answer.json()["code"]

    assert status(b"{}", **{"Content-Type": "text/html"})[0] == 415
    assert status(b"{}", "?copy_as=NO") == (400, "bad_copy")
    assert status(b" " * (16 * 1024 * 1024 + 1))[0] == 413


def test_an_import_over_the_quota_of_its_project_is_refused_and_into_another_project_not(platform: Platform) -> None:
    owner = Account(platform.url)
    full, other = owner.project(), owner.project("other")
    owner.http.patch(f"/api/projects/{full.id}", json={"bytes_per_day": 1}).raise_for_status()
    file = spans(hostile_posts.trace_id()) + b"\n"

    begun_below = owner.http.post(f"/api/ingest/{full.id}/import", content=file, headers=LINES)
    over = owner.http.post(f"/api/ingest/{full.id}/import", content=file, headers=LINES)
    elsewhere = owner.http.post(f"/api/ingest/{other.id}/import", content=file, headers=LINES)

    assert (begun_below.status_code, over.status_code, over.json()["code"], elsewhere.status_code) == (200, 429, "quota_bytes", 200)
    assert int(over.headers["Retry-After"]) > 0


def test_secrets_of_an_imported_file_are_masked_unless_its_project_switches_it_off(platform: Platform) -> None:
    owner = Account(platform.url)
    masked, exact = owner.project(), owner.project("exact")
    owner.http.patch(f"/api/projects/{exact.id}", json={"masking": False}).raise_for_status()
    task, text = hostile_posts.trace_id(), "use sk-abcdefghijklmnopqrstuvwx"
    file = hostile_posts.request(hostile_posts.span(task, attributes=[hostile_posts.text("input.value", text)])) + b"\n"

    for project in (masked, exact):
        owner.http.post(f"/api/ingest/{project.id}/import", content=file, headers=LINES).raise_for_status()

    def inputs(project: Project) -> list[str]:
        return [step["preview_input"] for step in project.items(f"tasks/{task}/steps")] if has(project) else []

    def has(project: Project) -> bool:
        return project.http.get(f"/api/traces/{project.id}/tasks/{task}").is_success

    assert eventually(lambda: inputs(exact), bool) == [text]
    assert text not in (eventually(lambda: inputs(masked), bool) or [text])
