"""Machine accounts: a person who registers the same name gets no access to an operator's keys."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person

from ams_identity.migrations.upgrade import upgrade


def machine(client: httpx.Client, headers: dict[str, str], name: str) -> dict[str, Any]:
    answer = client.post("/internal/accounts", json={"username": name}, headers=headers)
    assert answer.status_code == 200
    return answer.json()


def test_a_person_with_the_same_name_has_no_access_to_a_machine_account(
    client: httpx.Client, person: Person, service_headers: dict[str, str]
) -> None:
    account = machine(client, service_headers, person.username)

    assert account["user_id"] != person.user_id
    assert account["project_id"] not in {item["project_id"] for item in person.get("/api/projects").json()["items"]}
    assert machine(client, service_headers, person.username.upper()) == account


@pytest.mark.parametrize("username", ["local", "LOCAL", "Demo", "system", "machine", "~local"])
def test_names_of_machine_accounts_cannot_be_registered(client: httpx.Client, username: str) -> None:
    body = {"username": username, "email": "somebody@example.org", "password": PASSWORD}

    answer = client.post("/api/auth/register", json=body)

    assert answer.status_code == 422
    assert answer.json()["code"] in {"reserved_username", "invalid_username"}


@pytest.mark.parametrize("email", ["local@localhost", "me@LOCALHOST"])
def test_addresses_of_machine_accounts_cannot_be_registered(client: httpx.Client, email: str) -> None:
    answer = client.post("/api/auth/register", json={"username": "newcomer", "email": email, "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (422, "reserved_email")


def test_a_membership_created_by_another_user_changes_neither_keys_nor_the_default_project(
    client: httpx.Client, person: Person, stranger: Person, service_headers: dict[str, str]
) -> None:
    account = machine(client, service_headers, "worker")
    code = client.post("/internal/signin-codes", json={"user_id": account["user_id"]}, headers=service_headers).json()["code"]
    before = client.post("/api/auth/redeem", json={"code": code}).json()["user"]["default_project_id"]
    for username in ("worker", person.username):
        added = stranger.post(f"/api/projects/{stranger.project_id}/members", {"username": username, "role": "owner"})
        assert added.status_code in {200, 201}, added.text

    assert machine(client, service_headers, "worker") == account
    assert before == account["project_id"]
    assert person.get("/api/me").json()["default_project_id"] == person.project_id


async def test_the_migration_marks_accounts_created_by_commands_as_machine_accounts(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0003")
    connection = await asyncpg.connect(empty_database_url)
    try:
        for number, (username, email, password_hash) in enumerate(
            [("local", "local@localhost", None), ("demo", "demo@example.org", "hash"), ("eve", "eve@localhost", "hash")]
        ):
            await connection.execute(
                "insert into users (id, username, email, password_hash, created_at, updated_at) values ($1, $2, $3, $4, now(), now())",
                f"0198f3aa-0000-7000-8000-00000000000{number}",
                username,
                email,
                password_hash,
            )
        await asyncio.to_thread(upgrade, empty_database_url)

        kinds = dict(await connection.fetch("select username, kind from users"))
    finally:
        await connection.close()

    assert kinds == {"local": "machine", "demo": "person", "eve": "person"}
