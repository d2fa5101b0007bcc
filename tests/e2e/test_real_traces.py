"""Real third-party traces through the whole platform: what the query API answers is what ``expected.json`` says, posted once or twice."""

import gzip
from collections import Counter
from typing import Any

import pytest
from tests import reference
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

JSON = {"Content-Type": "application/json"}
PROTOBUF_GZIP = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
SUMS = ("errors", "input_tokens", "output_tokens")


@pytest.fixture(scope="module")
def account(platform: Platform) -> Account:
    return Account(platform.url)


def answers(project: Project) -> dict[str, Any]:
    tasks = [
        *project.items("tasks"),
        *project.items("tasks", q="duplicate:true"),
    ]  # a task that only repeats calls of another one is left out of the list
    types = Counter(step["type"] for task in tasks for step in project.items(f"tasks/{task['task_id']}/steps"))
    sums = {name: sum(task[name] for task in tasks) for name in SUMS}
    return {"tasks": len(tasks), "steps": types.total(), "types": dict(sorted(types.items())), **sums}


def total(names: list[str]) -> dict[str, Any]:
    rows = [reference.expected(name) for name in names]
    types: Counter[str] = Counter()
    for row in rows:
        types.update(row["types"])
    return {name: sum(row[name] for row in rows) for name in ("tasks", "steps", *SUMS)} | {"types": dict(sorted(types.items()))}


@pytest.mark.parametrize("encoding", ["json", "protobuf, gzipped"])
@pytest.mark.parametrize("name", reference.NAMES)
def test_a_real_trace_posted_twice_answers_its_true_sums(account: Account, name: str, encoding: str) -> None:
    project = account.project(name)
    body = reference.as_json(name)
    body, headers = (body, JSON) if encoding == "json" else (gzip.compress(reference.to_protobuf(body)), PROTOBUF_GZIP)

    posted = [project.post("/v1/traces", body, **headers) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in posted] == [(200, b"{}" if encoding == "json" else b"")] * 2
    expected = total([name])
    assert eventually(lambda: answers(project), lambda found: found == expected) == expected


def test_all_of_them_in_one_project_count_each_token_once(account: Account) -> None:
    project = account.project("all")

    for name in reference.NAMES:
        project.post("/v1/traces", reference.as_json(name), **JSON).raise_for_status()

    expected = total(reference.NAMES)
    assert eventually(lambda: answers(project), lambda found: found == expected) == expected


@pytest.mark.parametrize("path", reference.FOREIGN, ids=lambda path: path.stem)
def test_a_trace_that_knows_no_agents_is_taken_as_well(account: Account, path: Any) -> None:
    project = account.project(path.stem)

    answer = project.post("/v1/traces", path.read_bytes(), **JSON)

    assert answer.status_code in {200, 400}
    if answer.status_code == 200 and "rejectedSpans" not in answer.json().get("partialSuccess", {}):
        assert eventually(lambda: answers(project), lambda found: found["steps"] > 0)["steps"] > 0


def test_another_persons_project_is_not_found(account: Account, platform: Platform) -> None:
    project = account.project("mine")
    project.post("/v1/traces", reference.as_json("langfuse_sdk"), **JSON).raise_for_status()
    (task,) = eventually(lambda: list(project.items("tasks")), bool)
    stranger = Account(platform.url).http
    base = f"/api/traces/{project.id}"

    reads = [
        f"{base}/tasks",
        f"{base}/tasks/{task['task_id']}",
        f"{base}/tasks/{task['task_id']}/skeleton",
        f"{base}/steps",
        f"{base}/agents",
    ]
    answers = [stranger.get(path) for path in [*reads, f"/api/ingest/{project.id}/dead-letters", f"/api/projects/{project.id}/keys"]]
    deleted = stranger.delete(f"/api/ingest/{project.id}/tasks/{task['task_id']}")

    assert {answer.status_code for answer in [*answers, deleted]} == {404}


def test_a_deleted_task_is_removed_when_the_answer_arrives_and_stays_removed(account: Account) -> None:
    project = account.project("short lived")
    body = reference.as_json("langfuse_sdk")
    project.post("/v1/traces", body, **JSON).raise_for_status()
    (task,) = eventually(lambda: list(project.items("tasks")), bool)

    answer = project.http.delete(f"/api/ingest/{project.id}/tasks/{task['task_id']}")
    left = list(project.items("tasks"))
    project.post("/v1/traces", body, **JSON).raise_for_status()
    project.post("/v1/traces", reference.as_json("logfire_pending_spans"), **JSON).raise_for_status()
    later = eventually(lambda: list(project.items("tasks")), bool)

    assert (answer.status_code, left) == (204, [])
    assert task["task_id"] not in {one["task_id"] for one in later}
