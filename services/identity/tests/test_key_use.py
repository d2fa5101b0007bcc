"""API keys in use: from where, by which program, rotation, and service accounts."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import SERVICE_SECRET, Person, Server
from services.identity.tests.test_keys import exchange, new_key

from ams_kit.auth.api_keys import KeyClient, KeyUse
from ams_kit.errors import ForbiddenError


def listed(person: Person, key_id: str) -> dict[str, Any]:
    items = person.get(f"/api/projects/{person.project_id}/keys").raise_for_status().json()["items"]
    return next(item for item in items if item["key_id"] == key_id)


def own_address(person: Person) -> str:
    return person.client.headers["X-Forwarded-For"]


def test_the_last_use_has_time_address_and_program(person: Person) -> None:
    created = new_key(person)

    person.client.post("/api/auth/token", json={"api_key": created["key"]}, headers={"User-Agent": "ams-tracing/1.2.0"}).raise_for_status()

    key = listed(person, created["key_id"])
    assert (key["last_used_address"], key["last_used_program"]) == (own_address(person), "ams-tracing/1.2.0")


async def test_a_service_names_the_client_for_whom_it_asks_and_compares_its_address(server: Server, person: Person) -> None:
    created = new_key(person, addresses=["203.0.113.0/24"])
    async with httpx.AsyncClient(base_url=server.url) as http:
        keys = KeyClient(http, service_secret=SERVICE_SECRET, service="intake")

        await keys.grant(created["key"], KeyUse("203.0.113.7", "otel/1"))
        with pytest.raises(ForbiddenError) as refused:
            await keys.grant(created["key"], KeyUse("198.51.100.7", "otel/1"))

    assert refused.value.code == "address_not_allowed"
    assert "198.51.100.7" in refused.value.detail
    assert listed(person, created["key_id"])["last_used_address"] == "203.0.113.7"


def test_nobody_but_a_service_can_name_another_address(person: Person) -> None:
    created = new_key(person, addresses=["203.0.113.0/24"])

    direct = exchange(person, created["key"])
    forged = person.client.post("/api/auth/token", json={"api_key": created["key"], "address": "203.0.113.7"})

    assert (direct.status_code, direct.json()["code"]) == (403, "address_not_allowed")
    assert (forged.status_code, forged.json()["code"]) == (403, "address_not_allowed")
    path = f"/api/projects/{person.project_id}/keys/{created['key_id']}"
    assert person.patch(path, {"addresses": [own_address(person)]}).json()["addresses"] == [f"{own_address(person)}/32"]
    assert exchange(person, created["key"]).status_code == 200
    assert person.patch(path, {"addresses": None}).json()["addresses"] is None


@pytest.mark.parametrize("addresses", [[], [""], ["gateway"], ["10.0.0.1/8"], ["10.0.0.0/33"], ["1.1.1.1"] * 51])
def test_what_is_no_list_of_networks_is_refused(person: Person, addresses: list[str]) -> None:
    assert person.post(f"/api/projects/{person.project_id}/keys", {"name": "k", "addresses": addresses}).status_code == 422


def test_a_rotated_key_and_its_replacement_are_both_valid_for_the_overlap(server: Server, person: Person) -> None:
    old = new_key(person, scopes=["read"], name="ci")
    path = f"/api/projects/{person.project_id}/keys/{old['key_id']}/rotate"

    new = person.post(path, {"overlap_hours": 2})

    assert new.status_code == 201
    assert (new.json()["name"], new.json()["scopes"]) == ("ci", ["read"])
    assert exchange(person, old["key"]).status_code == exchange(person, new.json()["key"]).status_code == 200
    assert listed(person, old["key_id"])["replaced_by"] == new.json()["key_id"]
    assert person.post(path, {}).json()["code"] == "already_rotated"
    server.clock.offset += 2 * 3_600 + 1
    try:
        assert exchange(person, old["key"]).status_code == 401
        assert exchange(person, new.json()["key"]).status_code == 200
    finally:
        server.clock.offset = 0


def test_the_keys_of_a_service_account_outlive_the_person_who_created_them(
    person: Person, stranger: Person, sql: Callable[..., Any]
) -> None:
    members = f"/api/projects/{person.project_id}/members"
    person.post(members, {"username": stranger.username, "role": "owner"}).raise_for_status()
    account = stranger.post(f"/api/projects/{person.project_id}/service-accounts", {"name": "CI of the shop"})
    body = {"name": "ci", "service_account": account.json()["user_id"]}
    key = stranger.post(f"/api/projects/{person.project_id}/keys", body).raise_for_status().json()

    person.delete(f"{members}/{stranger.user_id}").raise_for_status()

    assert (account.status_code, account.json()["kind"], account.json()["role"]) == (201, "service", "member")
    assert exchange(person, key["key"]).status_code == 200
    rotated = person.post(f"/api/projects/{person.project_id}/keys/{key['key_id']}/rotate", {}).json()
    assert rotated["owner"] == account.json()["user_id"]
    assert person.patch(f"{members}/{account.json()['user_id']}", {"role": "owner"}).json()["code"] == "service_account"
    person.delete(f"{members}/{account.json()['user_id']}").raise_for_status()
    assert exchange(person, key["key"]).status_code == 401
    assert exchange(person, rotated["key"]).status_code == 401
    (row,) = sql("select username, disabled_at from users where id = $1", account.json()["user_id"])
    assert row["username"].startswith("deleted-")
    assert row["disabled_at"] is not None


def test_a_service_account_signs_in_nowhere_and_a_member_cannot_create_one(person: Person, stranger: Person) -> None:
    path = f"/api/projects/{person.project_id}/service-accounts"
    account = person.post(path, {"name": "agent"}).json()

    for login in ("agent", f"service:{account['user_id']}", f"{account['user_id']}@service.invalid"):
        assert person.client.post("/api/auth/login", json={"login": login, "password": ""}).status_code in {401, 422}
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "member"}).raise_for_status()
    assert stranger.post(path, {"name": "mine"}).status_code == 403
    body = {"name": "k", "service_account": stranger.user_id}
    assert person.post(f"/api/projects/{person.project_id}/keys", body).json()["code"] == "unknown_service_account"


def test_a_service_account_is_a_member_of_no_other_project(person: Person, stranger: Person) -> None:
    account = person.post(f"/api/projects/{person.project_id}/service-accounts", {"name": "agent"}).json()
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "viewer"}).raise_for_status()
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "ci", "service_account": account["user_id"]}).json()

    added = stranger.post(f"/api/projects/{stranger.project_id}/members", {"username": f"service:{account['user_id']}", "role": "viewer"})
    stranger.delete(f"/api/projects/{stranger.project_id}/members/{account['user_id']}")  # would end the account, and its keys

    assert (added.status_code, added.json()["code"]) == (422, "unknown_user")
    assert exchange(person, key["key"]).status_code == 200


def test_a_deleted_project_leaves_no_service_account(person: Person, sql: Callable[..., Any]) -> None:
    account = person.post(f"/api/projects/{person.project_id}/service-accounts", {"name": "agent"}).json()

    person.delete(f"/api/projects/{person.project_id}")  # 503: not every service of this test receives the change

    (row,) = sql("select username, disabled_at, deleted_at from users where id = $1", account["user_id"])
    assert row["username"].startswith("deleted-")
    assert row["disabled_at"] is not None


def test_an_account_whose_projects_have_only_service_accounts_beside_it_can_be_deleted(person: Person) -> None:
    person.post(f"/api/projects/{person.project_id}/service-accounts", {"name": "agent"}).raise_for_status()

    assert person.post("/api/users/me/delete", {"password": "a long enough password"}).status_code == 204
