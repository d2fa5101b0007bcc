"""The sessions of an account: listed, ended one by one or together, and limited in number."""

import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server


def sign_in(client: httpx.Client, person: Person, agent: str) -> dict[str, str]:
    body = {"login": person.username, "password": PASSWORD}
    answer = client.post("/api/auth/login", json=body, headers={"User-Agent": agent}).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def sessions(client: httpx.Client, headers: dict[str, str]) -> list[dict[str, object]]:
    return client.get("/api/users/me/sessions", headers=headers).raise_for_status().json()["items"]


def test_sessions_are_listed_with_device_address_and_last_use(person: Person, new_client: Callable[[], httpx.Client]) -> None:
    phone = new_client()
    theirs = sign_in(phone, person, "Phone/1.0 (test)")

    listed = sessions(person.client, person.headers)

    assert [item["current"] for item in listed] == [False, True]
    assert listed[0]["user_agent"] == "Phone/1.0 (test)"
    assert listed[0]["address"] == phone.headers["X-Forwarded-For"]
    assert listed[0]["created_at"] == listed[0]["last_used_at"]
    assert [item["current"] for item in sessions(phone, theirs)] == [True, False]


def test_one_session_is_ended_at_once(person: Person, new_client: Callable[[], httpx.Client]) -> None:
    phone = new_client()
    theirs = sign_in(phone, person, "Phone")
    (other,) = [item["session_id"] for item in sessions(person.client, person.headers) if not item["current"]]

    assert person.delete(f"/api/users/me/sessions/{other}").status_code == 204

    assert phone.get("/api/users/me", headers=theirs).status_code == 401
    assert phone.post("/api/auth/refresh").status_code == 401
    assert person.get("/api/users/me").status_code == 200
    assert person.delete(f"/api/users/me/sessions/{other}").status_code == 404


def test_a_session_of_another_person_is_not_found(person: Person, stranger: Person) -> None:
    (theirs,) = [item["session_id"] for item in sessions(stranger.client, stranger.headers)]

    for session in (theirs, "0198f3aa-0000-7000-8000-0000000000b1", "x", "%00"):
        assert person.delete(f"/api/users/me/sessions/{session}").status_code == 404
    assert stranger.get("/api/users/me").status_code == 200


def test_all_other_sessions_are_ended(person: Person, new_client: Callable[[], httpx.Client]) -> None:
    others = [(client, sign_in(client, person, "x")) for client in (new_client(), new_client())]

    assert person.delete("/api/users/me/sessions?keep=current").status_code == 204

    assert [client.get("/api/users/me", headers=headers).status_code for client, headers in others] == [401, 401]
    assert len(sessions(person.client, person.headers)) == 1


def test_all_sessions_are_ended(person: Person, new_client: Callable[[], httpx.Client]) -> None:
    phone = new_client()
    theirs = sign_in(phone, person, "x")

    assert person.delete("/api/users/me/sessions").status_code == 204

    assert person.get("/api/users/me").status_code == 401
    assert phone.get("/api/users/me", headers=theirs).status_code == 401


@pytest.mark.parametrize("query", ["keep=all", "keep=current&keep=current", "x=1", "keep"])
def test_an_unknown_parameter_ends_nothing(person: Person, query: str) -> None:
    assert person.delete(f"/api/users/me/sessions?{query}").status_code == 400
    assert person.get("/api/users/me").status_code == 200


def test_the_session_that_was_not_used_for_the_longest_time_ends_at_the_limit(
    server: Server, person: Person, new_client: Callable[[], httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server.app.state.identity
    limited = msgspec.structs.replace(context, policy=msgspec.structs.replace(context.policy, sessions_per_account_max=3))
    monkeypatch.setattr(server.app.state, "identity", limited)
    clients = [new_client() for _ in range(3)]

    headers = [sign_in(client, person, f"device {number}") for number, client in enumerate(clients)]

    assert person.get("/api/users/me").status_code == 401
    assert [client.get("/api/users/me", headers=one).status_code for client, one in zip(clients, headers, strict=True)] == [200] * 3
    assert [item["user_agent"] for item in sessions(clients[2], headers[2])] == ["device 2", "device 1", "device 0"]


def test_an_account_has_at_most_twenty_valid_sign_in_codes(
    client: httpx.Client, person: Person, service_headers: dict[str, str], sql: Callable[..., list[object]]
) -> None:
    codes = [
        client.post("/internal/signin-codes", json={"user_id": person.user_id}, headers=service_headers).json()["code"] for _ in range(25)
    ]

    assert len(sql("select 1 from signin_codes where user_id = $1", person.user_id)) == 20
    assert client.post("/api/auth/redeem", json={"code": codes[0]}).status_code == 401
    assert client.post("/api/auth/redeem", json={"code": codes[-1]}).status_code == 200


def test_keys_created_at_the_same_time_do_not_pass_the_limit_together(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ams_identity.keys.KEYS_MAX", 5)

    async def create_all() -> list[int]:
        async with httpx.AsyncClient(base_url=server.url, headers=person.headers, timeout=60) as http:
            answers = await asyncio.gather(*(http.post(f"/api/projects/{person.project_id}/keys", json={"name": "k"}) for _ in range(20)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(create_all()) == [201] * 5 + [409] * 15


def test_projects_created_at_the_same_time_do_not_pass_the_limit_together(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ams_identity.projects.PROJECTS_MAX", 4)

    async def create_all() -> list[int]:
        async with httpx.AsyncClient(base_url=server.url, headers=person.headers, timeout=60) as http:
            answers = await asyncio.gather(*(http.post("/api/projects", json={"name": "p"}) for _ in range(20)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(create_all()) == [201] * 3 + [409] * 17
