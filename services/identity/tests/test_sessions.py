"""Sign-in, refresh and sign-out (ids: the table of bad inputs)."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import argon2
import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

from ams_identity.passwords import Passwords
from ams_identity.sessions import COOKIE


def cookie_of(answer: httpx.Response) -> str:
    return answer.cookies[COOKIE]


def sign_in(person: Person) -> httpx.Response:
    return person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).raise_for_status()


def refresh(server: Server, cookie: str) -> httpx.Response:
    return httpx.post(f"{server.url}/api/auth/refresh", headers={"Cookie": f"{COOKIE}={cookie}"})


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/login"])
def test_login_accepts_a_username_or_an_address_in_three_fields(person: Person, path: str) -> None:
    for who in (
        {"login": person.username},
        {"login": person.email.upper()},
        {"username": person.username.upper()},
        {"email": person.email},
    ):
        answer = person.client.post(path, json={**who, "password": PASSWORD})

        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "user"}
        assert answer.json()["user"]["user_id"] == person.user_id
        assert answer.headers["cache-control"] == "no-store"


def test_login_without_a_name_is_rejected(client: httpx.Client) -> None:
    assert client.post("/api/auth/login", json={"password": PASSWORD}).status_code == 422


def test_the_refresh_cookie_is_limited_to_the_auth_routes(person: Person) -> None:
    header = sign_in(person).headers["set-cookie"]

    assert "HttpOnly" in header
    assert "SameSite=strict" in header
    assert "Path=/api/auth" in header
    assert "Secure" not in header  # the public URL is http on loopback


@pytest.mark.parametrize("path", ["/api/users/me", "/api/me"])
def test_me_returns_the_user_of_the_token(person: Person, path: str) -> None:
    assert person.get(path).json()["username"] == person.username


def test_a56_an_unknown_name_gets_the_response_of_a_wrong_password(client: httpx.Client, person: Person) -> None:
    answers = [
        client.post("/api/auth/login", json={"login": login, "password": "not it"}) for login in ("nobody-has-this-name", person.username)
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text == answers[1].text


async def test_a56_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    passwords = Passwords()
    real = await passwords.hash(PASSWORD)

    def work(password_hash: str | None) -> float:
        """Processor time of this thread: wall clock time would include other work of the machine."""
        started = time.thread_time()
        assert not passwords._verify(password_hash, "not it")
        return time.thread_time() - started

    known, unknown = (min(work(password_hash) for _ in range(8)) for password_hash in (real, None))

    assert 0.7 < unknown / known < 1.4
    passwords.close()


def test_a58_a_disabled_account_gets_the_response_of_a_wrong_password(person: Person, service_headers: dict[str, str]) -> None:
    person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).raise_for_status()

    answer = person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_a60_failures_of_an_address_are_limited_to_twenty_a_minute(client: httpx.Client) -> None:
    answers = [client.post("/api/auth/login", json={"login": f"nobody{number}", "password": "wrong"}) for number in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_a61_an_address_that_the_client_claims_is_ignored(client: httpx.Client) -> None:
    mine = client.headers["X-Forwarded-For"]

    answers = [
        client.post(
            "/api/auth/login", json={"login": "nobody", "password": "wrong"}, headers={"X-Forwarded-For": f"192.0.2.{number}, {mine}"}
        )
        for number in range(22)
    ]

    assert [answer.status_code for answer in answers[-2:]] == [429, 429]


def test_failures_of_another_address_do_not_lock_an_account(new_client: Callable[[], httpx.Client], person: Person) -> None:
    other = new_client()
    for _ in range(21):
        other.post("/api/auth/login", json={"login": person.username, "password": "wrong"})

    assert sign_in(person).status_code == 200


def test_a65_a_hash_with_old_parameters_is_renewed(person: Person, sql: Callable[..., Any]) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    sql("update users set password_hash = $2 where id = $1", person.user_id, old)

    assert sign_in(person).status_code == 200
    assert "m=19456,t=2,p=1" in sql("select password_hash from users where id = $1", person.user_id)[0][0]
    assert sign_in(person).status_code == 200


def test_a66_an_unreadable_hash_rejects_every_password(person: Person, sql: Callable[..., Any]) -> None:
    sql("update users set password_hash = '$argon2id$garbage' where id = $1", person.user_id)

    assert person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 401


def test_a_refresh_gives_a_new_token_and_a_new_cookie(server: Server, person: Person) -> None:
    first = sign_in(person)

    answer = refresh(server, cookie_of(first))

    assert answer.status_code == 200
    assert cookie_of(answer) != cookie_of(first)
    assert (
        httpx.get(f"{server.url}/api/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"}).json()["user_id"]
        == person.user_id
    )


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "01a21694-cd2c-7f08-a87d-01c0017fc8f1.0.mac", "." * 300])
def test_a_malformed_cookie_is_rejected(server: Server, cookie: str) -> None:
    answer = refresh(server, cookie)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert "Max-Age=0" in answer.headers["set-cookie"]


def test_a80_an_access_token_does_not_refresh(server: Server, person: Person) -> None:
    assert refresh(server, person.token).status_code == 401


def test_a_refresh_token_with_a_forged_generation_is_rejected(server: Server, person: Person) -> None:
    session, _, mac = cookie_of(sign_in(person)).split(".")

    assert refresh(server, f"{session}.1.{mac}").status_code == 401
    assert refresh(server, f"{session}.0.{mac}").status_code == 200


def test_a93_reuse_of_a_token_two_generations_later_ends_the_session(server: Server, person: Person) -> None:
    first = sign_in(person)
    second = refresh(server, cookie_of(first))
    third = refresh(server, cookie_of(second))

    assert refresh(server, cookie_of(first)).status_code == 401

    assert refresh(server, cookie_of(third)).status_code == 401
    headers = {"Authorization": f"Bearer {third.json()['access_token']}"}
    assert httpx.get(f"{server.url}/api/me", headers=headers).status_code == 401
    assert person.get("/api/me").status_code == 200  # the sign-in of the fixture is another session


def test_a_used_token_is_accepted_again_for_ten_seconds_only(server: Server, person: Person) -> None:
    first = sign_in(person)
    second = refresh(server, cookie_of(first))
    assert cookie_of(refresh(server, cookie_of(first))) == cookie_of(second)

    server.clock.offset += 11
    try:
        assert refresh(server, cookie_of(first)).status_code == 401
        assert refresh(server, cookie_of(second)).status_code == 401
    finally:
        server.clock.offset -= 11


async def test_a95_twenty_parallel_refreshes_leave_one_valid_token(server: Server, person: Person) -> None:
    cookie = cookie_of(sign_in(person))
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        answers = await asyncio.gather(*(client.post("/api/auth/refresh", headers={"Cookie": f"{COOKIE}={cookie}"}) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    heads = {cookie_of(answer) for answer in answers}
    assert len(heads) == 1
    assert refresh(server, heads.pop()).status_code == 200


def test_a_session_ends_after_thirty_idle_days(server: Server, person: Person, sql: Callable[..., Any]) -> None:
    cookie = cookie_of(sign_in(person))
    sql("update sessions set expires_at = now() - interval '1 second' where session_id = $1", cookie.split(".")[0])

    assert refresh(server, cookie).status_code == 401


def test_a96_logout_is_idempotent_and_revokes_the_token_immediately(server: Server, person: Person) -> None:
    cookie = cookie_of(sign_in(person))

    first = person.post("/api/auth/logout")
    assert first.status_code == 204
    assert "Max-Age=0" in first.headers["set-cookie"]
    answer = person.get("/api/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert person.post("/api/auth/logout").status_code == 204
    # the client also sent the cookie of the second sign-in, so that session ended too
    assert refresh(server, cookie).status_code == 401


def test_logout_ends_only_the_session_of_the_cookie(server: Server, person: Person) -> None:
    cookie = cookie_of(sign_in(person))

    assert httpx.post(f"{server.url}/api/auth/logout", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 204

    assert refresh(server, cookie).status_code == 401
    assert person.get("/api/me").status_code == 200


def test_logout_without_credentials_succeeds_and_with_a_forged_token_fails(server: Server) -> None:
    assert httpx.post(f"{server.url}/api/auth/logout").status_code == 204
    assert httpx.post(f"{server.url}/api/auth/logout", headers={"Authorization": "Bearer a.b.c"}).status_code == 401


def test_logout_is_stored_in_postgres(person: Person, sql: Callable[..., Any]) -> None:
    person.post("/api/auth/logout")

    rows = sql("select field, pushed from revocations where user_id = $1 and jti is not null", person.user_id)
    assert len(rows) == 1
    assert rows[0]["field"].startswith("jti:")
    assert rows[0]["pushed"]


def test_a91_disabling_an_account_revokes_its_tokens_immediately(person: Person, service_headers: dict[str, str]) -> None:
    person.client.post(f"/internal/accounts/{person.user_id}/disable", headers=service_headers).raise_for_status()

    assert person.get("/api/me").status_code == 401


def test_a98_a_password_change_ends_every_other_session(server: Server, person: Person) -> None:
    other = sign_in(person)
    new = "another fine password"

    assert person.post("/api/users/me/password", {"password": "wrong one entirely", "new_password": new}).status_code == 422
    assert person.post("/api/users/me/password", {"password": PASSWORD, "new_password": "short"}).status_code == 422
    assert person.post("/api/users/me/password", {"password": PASSWORD, "new_password": new}).status_code == 204

    assert person.get("/api/me").status_code == 200
    assert httpx.get(f"{server.url}/api/me", headers={"Authorization": f"Bearer {other.json()['access_token']}"}).status_code == 401
    assert refresh(server, cookie_of(other)).status_code == 401
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 401
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": new}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content-Type": "text/plain"}, 415, id="A108-text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="A108-form"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="A108-origin"),
        pytest.param({"Origin": "null"}, 403, id="A108-null-origin"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="A108-fetch-site"),
        pytest.param({"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 200, id="own-page"),
    ],
)
def test_a_cookie_sent_by_another_site_is_rejected(server: Server, person: Person, headers: dict[str, str], status: int) -> None:
    cookie = cookie_of(sign_in(person))

    answer = httpx.post(
        f"{server.url}/api/auth/refresh",
        headers={**headers, "Cookie": f"{COOKIE}={cookie}"},
        content=b"x" if "Content-Type" in headers else b"",
    )

    assert answer.status_code == status


def test_sign_ins_and_failures_are_in_the_audit_log(person: Person, sql: Callable[..., Any]) -> None:
    person.client.post("/api/auth/login", json={"login": person.username, "password": "wrong"})

    rows = sql(
        "select a.action, p.address from audit a left join audit_addresses p using (audit_id) where a.user_id = $1 order by a.audit_id",
        person.user_id,
    )
    assert [row["action"] for row in rows] == ["user.registered", "project.created", "session.started", "session.refused"]
    assert str(rows[-1]["address"]).startswith("10.")
