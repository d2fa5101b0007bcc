"""Settings of a project, its deletion, and how other services receive both."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from services.identity.tests.clients import Person, Server

from ams_contracts.claims import IDENTITY_CHANNEL
from ams_identity import keys, members, projects
from ams_identity.app import make_app
from ams_kit.auth import open_redis
from ams_kit.testing.serving import serving
from ams_kit.testing.valkey import ValkeyServer

Sql = Callable[..., Any]


def path_of(person: Person, rest: str = "") -> str:
    return f"/api/projects/{person.project_id}{rest}"


def join(owner: Person, other: Person, role: str) -> None:
    assert owner.post(path_of(owner, "/members"), {"username": other.username, "role": role}).status_code == 201


def events_of(sql: Sql, person: Person, kind: str) -> list[dict[str, Any]]:
    values = [
        json.loads(row["value"]) for row in sql("select value from outbox where key = $1 order by outbox_id", person.project_id.encode())
    ]
    return [value for value in values if value["kind"] == kind]


def actions_of(sql: Sql, person: Person) -> list[str]:
    return [row["action"] for row in sql("select action from audit where project_id = $1 order by audit_id", person.project_id)]


def settings_of(person: Person, headers: dict[str, str]) -> dict[str, Any] | None:
    """What ``GET /internal/projects`` returns for a user's project, read page by page."""
    cursor: str | None = None
    while True:
        page = person.client.get(
            "/internal/projects", params={"limit": "2", **({"cursor": cursor} if cursor else {})}, headers=headers
        ).json()
        assert len(page["items"]) <= 2
        for item in page["items"]:
            if item["project_id"] == person.project_id:
                return item
        cursor = page["next_cursor"]
        if cursor is None:
            return None


def test_an_owner_sets_the_retention(person: Person, sql: Sql, service_headers: dict[str, str]) -> None:
    answer = person.patch(path_of(person), {"retention_days": 7})

    assert answer.status_code == 200
    assert (answer.json()["retention_days"], answer.json()["retention_days_max"]) == (7, 30)
    assert person.get(path_of(person)).json() == answer.json() == person.get("/api/projects").json()["items"][0]
    assert settings_of(person, service_headers) == {"project_id": person.project_id, "retention_days": 7, "deleted_at_us": None}
    (event,) = events_of(sql, person, "project.updated")
    assert (event["retention_days"], event["name"], event["user_id"]) == (7, f"{person.username}'s project", person.user_id)
    assert actions_of(sql, person)[-1] == "project.updated"


def test_null_restores_the_platform_retention_and_an_unchanged_value_publishes_no_event(person: Person, sql: Sql) -> None:
    person.patch(path_of(person), {"retention_days": 7})
    assert person.patch(path_of(person), {"name": "another name"}).json()["retention_days"] == 7
    assert person.patch(path_of(person), {"retention_days": None}).json()["retention_days"] is None
    assert person.patch(path_of(person), {}).json()["name"] == "another name"
    person.patch(path_of(person), {"retention_days": None})

    assert [event.get("retention_days") for event in events_of(sql, person, "project.updated")] == [7, 7, None]


def test_an_owner_switches_masking_at_intake(person: Person, sql: Sql, service_headers: dict[str, str]) -> None:
    key = person.post(f"{path_of(person)}/keys", {"name": "agent"}).json()

    def granted() -> list[bool]:
        exchanged = person.client.post("/api/auth/token", json={"api_key": key["key"]}).json()
        state = person.client.get(f"/internal/keys/{key['key_id']}", headers=service_headers).json()
        return [exchanged["masking"], state["masking"]]

    assert granted() == [True, True]
    assert person.patch(path_of(person), {"masking": False}).json()["masking"] is False
    assert granted() == [False, False]
    assert person.patch(path_of(person), {"name": "another name"}).json()["masking"] is False
    assert [event.get("masking", True) for event in events_of(sql, person, "project.updated")] == [False, False]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"masking": None}, None),
        ({"masking": 1}, None),
        ({"retention_days": 31}, "retention_too_long"),
        ({"retention_days": 0}, None),
        ({"retention_days": -1}, None),
        ({"retention_days": 3651}, None),
        ({"retention_days": 1.5}, None),
        ({"retention_days": "7"}, None),
        ({"retention_days": True}, None),
        ({"name": ""}, "invalid_name"),
        ({"name": None}, None),
    ],
)
def test_invalid_settings_are_rejected(person: Person, body: dict[str, Any], code: str | None) -> None:
    answer = person.patch(path_of(person), body)

    assert answer.status_code == 422
    assert code is None or answer.json()["code"] == code
    assert person.get(path_of(person)).json()["retention_days"] is None


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_only_an_owner_changes_and_deletes_a_project(person: Person, stranger: Person, role: str) -> None:
    join(person, stranger, role)

    assert stranger.patch(path_of(person), {"retention_days": 7}).status_code == 403
    assert stranger.delete(path_of(person)).status_code == 403
    assert stranger.get(path_of(person)).json()["retention_days"] is None


def test_a_deleted_project_is_not_found_by_any_user(person: Person, stranger: Person, sql: Sql, service_headers: dict[str, str]) -> None:
    join(person, stranger, "owner")
    key = person.post(path_of(person, "/keys"), {"name": "k"}).json()["key"]

    assert person.delete(path_of(person)).status_code == 204

    for member in (person, stranger):
        assert member.get(path_of(person)).status_code == 404
        assert member.get(path_of(person, "/keys")).status_code == 404
        assert member.post(path_of(person, "/keys"), {"name": "k"}).status_code == 404
        assert member.patch(path_of(person), {"retention_days": 7}).status_code == 404
        assert person.project_id not in [item["project_id"] for item in member.get("/api/projects").json()["items"]]
        question = {"user_id": member.user_id, "project_id": person.project_id}
        assert person.client.get("/internal/access", params=question, headers=service_headers).status_code == 404
    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 401
    assert person.client.post(f"/internal{path_of(person, '/keys')[4:]}", json={"name": "k"}, headers=service_headers).status_code == 404
    assert person.get("/api/me").status_code == 200
    (event,) = events_of(sql, person, "project.deleted")
    assert event["user_id"] == person.user_id
    settings = settings_of(person, service_headers)
    assert settings is not None
    assert settings["deleted_at_us"] == event["at_us"]
    assert actions_of(sql, person)[-1] == "project.deleted"


def test_deleting_again_changes_nothing(person: Person, stranger: Person, sql: Sql) -> None:
    join(person, stranger, "owner")
    person.delete(path_of(person))

    assert person.delete(path_of(person)).status_code == 204
    assert stranger.delete(path_of(person)).status_code == 404
    assert len(events_of(sql, person, "project.deleted")) == 1
    assert actions_of(sql, person).count("project.deleted") == 1


def test_the_name_of_a_deleted_project_may_be_used_again(person: Person) -> None:
    name = person.get(path_of(person)).json()["name"]
    person.delete(path_of(person))

    answer = person.post("/api/projects", {"name": name})

    assert answer.status_code == 201
    assert answer.json()["project_id"] != person.project_id


async def test_owners_and_keys_added_during_a_deletion_are_removed(server: Server, person: Person, stranger: Person, sql: Sql) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        answers = await asyncio.gather(
            *(client.post(path_of(person, "/keys"), json={"name": f"k{number}"}, headers=person.headers) for number in range(5)),
            client.delete(path_of(person), headers=person.headers),
            client.post(path_of(person, "/members"), json={"username": stranger.username, "role": "owner"}, headers=person.headers),
            *(client.post(path_of(person, "/keys"), json={"name": f"l{number}"}, headers=person.headers) for number in range(5)),
        )

    assert {answer.status_code for answer in answers} <= {201, 204, 404}
    rows = await asyncio.to_thread(sql, "select 1 from api_keys where project_id = $1 and revoked_at is null", person.project_id)
    assert rows == []
    assert await asyncio.to_thread(sql, "select 1 from members where project_id = $1", person.project_id) == []


async def test_a_deletion_is_published_on_the_channel(server: Server, person: Person) -> None:
    redis = open_redis(server.settings.redis_url)
    async with redis.pubsub() as channel:
        await channel.subscribe(IDENTITY_CHANNEL)
        await channel.get_message(timeout=5)
        await asyncio.to_thread(person.delete, path_of(person))
        message = await channel.get_message(timeout=5)
    await redis.aclose()

    assert message is not None
    assert json.loads(message["data"]) == {"kind": "project.deleted", "project_id": person.project_id}


def test_a_deletion_that_could_not_be_announced_can_be_repeated(server: Server, person: Person, sql: Sql) -> None:
    redis = ValkeyServer()
    redis.start()
    try:
        values = {name: getattr(server.settings, name) for name in server.settings.__struct_fields__}
        with serving(make_app(type(server.settings)(**{**values, "redis_url": redis.url}))) as url:
            deadline = time.monotonic() + 20
            while httpx.get(f"{url}/readyz").status_code != 200:
                assert time.monotonic() < deadline
            redis.stop()
            pending = httpx.delete(f"{url}{path_of(person)}", headers=person.headers)
    finally:
        redis.remove()

    assert (pending.status_code, pending.json()["code"]) == (503, "deletion_pending")
    assert person.delete(path_of(person)).status_code == 204
    assert len(events_of(sql, person, "project.deleted")) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "foo=1"])
def test_the_list_of_settings_is_paged_and_requires_a_service_token(
    client: httpx.Client, person: Person, service_headers: dict[str, str], query: str
) -> None:
    assert client.get("/internal/projects").status_code == 401
    assert person.get("/internal/projects").status_code == 401
    assert client.get(f"/internal/projects?{query}", headers=service_headers).status_code == 400


def test_an_account_has_a_bounded_number_of_projects(person: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "PROJECTS_MAX", 2)
    assert person.post("/api/projects", {"name": "second"}).status_code == 201

    assert person.post("/api/projects", {"name": "third"}).json()["code"] == "too_many_projects"
    added = stranger.post(path_of(stranger, "/members"), {"username": person.username, "role": "viewer"})
    assert (added.status_code, added.json()["code"]) == (409, "too_many_projects")
    person.delete(path_of(person))
    assert person.post("/api/projects", {"name": "third"}).status_code == 201


def test_a_project_has_a_bounded_number_of_members_and_keys(person: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MEMBERS_MAX", 1)
    monkeypatch.setattr(keys, "KEYS_MAX", 1)
    assert person.post(path_of(person, "/keys"), {"name": "k"}).status_code == 201

    assert person.post(path_of(person, "/keys"), {"name": "k"}).json()["code"] == "too_many_keys"
    added = person.post(path_of(person, "/members"), {"username": stranger.username, "role": "viewer"})
    assert (added.status_code, added.json()["code"]) == (409, "too_many_members")


async def test_projects_of_the_first_revisions_have_the_platform_retention(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("update projects set retention_days = 0")
    await connection.close()
