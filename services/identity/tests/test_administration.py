"""The administrator of the installation: accounts, and links that reset a password."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

Sql = Callable[..., list[Any]]
NEW_PASSWORD = "a new and longer sentence"


@pytest.fixture
def administrator(new_person: Callable[[], Person], sql: Sql) -> Person:
    person = new_person()
    sql("update users set administrator = true where id = $1", person.user_id)
    return person


def link(administrator: Person, person: Person) -> str:
    answer = administrator.post(f"/api/users/{person.user_id}/password-reset")
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["link"].startswith("http://localhost:8080/reset#")
    return answer.json()["link"].partition("#")[2]


def reset(client: httpx.Client, token: str, password: str = NEW_PASSWORD) -> httpx.Response:
    return client.post("/api/auth/password-reset", json={"token": token, "new_password": password})


def sign_in(person: Person, password: str = PASSWORD) -> httpx.Response:
    return person.client.post("/api/auth/login", json={"login": person.username, "password": password})


@pytest.mark.usefixtures("administrator")  # made before the two others, who are not the first person then
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/users"), *(("POST", f"/api/users/{{user}}/{action}") for action in ("disable", "enable", "password-reset"))],
)
def test_only_the_administrator_may(person: Person, stranger: Person, sql: Sql, method: str, path: str) -> None:
    url = path.replace("{user}", stranger.user_id)
    before = sql("select count(*) from password_resets")
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key"]

    answer = person.client.request(method, url, headers=person.headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "not_administrator")
    assert person.client.request(method, url).status_code == 401
    assert person.client.request(method, url, headers={"Authorization": f"Bearer {key}"}).status_code in {401, 403}
    assert sign_in(stranger).status_code == 200
    assert sql("select count(*) from password_resets") == before


@pytest.mark.parametrize("action", ["disable", "enable", "password-reset"])
@pytest.mark.parametrize("user", ["0198f3aa-0000-7000-8000-000000000001", "x", "%00"])
def test_an_unknown_account_is_not_found(administrator: Person, action: str, user: str) -> None:
    answer = administrator.post(f"/api/users/{user}/{action}")

    assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


def test_accounts_are_listed_in_pages_without_deleted_ones(administrator: Person, person: Person, stranger: Person) -> None:
    stranger.post("/api/users/me/delete", {"password": PASSWORD}).raise_for_status()
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = administrator.get(f"/api/users?limit=7{cursor}").raise_for_status()
        assert page.headers["cache-control"] == "no-store"
        assert len(page.json()["items"]) <= 7
        seen += page.json()["items"]
        if page.json()["next_cursor"] is None:
            break
        cursor = f"&cursor={page.json()['next_cursor']}"

    ids = [item["user_id"] for item in seen]
    assert ids == sorted(set(ids))
    assert stranger.user_id not in ids
    listed = next(item for item in seen if item["user_id"] == person.user_id)
    assert (listed["username"], listed["email"], listed["administrator"], listed["disabled_at"]) == (
        person.username,
        person.email,
        False,
        None,
    )
    assert next(item for item in seen if item["user_id"] == administrator.user_id)["administrator"] is True
    assert administrator.get("/api/users?limit=501").json()["code"] == "invalid_limit"
    assert administrator.get("/api/users?all=1").json()["code"] == "unknown_parameter"


def test_a_disabled_account_loses_sessions_and_keys_and_signs_in_again_once_enabled(
    server: Server, administrator: Person, person: Person, sql: Sql
) -> None:
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key"]
    assert administrator.post(f"/api/users/{person.user_id}/disable").status_code == 204
    assert administrator.post(f"/api/users/{person.user_id}/disable").status_code == 204

    assert person.get("/api/users/me").status_code == 401
    assert sign_in(person).status_code == 401
    assert person.client.post("/api/auth/refresh").status_code == 401
    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 401

    assert administrator.post(f"/api/users/{person.user_id}/enable").status_code == 204
    assert administrator.post(f"/api/users/{person.user_id}/enable").status_code == 204

    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 401
    assert person.client.post("/api/auth/refresh").status_code == 401
    server.clock.offset += 2  # tokens of the second in which the account was disabled stay void
    token = sign_in(person).raise_for_status().json()["access_token"]
    assert person.client.get("/api/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    rows = sql("select action, user_id::text from audit where subject = $1 and action like 'user.%' order by audit_id", person.user_id)
    assert [tuple(row) for row in rows] == [("user.disabled", administrator.user_id), ("user.enabled", administrator.user_id)]


@pytest.mark.parametrize(("action", "body"), [("disable", None), ("administrator", {"administrator": False})])
def test_who_loses_the_role_at_the_same_moment_takes_it_from_nobody(
    server: Server, administrator: Person, new_person: Callable[[], Person], sql: Sql, *, action: str, body: Any
) -> None:
    other = new_person()
    sql("update users set administrator = true where id = $1", other.user_id)

    async def work() -> httpx.Response:
        demoting, watching = [await asyncpg.connect(server.settings.database_url) for _ in range(2)]
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(demoting.close)
            stack.push_async_callback(watching.close)
            async with demoting.transaction():
                await demoting.execute("update users set administrator = false where id = $1", administrator.user_id)
                # it reads that the caller administers, and waits for the row
                answer = asyncio.create_task(asyncio.to_thread(administrator.post, f"/api/users/{other.user_id}/{action}", body))
                while not answer.done() and not await watching.fetchval("select exists (select from pg_locks where not granted)"):
                    await asyncio.sleep(0.02)
            return await answer

    answer = asyncio.run(work())

    assert (answer.status_code, answer.json()["code"]) == (403, "not_administrator")
    assert [tuple(row) for row in sql("select administrator, disabled_at from users where id = $1", other.user_id)] == [(True, None)]


def test_an_administrator_keeps_the_own_account_and_machines_have_no_password(
    administrator: Person, service_headers: dict[str, str]
) -> None:
    own = administrator.post(f"/api/users/{administrator.user_id}/disable")
    assert (own.status_code, own.json()["code"]) == (409, "own_account")
    machine = administrator.client.post("/internal/accounts", json={"username": "resetter"}, headers=service_headers).json()
    answer = administrator.post(f"/api/users/{machine['user_id']}/password-reset")
    assert (answer.status_code, answer.json()["code"]) == (409, "machine_account")


def test_a_deleted_account_is_not_enabled_again(administrator: Person, person: Person, sql: Sql) -> None:
    person.post("/api/users/me/delete", {"password": PASSWORD}).raise_for_status()

    assert administrator.post(f"/api/users/{person.user_id}/enable").status_code == 404
    assert sql("select disabled_at from users where id = $1", person.user_id)[0]["disabled_at"] is not None


def test_a_link_replaces_the_password_once_and_ends_all_sessions(
    administrator: Person, person: Person, client: httpx.Client, sql: Sql
) -> None:
    token = link(administrator, person)
    weak = reset(client, token, "short")
    assert (weak.status_code, weak.json()["errors"][0]["key"]) == (422, "new_password")
    assert person.get("/api/users/me").status_code == 200

    assert reset(client, token).status_code == 204

    assert person.get("/api/users/me").status_code == 401
    assert person.client.post("/api/auth/refresh").status_code == 401
    assert sign_in(person).status_code == 401
    fresh = sign_in(person, NEW_PASSWORD).raise_for_status().json()["access_token"]
    assert person.client.get("/api/users/me", headers={"Authorization": f"Bearer {fresh}"}).status_code == 200
    again = reset(client, token, "yet another fine sentence")
    assert (again.status_code, again.json()["code"]) == (404, "reset_not_found")
    rows = sql(
        "select action, user_id::text from audit where action like '%password_reset%' and $1 in (user_id::text, subject)", person.user_id
    )
    assert sorted(tuple(row) for row in rows) == [
        ("password_reset.created", administrator.user_id),
        ("user.password_reset", person.user_id),
    ]
    assert sql("select 1 from password_resets where token_hash = $1", token.encode()) == []


async def test_of_many_who_use_one_link_at_once_one_succeeds(server: Server, administrator: Person, person: Person) -> None:
    token = await asyncio.to_thread(link, administrator, person)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/auth/password-reset", json={"token": token, "new_password": f"sentence number {number} of many"})
                for number in range(4)
            )
        )

    assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404]


def disable_the_account(administrator: Person, person: Person, **_: Any) -> None:
    administrator.post(f"/api/users/{person.user_id}/disable").raise_for_status()
    administrator.post(f"/api/users/{person.user_id}/enable").raise_for_status()


def make_another_link(administrator: Person, person: Person, **_: Any) -> None:
    link(administrator, person)


def change_the_password(person: Person, **_: Any) -> None:
    person.post("/api/users/me/password", {"password": PASSWORD, "new_password": "another good password"}).raise_for_status()


def end_the_author(administrator: Person, sql: Sql, **_: Any) -> None:
    sql("update users set administrator = false where id = $1", administrator.user_id)


@pytest.mark.parametrize("end", [disable_the_account, make_another_link, change_the_password, end_the_author])
def test_a_link_ends_with(administrator: Person, person: Person, client: httpx.Client, sql: Sql, end: Callable[..., None]) -> None:
    token = link(administrator, person)

    end(administrator=administrator, person=person, sql=sql)

    assert reset(client, token).json()["code"] == "reset_not_found"


def test_an_expired_and_a_forged_link_are_refused(server: Server, administrator: Person, person: Person, client: httpx.Client) -> None:
    token = link(administrator, person)
    for forged in ("x" * 32, "", "\0", "'; drop table users;--", token[:-1], token + "x"):
        assert reset(client, forged).json()["code"] == "reset_not_found"
    before = server.clock.offset
    try:
        server.clock.offset += 86_401
        assert reset(client, token).status_code == 404
    finally:
        server.clock.offset = before


def test_guessing_links_is_limited_by_address(client: httpx.Client, server: Server) -> None:
    statuses = [reset(client, "x" * 32).status_code for _ in range(server.settings.login_failures_per_minute + 1)]

    assert statuses[-1] == 429


def test_no_link_for_a_disabled_account(administrator: Person, person: Person) -> None:
    administrator.post(f"/api/users/{person.user_id}/disable").raise_for_status()

    answer = administrator.post(f"/api/users/{person.user_id}/password-reset")

    assert (answer.status_code, answer.json()["code"]) == (409, "account_disabled")
