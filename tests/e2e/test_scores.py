"""Scores over REST, against the complete platform: who may record, replace and remove them, and what readers see."""

import os
from typing import Any

import httpx
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Account:
    return Account(platform.url)


@pytest.fixture(scope="module")
def project(owner: Account) -> Project:
    return owner.project("scores")


@pytest.fixture
def task(project: Project) -> str:
    """A task with one step that readers see."""
    return a_task(project)


def a_task(project: Project) -> str:
    trace_id = hostile_posts.trace_id()
    body = hostile_posts.request(hostile_posts.span(trace_id, spanId=os.urandom(8).hex()))
    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()
    eventually(lambda: project.http.get(f"/api/traces/{project.id}/tasks/{trace_id}").status_code, lambda got: got == 200)
    return trace_id


def joined(platform: Platform, project: Project, role: str) -> Account:
    """Another person, with a role in the project."""
    account = Account(platform.url)
    project.http.post(f"/api/projects/{project.id}/members", json={"username": account.name, "role": role}).raise_for_status()
    return account


def post(http: httpx.Client, project: Project, **score: Any) -> httpx.Response:
    return http.post(f"/api/ingest/{project.id}/scores", json=score)


def remove(http: httpx.Client, project: Project, task: str, score_id: str) -> int:
    return http.delete(f"/api/ingest/{project.id}/tasks/{task}/scores/{score_id}").status_code


def program(project: Project) -> httpx.Client:
    return httpx.Client(base_url=project.http.base_url, headers={"Authorization": f"Bearer {project.key}"}, timeout=60)


def listed(project: Project, task: str) -> list[dict[str, Any]]:
    return project.get(f"tasks/{task}/scores")["items"]


def user_id(account: Account) -> str:
    user = account.http.get("/api/users/me").raise_for_status().json()
    return user.get("user", user)["user_id"]


def test_a_person_sees_their_score_at_once_and_replaces_it_by_its_id(platform: Platform, project: Project, task: str) -> None:
    member = joined(platform, project, "member")

    first = post(member.http, project, task_id=task, name="helpful", value=True, comment="did what I asked", score_id="mine")
    seen = listed(project, task)
    again = post(member.http, project, task_id=task, name="helpful", value=0.25, score_id=first.json()["score_id"])

    author = f"user:{user_id(member)}"
    assert (first.status_code, first.json()["visible"]) == (200, True)
    assert [(one["score_id"], one["number"], one["label"], one["comment"], one["source"], one["author"]) for one in seen] == [
        (f"{author}:mine", 1.0, "true", "did what I asked", "human", author)
    ]
    assert again.json()["score_id"] == f"{author}:mine"
    assert [(one["number"], one["label"], one["comment"]) for one in listed(project, task)] == [(0.25, None, None)]


def test_a_comment_without_a_value_is_a_note(project: Project, task: str) -> None:
    answer = post(project.http, project, task_id=task, name="note", comment="ask again in winter")

    answer.raise_for_status()
    assert [(one["name"], one["number"], one["label"], one["comment"]) for one in listed(project, task)] == [
        ("note", None, None, "ask again in winter")
    ]
    assert post(project.http, project, task_id=task, name="note", comment=" ").status_code == 422


def test_a_program_scores_a_step_of_a_task_before_it_arrives(project: Project) -> None:
    trace_id = hostile_posts.trace_id()

    answer = post(
        program(project),
        project,
        task_id=trace_id,
        step_id="a" * 16,
        name="tone",
        value="calm",
        source="model",
        author="judge-1",
        score_id="e:1",
    )

    assert (answer.status_code, answer.json()["visible"]) == (200, False)
    body = hostile_posts.request(hostile_posts.span(trace_id))
    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()
    eventually(lambda: project.http.get(f"/api/traces/{project.id}/tasks/{trace_id}").status_code, lambda got: got == 200)
    (score,) = eventually(lambda: listed(project, trace_id), bool)
    assert {name: score[name] for name in ("score_id", "step_id", "label", "number", "source", "author")} == {
        "score_id": "e:1", "step_id": "a" * 16, "label": "calm", "number": None, "source": "model", "author": "judge-1",
    }  # fmt: skip


def test_the_same_score_id_sent_again_by_a_program_is_one_score(project: Project, task: str) -> None:
    for value in (1, 2, 3):
        assert post(program(project), project, task_id=task, name="n", value=value, score_id="one").status_code == 200

    assert eventually(lambda: [one["number"] for one in listed(project, task)], lambda got: got == [3.0]) == [3.0]


def test_only_the_author_and_owners_remove_a_persons_score(platform: Platform, owner: Account, project: Project, task: str) -> None:
    author, other = joined(platform, project, "member"), joined(platform, project, "member")
    ids = [post(author.http, project, task_id=task, name="n", value=n).json()["score_id"] for n in range(2)]

    refused = [remove(one, project, task, ids[0]) for one in (other.http, program(project))]
    replaced = post(other.http, project, task_id=task, name="n", value=9, score_id=ids[0])
    by_program = post(program(project), project, task_id=task, name="n", value=9, score_id=ids[0])
    removed = [remove(author.http, project, task, ids[0]), remove(owner.http, project, task, ids[1])]

    assert refused == [403, 403]
    assert [(one.status_code, one.json()["code"]) for one in (replaced, by_program)] == [(403, "not_the_author")] * 2
    assert removed == [204, 204]
    assert listed(project, task) == []
    assert remove(author.http, project, task, ids[0]) == 404


def test_a_programs_score_is_removed_by_a_program_or_an_owner(platform: Platform, owner: Account, project: Project, task: str) -> None:
    for name in ("a", "b"):
        post(program(project), project, task_id=task, name="n", value=1, score_id=name)
    eventually(lambda: len(listed(project, task)), lambda got: got == 2)

    assert remove(joined(platform, project, "member").http, project, task, "a") == 403
    assert [remove(program(project), project, task, "a"), remove(owner.http, project, task, "b")] == [204, 204]
    assert listed(project, task) == []


def test_a_viewer_a_stranger_and_a_key_of_another_project_record_nothing(platform: Platform, project: Project, task: str) -> None:
    stranger = Account(platform.url)
    score = {"task_id": task, "name": "n", "value": 1}

    answers = {
        "viewer": post(joined(platform, project, "viewer").http, project, **score),
        "stranger": post(stranger.http, project, **score),
        "foreign key": post(program(stranger.project()), project, **score),
        "task of another project": post(project.http, project, **{**score, "task_id": a_task(stranger.project())}),
    }

    assert {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()} == {
        "viewer": (403, "role_too_low"),
        "stranger": (404, "project_not_found"),
        "foreign key": (404, "project_not_found"),
        "task of another project": (404, "task_not_found"),
    }
    assert listed(project, task) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"value": None}, 422), ({"value": ""}, 422), ({"value": [1]}, 422), ({"value": 1e16}, 422), ({"value": "x" * 257}, 422),
        ({"name": ""}, 422), ({"name": "a\0b"}, 422), ({"name": "n" * 257}, 422), ({"comment": "c" * 4_097}, 422), ({"comment": "c" * 40_000}, 413),
        ({"score_id": "a/b"}, 422), ({"score_id": "a\n"}, 422), ({"score_id": "s" * 250}, 422), ({"step_id": "A" * 16}, 422), ({"step_id": "0" * 16}, 422),
        ({"task_id": "0" * 32}, 422), ({"source": "model"}, 422), ({"author": "ann"}, 422),
    ],
)  # fmt: skip
def test_a_score_that_is_not_valid_is_refused_with_the_reason(project: Project, task: str, changes: dict[str, Any], status: int) -> None:
    answer = post(project.http, project, **({"task_id": task, "name": "n", "value": 1} | changes))

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]


def test_an_sdk_cannot_record_a_score_in_the_name_of_a_person(project: Project, task: str) -> None:
    event = {"kind": "score.recorded", "event_id": "e" * 32, "seq": 1, "at_us": 1, "score_id": "x", "name": "n", "source": "human"}
    events = [event | {"author": "user:ann"}, event | {"score_id": "user:ann:x", "event_id": "f" * 32}, event | {"event_id": "d" * 32}]
    batch = {"v": 1, "batches": [{"task_id": task, "producer": {"sdk": "t", "instance_id": "i"}, "events": events}]}

    answer = program(project).post("/v1/batches", json=batch).raise_for_status().json()

    assert (answer["accepted"], [one["code"] for one in answer["rejected"]]) == (1, ["not_allowed", "not_allowed"])
