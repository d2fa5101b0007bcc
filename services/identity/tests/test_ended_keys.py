"""API keys end with the membership and the account of the person who created them."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import Person, Server
from services.identity.tests.other_service import service

from ams_contracts.claims import Scope

Sql = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def reader(server: Server) -> Iterator[httpx.Client]:
    """A service that accepts API keys with the scope ``read``, and exchanges them as intake does."""
    with service(server.url, server.settings, "reader", Scope.READ) as client:
        yield client


class Key:
    """A key, and how the platform answers to it."""

    def __init__(self, person: Person, project_id: str, reader: httpx.Client) -> None:
        body = {"name": "k", "scopes": ["ingest", "read"]}
        created = person.post(f"/api/projects/{project_id}/keys", body).raise_for_status().json()
        self.key_id: str = created["key_id"]
        self._key: str = created["key"]
        self._headers = {"Authorization": f"Bearer {created['key']}"}
        self._paths = ("/intake", f"/read/{project_id}")
        self._client, self._reader = person.client, reader

    def at_services(self) -> set[int]:
        return {self._reader.get(path, headers=self._headers).status_code for path in self._paths}

    def at_identity(self) -> int:
        return self._client.post("/api/auth/token", json={"api_key": self._key}).status_code

    def ends(self, seconds: float = 2) -> bool:
        deadline = time.monotonic() + seconds
        while self.at_services() != {401} and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.at_services() == {401} and self.at_identity() == 401


def join(owner: Person, member: Person, role: str = "member") -> None:
    owner.post(f"/api/projects/{owner.project_id}/members", {"username": member.username, "role": role}).raise_for_status()


def revoked_in_log(sql: Sql) -> set[str]:
    """Keys whose end the outbox publishes."""
    events = [json.loads(row["value"]) for row in sql("select value from outbox")]
    return {event["key_id"] for event in events if event["kind"] == "key.revoked"}


def test_the_keys_of_a_removed_member_end_and_those_of_others_stay(
    reader: httpx.Client, person: Person, stranger: Person, sql: Sql
) -> None:
    join(person, stranger)
    ends, stays = Key(stranger, person.project_id, reader), Key(person, person.project_id, reader)
    elsewhere = Key(stranger, stranger.project_id, reader)
    assert ends.at_services() == stays.at_services() == elsewhere.at_services() == {200}

    person.delete(f"/api/projects/{person.project_id}/members/{stranger.user_id}")

    assert ends.ends()
    assert stays.at_services() == elsewhere.at_services() == {200}
    assert revoked_in_log(sql) & {ends.key_id, stays.key_id, elsewhere.key_id} == {ends.key_id}
    shown = person.get(f"/api/projects/{person.project_id}/keys").json()["items"]
    assert [item["key_id"] for item in shown] == [stays.key_id]
    join(person, stranger)
    assert ends.at_identity() == 401, "joining again restores no key"


def test_a_member_who_leaves_takes_the_keys_along(reader: httpx.Client, person: Person, stranger: Person) -> None:
    join(person, stranger)
    key = Key(stranger, person.project_id, reader)
    assert key.at_services() == {200}

    stranger.delete(f"/api/projects/{person.project_id}/members/{stranger.user_id}")

    assert key.ends()


def test_the_keys_of_a_disabled_account_and_of_its_projects_end(
    reader: httpx.Client, new_person: Callable[[], Person], service_headers: dict[str, str], sql: Sql
) -> None:
    person, stranger, colleague = new_person(), new_person(), new_person()
    join(person, colleague)
    join(stranger, person)
    join(stranger, colleague, "owner")
    own = Key(person, person.project_id, reader)
    of_colleague = Key(colleague, person.project_id, reader)
    abroad = Key(person, stranger.project_id, reader)
    stays = Key(stranger, stranger.project_id, reader)
    assert {*own.at_services(), *of_colleague.at_services(), *abroad.at_services(), *stays.at_services()} == {200}

    person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).raise_for_status()

    assert own.ends()
    assert of_colleague.ends(), "the project has no active owner"
    assert abroad.ends()
    assert stays.at_services() == {200}
    assert revoked_in_log(sql) >= {own.key_id, of_colleague.key_id, abroad.key_id}


def test_a_project_with_another_owner_keeps_the_keys_of_its_other_members(
    reader: httpx.Client, person: Person, stranger: Person, service_headers: dict[str, str]
) -> None:
    join(person, stranger, "owner")
    key = Key(stranger, person.project_id, reader)

    person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).raise_for_status()

    assert key.at_identity() == 200
    assert key.at_services() == {200}


@pytest.mark.parametrize(
    "change",
    [
        "delete from members where project_id = $1 and user_id = $2",
        "update users set disabled_at = now() where id = $2 and $1::uuid is not null",
    ],
)
def test_a_key_without_its_person_is_refused_whatever_ended_it(
    reader: httpx.Client, person: Person, stranger: Person, sql: Sql, change: str
) -> None:
    join(person, stranger)
    key = Key(stranger, person.project_id, reader)
    assert key.at_identity() == 200

    sql(change, person.project_id, stranger.user_id)

    assert key.at_identity() == 401
    shown = reader.get(f"/read/{person.project_id}", headers=key._headers)
    assert shown.status_code == 401


def test_a_key_that_an_operator_created_ends_with_the_last_owner(person: Person, service_headers: dict[str, str]) -> None:
    path = f"/internal/projects/{person.project_id}/keys"
    key = person.client.post(path, json={"name": "k"}, headers=service_headers).raise_for_status().json()["key"]
    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 200

    person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).raise_for_status()

    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 401
