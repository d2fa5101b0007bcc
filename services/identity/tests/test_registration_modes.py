"""Who may register, by the setting AMS_REGISTRATION, and who becomes the administrator."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from services.identity.tests.clients import PASSWORD
from services.identity.tests.conftest import wait_until_ready

from ams_identity.app import make_app
from ams_identity.migrations.run import migrate
from ams_identity.migrations.upgrade import upgrade
from ams_identity.settings import Settings
from ams_kit.testing.serving import serving

Install = Callable[..., httpx.Client]
_addresses = itertools.count(1)


@pytest.fixture
def install(settings: Settings, empty_database_url: str) -> Iterator[Install]:
    """Starts identity on an empty database with some settings changed; called again, on the same database."""
    with ExitStack() as stack:

        def start(**changes: Any) -> httpx.Client:
            migrate(empty_database_url)
            app = make_app(msgspec.structs.replace(settings, database_url=empty_database_url, **changes))
            url = stack.enter_context(serving(app))
            address = f"172.20.0.{next(_addresses)}"
            client = stack.enter_context(httpx.Client(base_url=url, headers={"X-Forwarded-For": address}, timeout=30))
            wait_until_ready(url)
            return client

        yield start


def form(**changes: Any) -> dict[str, Any]:
    name = f"m{secrets.token_hex(6)}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **changes}


def register(client: httpx.Client, **changes: Any) -> httpx.Response:
    return client.post("/api/auth/register", json=form(**changes))


def signed_in(client: httpx.Client, **changes: Any) -> tuple[dict[str, str], dict[str, Any]]:
    body = form(**changes)
    client.post("/api/auth/register", json=body).raise_for_status()
    answer = client.post("/api/auth/login", json={"login": body["username"], "password": PASSWORD}).raise_for_status().json()
    return {"Authorization": f"Bearer {answer['access_token']}"}, answer["user"]


def invitation(client: httpx.Client, headers: dict[str, str], project: str) -> str:
    answer = client.post(f"/api/projects/{project}/invitations", json={"role": "viewer"}, headers=headers).raise_for_status()
    return answer.json()["link"].partition("#")[2]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.status_code, answer.json()["code"]


def test_the_first_person_is_the_administrator_and_the_second_is_not(install: Install) -> None:
    client = install()
    assert client.get("/api/auth/rules").json()["administrator_missing"] is True

    assert register(client).json()["user"]["administrator"] is True
    assert register(client).json()["user"]["administrator"] is False
    assert client.get("/api/auth/rules").json()["administrator_missing"] is False


async def test_of_first_people_at_the_same_time_one_is_the_administrator(install: Install) -> None:
    client = await asyncio.to_thread(install)
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as parallel:
        answers = await asyncio.gather(*(parallel.post("/api/auth/register", json=form()) for _ in range(6)))

    assert [answer.status_code for answer in answers] == [201] * 6
    assert sorted(answer.json()["user"]["administrator"] for answer in answers) == [False] * 5 + [True]


def test_closed_refuses_everybody_but_the_first_person(install: Install) -> None:
    client = install(registration="closed")
    headers, user = signed_in(client)
    token = invitation(client, headers, user["default_project_id"])

    assert refusal(register(client)) == (403, "registration_closed")
    assert refusal(register(client, invitation=token)) == (403, "registration_closed")
    rules = client.get("/api/auth/rules").json()
    assert (rules["registration"], rules["administrator_missing"]) == ("closed", False)


async def test_a_closed_installation_lets_one_first_person_in(install: Install) -> None:
    client = await asyncio.to_thread(install, registration="closed")
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as parallel:
        answers = await asyncio.gather(*(parallel.post("/api/auth/register", json=form()) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403]


def test_an_invitation_lets_one_person_register_who_is_a_member_then(install: Install) -> None:
    client = install(registration="invite")
    headers, user = signed_in(client)
    project = user["default_project_id"]
    token = invitation(client, headers, project)

    assert refusal(register(client)) == (403, "invitation_required")
    for wrong in ("x" * 32, "", "\0"):
        assert refusal(register(client, invitation=wrong)) == (404, "invitation_not_found")
    assert register(client, invitation=token, password="short").status_code == 422

    guest, _ = signed_in(client, invitation=token)
    assert client.get(f"/api/projects/{project}", headers=guest).json()["role"] == "viewer"
    assert refusal(register(client, invitation=token)) == (404, "invitation_not_found")


async def test_of_many_who_register_by_one_invitation_at_once_one_has_an_account(install: Install) -> None:
    client = await asyncio.to_thread(install, registration="invite")
    headers, user = await asyncio.to_thread(signed_in, client)
    token = await asyncio.to_thread(invitation, client, headers, user["default_project_id"])
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as parallel:
        answers = await asyncio.gather(*(parallel.post("/api/auth/register", json=form(invitation=token)) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404]


def test_the_address_of_the_setting_is_the_only_administrator(install: Install) -> None:
    client = install(registration="closed", admin_email="Boss@Example.org")
    assert refusal(register(client)) == (403, "registration_closed")

    assert register(client, email="boss@example.org").json()["user"]["administrator"] is True

    client = install(admin_email="another@example.org")
    headers, user = signed_in(client)
    assert user["administrator"] is False
    taken = client.post("/api/users/me/email", json={"password": PASSWORD, "email": "Another@example.org"}, headers=headers)
    assert refusal(taken) == (409, "email_taken")


async def test_the_oldest_person_of_an_existing_installation_becomes_the_administrator(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0009")
    connection = await asyncpg.connect(empty_database_url)
    try:
        for number, (name, kind, year) in enumerate([("local", "machine", 2024), ("bob", "person", 2026), ("ada", "person", 2025)]):
            await connection.execute(
                f"""
                insert into users (id, username, username_key, email, email_key, created_at, updated_at, kind)
                values ($1, $2, $2, $2 || '@example.org', $2 || '@example.org', '{year}-01-01Z', '{year}-01-01Z', $3)
                """,
                f"0198f3aa-0000-7000-8000-00000000000{number}",
                name,
                kind,
            )
        await asyncio.to_thread(upgrade, empty_database_url)

        rows = await connection.fetch("select username, updated_at from users where administrator")
    finally:
        await connection.close()

    assert [(row["username"], row["updated_at"].year) for row in rows] == [("ada", 2025)]
