"""A project that requires a second factor: members without one see nothing of it, in every service."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from services.identity.tests.clients import Person, Server
from services.identity.tests.factors import add_app
from services.identity.tests.other_service import service

from ams_contracts.claims import Role
from ams_contracts.identity_events import AccessChanged, ProjectUpdated
from ams_kit.auth.identity_log import changes_of


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[httpx.Client]:
    with service(server.url, server.settings, "other") as client:
        yield client


def becomes(condition: Callable[[], bool], seconds: float = 1) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def test_members_without_a_factor_see_nothing_in_any_service_until_they_have_one(
    server: Server, other: httpx.Client, person: Person, stranger: Person
) -> None:
    project = f"/api/projects/{person.project_id}"
    person.post(f"{project}/members", {"username": stranger.username, "role": "member"}).raise_for_status()
    assert person.patch(project, {"second_factor_required": True}).json()["code"] == "no_factor"
    assert stranger.patch(project, {"second_factor_required": True}).json()["code"] == "role_too_low"
    add_app(server, person)

    def code(member: Person) -> tuple[int, str]:
        answer = other.get(f"/in/{person.project_id}", headers=member.headers)
        return answer.status_code, answer.json().get("code", "") if answer.status_code >= 400 else ""

    assert code(stranger) == (200, "")
    assert person.patch(project, {"second_factor_required": True}).json()["second_factor_required"] is True

    assert becomes(lambda: code(stranger) == (403, "second_factor_required"))
    assert code(person) == (200, "")
    for path in (project, f"{project}/members", f"{project}/keys"):
        assert stranger.get(path).json()["code"] == "second_factor_required"
    (listed,) = [item for item in stranger.get("/api/projects").json()["items"] if item["project_id"] == person.project_id]
    assert listed["second_factor_required"] is True

    add_app(server, stranger)
    assert code(stranger) == (200, "")
    assert stranger.delete("/api/users/me/factors/app").status_code == 204
    assert becomes(lambda: code(stranger) == (403, "second_factor_required"))

    assert person.patch(project, {"second_factor_required": False}).status_code == 200
    assert becomes(lambda: code(stranger) == (200, ""))


def test_a_stranger_does_not_learn_that_a_project_requires_a_factor(
    server: Server, other: httpx.Client, person: Person, stranger: Person
) -> None:
    add_app(server, person)
    person.patch(f"/api/projects/{person.project_id}", {"second_factor_required": True}).raise_for_status()

    assert other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 404
    assert stranger.get(f"/api/projects/{person.project_id}").status_code == 404


def test_the_log_reports_a_changed_requirement_too() -> None:
    project = "0198f3aa-0000-7000-8000-000000000001"
    updated = ProjectUpdated(event_id="0198f3aa-0000-7000-8000-000000000002", at_us=1, project_id=project, name="x", user_id="owner")
    lost = AccessChanged(event_id="0198f3aa-0000-7000-8000-000000000003", at_us=1, project_id=project, user_id="member", role=Role.VIEWER)

    assert [(item.kind, item.user_id, item.project_id) for event in (updated, lost) for item in changes_of(event)] == [
        ("access.changed", None, project),
        ("access.changed", "member", project),
    ]
