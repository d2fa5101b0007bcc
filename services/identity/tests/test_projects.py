"""Projects and members, and that other users cannot see them (ids: the table of bad inputs)."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import Person, Server

NO_PROJECT = "00000000-0000-7000-8000-000000000000"


def join(owner: Person, other: Person, role: str) -> None:
    assert owner.post(f"/api/projects/{owner.project_id}/members", {"username": other.username, "role": role}).status_code == 201


def test_the_creator_of_a_project_owns_it(person: Person, stranger: Person) -> None:
    answer = person.post("/api/projects", {"name": "Zweites Projekt 🦀"})

    assert answer.status_code == 201
    assert answer.json() == {
        "project_id": answer.json()["project_id"],
        "name": "Zweites Projekt 🦀",
        "role": "owner",
        "retention_days": None,
        "retention_days_max": 30,
        "second_factor_required": False,
        "masking": True,
    }
    assert person.get(f"/api/projects/{answer.json()['project_id']}").json() == answer.json()
    assert [item["project_id"] for item in person.get("/api/projects").json()["items"]] == [person.project_id, answer.json()["project_id"]]
    assert [item["project_id"] for item in stranger.get("/api/projects").json()["items"]] == [stranger.project_id]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\0b", " a", "a\u202eb"])
def test_a_project_needs_a_name(person: Person, name: str) -> None:
    assert person.post("/api/projects", {"name": name}).status_code == 422


def test_a_list_is_paged(person: Person) -> None:
    for number in range(4):
        person.post("/api/projects", {"name": f"p{number}"})
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = person.get("/api/projects", params={"limit": "2", **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= 2
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert names == [f"{person.username}'s project", "p0", "p1", "p2", "p3"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=501",
        "limit=1e3",
        "limit=0x10",
        "limit=NaN",
        "limit=",
        "limit=" + "9" * 400,
        "limit=1&limit=2",
        "foo=1",
        "cursor=x",
        "cursor=",
        "cursor=YQ",
        "cursor=%ff",
    ],
)
def test_an_invalid_page_is_rejected(person: Person, query: str) -> None:
    for path in ("/api/projects", f"/api/projects/{person.project_id}/keys", f"/api/projects/{person.project_id}/members"):
        assert person.get(f"{path}?{query}").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("GET", "", None, id="A103-get"),
        pytest.param("PATCH", "", {"retention_days": 1}, id="A103-change-project"),
        pytest.param("DELETE", "", None, id="A103-delete-project"),
        pytest.param("GET", "/members", None, id="A103-members"),
        pytest.param("POST", "/members", {"username": "x", "role": "owner"}, id="A103-add"),
        pytest.param("PATCH", "/members/{user}", {"role": "viewer"}, id="A103-change"),
        pytest.param("DELETE", "/members/{user}", None, id="A103-remove"),
        pytest.param("GET", "/keys", None, id="A103-keys"),
        pytest.param("POST", "/keys", {"name": "k"}, id="A103-new-key"),
        pytest.param("DELETE", "/keys/{key}", None, id="A103-revoke"),
    ],
)
def test_a103_another_users_project_is_not_found(person: Person, stranger: Person, method: str, path: str, body: Any) -> None:
    key_id = stranger.post(f"/api/projects/{stranger.project_id}/keys", {"name": "k"}).json()["key_id"]
    rest = path.format(user=stranger.user_id, key=key_id)

    answers = [
        person.client.request(method, f"/api/projects/{project}{rest}", json=body, headers=person.headers)
        for project in (stranger.project_id, NO_PROJECT, "nonsense", stranger.project_id.upper(), "%00", "' or 1=1--")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert stranger.get(f"/api/projects/{stranger.project_id}/keys").json()["items"][0]["key_id"] == key_id


def test_members_have_roles(person: Person, stranger: Person) -> None:
    join(person, stranger, "viewer")

    assert {item["username"]: item["role"] for item in stranger.get(f"/api/projects/{person.project_id}/members").json()["items"]} == {
        person.username: "owner",
        stranger.username: "viewer",
    }
    assert stranger.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).status_code == 403
    assert stranger.get(f"/api/projects/{person.project_id}/keys").status_code == 403
    assert person.patch(f"/api/projects/{person.project_id}/members/{stranger.user_id}", {"role": "member"}).status_code == 204
    assert stranger.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).status_code == 201
    assert person.delete(f"/api/projects/{person.project_id}/members/{stranger.user_id}").status_code == 204
    assert stranger.get(f"/api/projects/{person.project_id}").status_code == 404


def test_a105_a_member_cannot_become_an_owner_by_themselves(person: Person, stranger: Person) -> None:
    join(person, stranger, "member")

    assert stranger.patch(f"/api/projects/{person.project_id}/members/{stranger.user_id}", {"role": "owner"}).status_code == 403
    assert stranger.post(f"/api/projects/{person.project_id}/members", {"username": "x", "role": "owner"}).status_code == 403
    assert stranger.delete(f"/api/projects/{person.project_id}/members/{person.user_id}").status_code == 403


def test_a106_the_last_owner_cannot_leave(person: Person) -> None:
    path = f"/api/projects/{person.project_id}/members/{person.user_id}"

    assert person.delete(path).json()["code"] == "last_owner"
    assert person.patch(path, {"role": "member"}).status_code == 409
    assert person.patch(path, {"role": "owner"}).status_code == 204


async def test_a106_one_of_two_owners_who_leave_at_once_remains(server: Server, new_person: Callable[[], Person]) -> None:
    one, other = new_person(), new_person()
    join(one, other, "owner")

    async with httpx.AsyncClient(base_url=server.url) as client:
        answers = await asyncio.gather(
            *(client.delete(f"/api/projects/{one.project_id}/members/{person.user_id}", headers=person.headers) for person in (one, other))
        )

    assert sorted(answer.status_code for answer in answers) == [204, 409]


def test_a_member_needs_an_existing_username(person: Person, stranger: Person) -> None:
    path = f"/api/projects/{person.project_id}/members"

    assert person.post(path, {"username": "nobody-at-all", "role": "viewer"}).json()["code"] == "unknown_user"
    assert person.post(path, {"username": stranger.username, "role": "king"}).status_code == 422
    join(person, stranger, "viewer")
    assert person.post(path, {"username": stranger.username, "role": "viewer"}).json()["code"] == "already_member"
    assert person.delete(f"{path}/{NO_PROJECT}").status_code == 404
    assert person.patch(f"{path}/nonsense", {"role": "viewer"}).status_code == 404
