"""Another service that authenticates with the kit against a real identity."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from services.identity.tests.clients import Person, Server
from services.identity.tests.other_service import service

from ams_contracts.claims import Scope


@pytest.fixture(scope="module")
def other(server: Server) -> Iterator[httpx.Client]:
    with service(server.url, server.settings, "other") as client:
        yield client


@pytest.fixture(scope="module")
def reader(server: Server) -> Iterator[httpx.Client]:
    """A service that accepts API keys with the scope ``read``."""
    with service(server.url, server.settings, "reader", Scope.READ) as client:
        yield client


def becomes(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def test_other_services_accept_a_token_of_identity(other: httpx.Client, person: Person) -> None:
    assert other.get("/who", headers=person.headers).text == person.user_id
    assert other.get("/who").status_code == 401
    assert other.get("/nowhere").status_code == 404
    assert other.get("/openapi").status_code == 200


def test_a90_other_services_reject_a_revoked_token_immediately(other: httpx.Client, person: Person) -> None:
    assert other.get("/who", headers=person.headers).status_code == 200

    person.post("/api/auth/logout")

    assert other.get("/who", headers=person.headers).status_code == 401


def test_another_users_project_is_not_found_in_other_services(other: httpx.Client, person: Person, stranger: Person) -> None:
    assert other.get(f"/in/{person.project_id}", headers=person.headers).text == "owner"

    answers = [
        other.get(f"/in/{project}", headers=stranger.headers)
        for project in (person.project_id, "nonsense", "00000000-0000-7000-8000-000000000000")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


def test_other_services_apply_a_change_of_members_within_a_second(other: httpx.Client, person: Person, stranger: Person) -> None:
    members = f"/api/projects/{person.project_id}/members"
    assert other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 404
    person.post(members, {"username": stranger.username, "role": "viewer"})
    assert other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 200
    assert other.get(f"/write/{person.project_id}", headers=stranger.headers).status_code == 403

    person.patch(f"{members}/{stranger.user_id}", {"role": "member"})
    assert becomes(lambda: other.get(f"/write/{person.project_id}", headers=stranger.headers).status_code == 200, 1)
    person.delete(f"{members}/{stranger.user_id}")
    assert becomes(lambda: other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 404, 1)


def test_a_new_key_works_immediately_and_a_revoked_one_is_rejected_within_a_second(other: httpx.Client, person: Person) -> None:
    created = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()
    headers = {"Authorization": f"Bearer {created['key']}"}

    assert other.get("/intake", headers=headers).json()["project_id"] == person.project_id
    assert other.get("/who", headers=headers).status_code == 403
    person.delete(f"/api/projects/{person.project_id}/keys/{created['key_id']}")

    assert becomes(lambda: other.get("/intake", headers=headers).status_code == 401, 1)


def key_of(person: Person, *scopes: str) -> tuple[dict[str, str], str]:
    """A new key's headers, and its id."""
    created = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k", "scopes": list(scopes)}).json()
    assert created["scopes"] == list(scopes)
    return {"Authorization": f"Bearer {created['key']}"}, created["key_id"]


def test_a_key_with_the_scope_read_has_the_role_viewer_in_its_own_project(reader: httpx.Client, person: Person, stranger: Person) -> None:
    headers, key_id = key_of(person, "read")

    assert reader.get(f"/read/{person.project_id}", headers=headers).text == f"viewer key:{key_id}"
    foreign = [reader.get(f"/read/{project}", headers=headers) for project in (stranger.project_id, "nonsense", person.project_id.upper())]
    assert {answer.status_code for answer in foreign} == {404}
    assert reader.get("/who", headers=headers).json()["code"] == "api_key_not_for_this"
    assert reader.get(f"/read/{person.project_id}", headers=person.headers).text == f"owner {person.user_id}"


def test_a_key_needs_the_scope_of_the_service(reader: httpx.Client, other: httpx.Client, person: Person) -> None:
    ingest, _ = key_of(person, "ingest")
    both, _ = key_of(person, "ingest", "read")
    only_read, _ = key_of(person, "read")

    refused = reader.get(f"/read/{person.project_id}", headers=ingest)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert "scope read" in refused.json()["detail"]
    assert reader.get(f"/read/{person.project_id}", headers=both).status_code == 200
    assert other.get(f"/in/{person.project_id}", headers=only_read).json()["code"] == "api_key_not_for_this"


@pytest.mark.parametrize("path", ["/api/me", "/api/projects", "/api/projects/{project}", "/api/projects/{project}/keys"])
def test_routes_of_identity_reject_api_keys(person: Person, path: str) -> None:
    headers, _ = key_of(person, "ingest", "read")

    answer = person.client.get(path.format(project=person.project_id), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "api_key_not_for_this")


def test_a_revoked_read_key_is_rejected_within_a_second(reader: httpx.Client, person: Person, service_headers: dict[str, str]) -> None:
    headers, key_id = key_of(person, "read")
    question = {"user_id": f"key:{key_id}", "project_id": person.project_id}
    assert reader.get(f"/read/{person.project_id}", headers=headers).status_code == 200
    assert person.client.get("/internal/access", params=question, headers=service_headers).json()["role"] == "viewer"

    person.delete(f"/api/projects/{person.project_id}/keys/{key_id}")

    assert becomes(lambda: reader.get(f"/read/{person.project_id}", headers=headers).status_code == 401, 1)
    assert person.client.get("/internal/access", params=question, headers=service_headers).status_code == 404


def test_a_key_has_access_with_the_scope_read_in_its_own_project_only(
    person: Person, stranger: Person, service_headers: dict[str, str]
) -> None:
    _, ingest = key_of(person, "ingest")
    _, read_key = key_of(person, "read")

    for subject, project in (
        (ingest, person.project_id),
        (read_key, stranger.project_id),
        ("x", person.project_id),
        ("", person.project_id),
    ):
        question = {"user_id": f"key:{subject}", "project_id": project}
        assert person.client.get("/internal/access", params=question, headers=service_headers).status_code == 404


def test_other_services_reject_access_to_a_deleted_project_within_five_seconds(
    other: httpx.Client, reader: httpx.Client, person: Person, stranger: Person
) -> None:
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "member"})
    headers, _ = key_of(person, "ingest", "read")
    assert other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 200
    assert other.get("/intake", headers=headers).status_code == 200
    assert reader.get(f"/read/{person.project_id}", headers=headers).status_code == 200

    assert person.delete(f"/api/projects/{person.project_id}").status_code == 204

    assert becomes(lambda: other.get(f"/in/{person.project_id}", headers=stranger.headers).status_code == 404, 5)
    assert becomes(lambda: other.get("/intake", headers=headers).status_code == 401, 5)
    assert becomes(lambda: reader.get(f"/read/{person.project_id}", headers=headers).status_code == 401, 5)
