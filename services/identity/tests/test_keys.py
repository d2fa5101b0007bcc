"""API keys (creation, exchange, revocation) and sign-in codes."""

from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from services.identity.tests.clients import Person, Server

from ams_identity.keys import KEYS_MAX
from ams_identity.tokens import INGEST_AUDIENCE
from ams_kit.auth.api_keys import format_key


def new_key(person: Person, **more: Any) -> dict[str, Any]:
    answer = person.post(f"/api/projects/{person.project_id}/keys", {"name": "laptop", **more})
    assert answer.status_code == 201
    return answer.json()


def exchange(person: Person, key: str) -> httpx.Response:
    return person.client.post("/api/auth/token", json={"api_key": key})


def test_a_key_is_returned_once_and_works_immediately(person: Person, sql: Callable[..., Any]) -> None:
    created = new_key(person)

    grant = exchange(person, created["key"]).json()
    assert (grant["project_id"], grant["key_id"], grant["scopes"]) == (person.project_id, created["key_id"], ["ingest"])
    assert jwt.decode(grant["access_token"], options={"verify_signature": False})["aud"] == INGEST_AUDIENCE
    (listed,) = person.get(f"/api/projects/{person.project_id}/keys").json()["items"]
    assert set(listed) == {
        "key_id", "name", "prefix", "created_at", "expires_at", "last_used_at", "last_used_address", "last_used_program", "addresses", "owner",
        "replaced_by", "scopes",
    }  # fmt: skip
    assert listed["last_used_at"] is not None
    assert listed["owner"] == person.user_id
    assert created["key"].startswith(listed["prefix"])
    secret = created["key"].rpartition("_")[2][:32]
    assert all(secret not in str(dict(row)) for row in sql("select * from api_keys where key_id = $1", created["key_id"]))


def test_a_revoked_key_is_rejected(person: Person) -> None:
    created = new_key(person)

    path = f"/api/projects/{person.project_id}/keys/{created['key_id']}"
    assert person.delete(path).status_code == 204
    assert person.delete(path).status_code == 404
    answer = exchange(person, created["key"])
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
    assert person.get(f"/api/projects/{person.project_id}/keys").json()["items"] == []


def test_a_key_expires_at_its_expires_at(server: Server, person: Person) -> None:
    created = new_key(person, expires_at="2126-01-01T00:00:00Z")
    assert exchange(person, created["key"]).status_code == 200

    server.clock.offset += 101 * 365.25 * 86_400
    try:
        assert exchange(person, created["key"]).status_code == 401
    finally:
        server.clock.offset = 0


def test_expired_and_replaced_keys_take_no_room(person: Person, sql: Callable[..., Any]) -> None:
    keys = f"/api/projects/{person.project_id}/keys"
    first, second = new_key(person)["key_id"], new_key(person)["key_id"]
    sql(
        "insert into api_keys (project_id, key_id, name, secret_hash, scopes, created_at) "
        "select project_id, left(md5(key_id || number), length(key_id)), name, secret_hash, scopes, created_at "
        "from api_keys, generate_series(1, $2) as number where key_id = $1",
        first,
        KEYS_MAX - 2,
    )
    assert person.post(keys, {"name": "one more"}).json()["code"] == "too_many_keys"

    assert person.post(f"{keys}/{first}/rotate", {"overlap_hours": 1}).status_code == 201
    assert person.post(keys, {"name": "one more"}).json()["code"] == "too_many_keys"
    sql("update api_keys set expires_at = now() - interval '1 minute' where key_id = $1", second)
    new_key(person)
    assert person.post(keys, {"name": "one more"}).json()["code"] == "too_many_keys"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 422),
        ({}, 422),
        ({"name": "k", "scopes": []}, 422),
        ({"name": "k", "scopes": ["admin"]}, 422),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "k", "expires_at": "2126-01-01T00:00:00"}, 422),
        ({"name": "k", "expires_at": 5}, 422),
        ({"name": "k", "project_id": "00000000-0000-7000-8000-000000000000"}, 422),
    ],
)
def test_an_invalid_key_request_is_rejected(person: Person, body: dict[str, Any], status: int) -> None:
    assert person.post(f"/api/projects/{person.project_id}/keys", body).status_code == status


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"),
        lambda _: "",
        lambda _: "ams_",
        lambda _: "x" * 4_000,
    ],
)
def test_a_malformed_key_is_rejected(person: Person, change: Callable[[str], str]) -> None:
    assert exchange(person, change(new_key(person)["key"])).status_code == 401


def test_a_key_with_a_wrong_secret_is_rejected(person: Person) -> None:
    from_one, from_other = new_key(person)["key"], new_key(person)["key"]
    one_id, other_secret = from_one.split("_")[1], from_other.split("_")[2][:32]

    assert exchange(person, format_key(one_id, other_secret)).status_code == 401


def test_a_code_signs_in_once(client: httpx.Client, service_headers: dict[str, str]) -> None:
    account = client.post("/internal/accounts", json={"username": "machine"}, headers=service_headers).json()
    assert client.post("/internal/accounts", json={"username": "MACHINE"}, headers=service_headers).json() == account
    code = client.post("/internal/signin-codes", json={"user_id": account["user_id"]}, headers=service_headers).json()["code"]

    answer = client.post("/api/auth/redeem", json={"code": code})
    assert answer.status_code == 200
    assert (answer.json()["user"]["username"], answer.json()["user"]["has_password"]) == ("machine", False)
    assert "ams_refresh" in answer.cookies
    again = client.post("/api/auth/redeem", json={"code": code})
    assert (again.status_code, again.json()["code"]) == (401, "invalid_code")


def test_a_code_expires_after_ten_minutes(server: Server, client: httpx.Client, service_headers: dict[str, str]) -> None:
    account = client.post("/internal/accounts", json={"username": "machine2"}, headers=service_headers).json()
    code = client.post("/internal/signin-codes", json={"user_id": account["user_id"]}, headers=service_headers).json()["code"]

    server.clock.offset += 601
    try:
        assert client.post("/api/auth/redeem", json={"code": code}).status_code == 401
    finally:
        server.clock.offset = 0


def test_guesses_of_codes_are_rate_limited(client: httpx.Client) -> None:
    answers = [client.post("/api/auth/redeem", json={"code": "x" * 32}).status_code for _ in range(22)]

    assert answers[-2:] == [429, 429]


def test_no_password_signs_in_to_an_account_without_one(client: httpx.Client, service_headers: dict[str, str]) -> None:
    client.post("/internal/accounts", json={"username": "machine3"}, headers=service_headers)

    for password in ("", "None", "nobody has this password"):
        assert client.post("/api/auth/login", json={"login": "machine3", "password": password}).status_code == 401


def test_internal_access_returns_the_role_of_a_user(
    client: httpx.Client, person: Person, stranger: Person, service_headers: dict[str, str]
) -> None:
    def ask(user_id: str, project_id: str) -> httpx.Response:
        return client.get("/internal/access", params={"user_id": user_id, "project_id": project_id}, headers=service_headers)

    assert ask(person.user_id, person.project_id).json() == {
        "user_id": person.user_id,
        "project_id": person.project_id,
        "role": "owner",
        "quota": None,
        "masking": True,
    }
    assert ask(stranger.user_id, person.project_id).status_code == 404
    assert ask("x", person.project_id).status_code == 404
    assert ask("", "").status_code == 404


def test_a_service_can_create_a_key(client: httpx.Client, person: Person, service_headers: dict[str, str]) -> None:
    created = client.post(f"/internal/projects/{person.project_id}/keys", json={"name": "demo"}, headers=service_headers)

    assert exchange(person, created.json()["key"]).json()["project_id"] == person.project_id
    assert (
        client.post(
            "/internal/projects/00000000-0000-7000-8000-000000000000/keys", json={"name": "demo"}, headers=service_headers
        ).status_code
        == 404
    )
