"""Projects and people: invitations, leaving, and what happens when an account is deleted."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

Sql = Callable[..., list[Any]]


def invite(person: Person, role: str = "member") -> tuple[str, dict[str, Any]]:
    created = person.post(f"/api/projects/{person.project_id}/invitations", {"role": role}).raise_for_status().json()
    return created["link"].partition("#")[2], created


def accept(person: Person, token: str) -> httpx.Response:
    return person.post("/api/users/me/invitations", {"token": token})


def test_an_invited_person_accepts_and_becomes_a_member(person: Person, stranger: Person) -> None:
    token, created = invite(person)
    assert created["link"].startswith("http://localhost:8080/invitation#")

    shown = stranger.post("/api/users/me/invitations/preview", {"token": token}).json()
    assert (shown["role"], shown["invited_by"]) == ("member", person.username)
    assert stranger.get(f"/api/projects/{person.project_id}").status_code == 404

    assert accept(stranger, token).json()["project_id"] == person.project_id
    assert stranger.get(f"/api/projects/{person.project_id}").json()["role"] == "member"
    assert person.get(f"/api/projects/{person.project_id}/invitations").json()["items"] == []


def test_a_link_works_once(person: Person, new_person: Callable[[], Person]) -> None:
    token, _ = invite(person)
    assert accept(new_person(), token).status_code == 200

    answer = accept(new_person(), token)

    assert (answer.status_code, answer.json()["code"]) == (404, "invitation_not_found")


async def test_of_many_who_accept_one_link_at_once_one_becomes_a_member(
    server: Server, person: Person, new_person: Callable[[], Person]
) -> None:
    token, _ = await asyncio.to_thread(invite, person)
    people = await asyncio.to_thread(lambda: [new_person() for _ in range(6)])
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post("/api/users/me/invitations", json={"token": token}, headers=one.headers) for one in people)
        )

    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 5


def test_a_withdrawn_an_expired_and_a_forged_invitation_are_refused(server: Server, person: Person, stranger: Person) -> None:
    withdrawn, created = invite(person)
    assert person.delete(f"/api/projects/{person.project_id}/invitations/{created['invitation_id']}").status_code == 204
    assert person.delete(f"/api/projects/{person.project_id}/invitations/{created['invitation_id']}").status_code == 404
    for token in (withdrawn, "x" * 32, "", "'; drop table invitations;--", "\0", "x" * 3_000):
        assert accept(stranger, token).status_code == 404
    expiring, _ = invite(person)
    before = server.clock.offset
    try:
        server.clock.offset += 7 * 86_400 + 1
        token = stranger.client.post("/api/auth/login", json={"login": stranger.username, "password": PASSWORD}).json()["access_token"]
        answer = stranger.client.post("/api/users/me/invitations", json={"token": expiring}, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 404
    finally:
        server.clock.offset = before


def test_an_invitation_of_an_owner_who_has_left_is_refused(person: Person, stranger: Person, new_person: Callable[[], Person]) -> None:
    token, _ = invite(person)
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "owner"}).raise_for_status()
    person.delete(f"/api/projects/{person.project_id}/members/{person.user_id}").raise_for_status()

    assert accept(new_person(), token).status_code == 404


def test_members_and_strangers_do_not_invite(person: Person, stranger: Person) -> None:
    path = f"/api/projects/{person.project_id}/invitations"
    assert stranger.post(path, {"role": "owner"}).status_code == 404
    assert stranger.get(path).status_code == 404
    person.post(f"/api/projects/{person.project_id}/members", {"username": stranger.username, "role": "member"}).raise_for_status()
    assert stranger.post(path, {"role": "owner"}).status_code == 403
    assert stranger.get(path).status_code == 403
    _, created = invite(person)
    assert stranger.delete(f"{path}/{created['invitation_id']}").status_code == 403
    mine = stranger.post(f"/api/projects/{stranger.project_id}/invitations", {"role": "viewer"}).json()["invitation_id"]
    assert person.delete(f"{path}/{mine}").status_code == 404


def test_a_member_keeps_the_role(person: Person) -> None:
    token, _ = invite(person, "viewer")

    assert accept(person, token).status_code == 409
    assert person.get(f"/api/projects/{person.project_id}").json()["role"] == "owner"


def test_open_invitations_are_limited(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ams_identity.invitations.INVITATIONS_MAX", 2)
    invite(person)
    invite(person)

    answer = person.post(f"/api/projects/{person.project_id}/invitations", {"role": "viewer"})

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_invitations")


def test_ownership_is_transferred_and_the_last_owner_stays(person: Person, stranger: Person) -> None:
    path = f"/api/projects/{person.project_id}/members"
    assert person.delete(f"{path}/{person.user_id}").status_code == 409
    token, _ = invite(person)
    accept(stranger, token).raise_for_status()

    assert person.patch(f"{path}/{stranger.user_id}", {"role": "owner"}).status_code == 204
    assert person.patch(f"{path}/{person.user_id}", {"role": "member"}).status_code == 204

    assert stranger.delete(f"{path}/{stranger.user_id}").status_code == 409
    assert person.delete(f"{path}/{person.user_id}").status_code == 204
    assert person.get(f"/api/projects/{person.project_id}").status_code == 404


def test_the_email_address_is_changed_with_the_password(person: Person, stranger: Person) -> None:
    new = f"new.{person.email}"
    assert person.post("/api/users/me/email", {"password": "not the password", "email": new}).status_code == 422
    assert person.post("/api/users/me/email", {"password": PASSWORD, "email": "nobody"}).json()["code"] == "invalid_email"
    taken = person.post("/api/users/me/email", {"password": PASSWORD, "email": stranger.email.upper()})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")

    assert person.post("/api/users/me/email", {"password": PASSWORD, "email": new}).json()["email"] == new

    assert person.client.post("/api/auth/login", json={"login": person.email, "password": PASSWORD}).status_code == 401
    assert person.client.post("/api/auth/login", json={"login": new, "password": PASSWORD}).status_code == 200


def test_a_deleted_account_leaves_no_personal_data(person: Person, stranger: Person, sql: Sql) -> None:
    accept(person, invite(stranger)[0]).raise_for_status()
    key = person.post(f"/api/projects/{stranger.project_id}/keys", {"name": "k"}).json()["key"]
    person.client.post("/api/auth/token", json={"api_key": key}).raise_for_status()
    assert person.post("/api/users/me/delete", {"password": "not the password"}).status_code == 422

    assert person.post("/api/users/me/delete", {"password": PASSWORD}).status_code == 204

    assert person.get("/api/users/me").status_code == 401
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 401
    assert person.client.post("/api/auth/token", json={"api_key": key}).status_code == 401
    (row,) = sql("select * from users where id = $1", person.user_id)
    assert person.username not in str(dict(row))
    assert row["password_hash"] is None
    assert sql("select 1 from sessions where user_id = $1 and (address is not null or user_agent is not null)", person.user_id) == []
    of_person = "a.user_id = $1 or a.subject = $1::uuid::text"
    assert sql(f"select 1 from audit_addresses p join audit a using (audit_id) where {of_person}", person.user_id) == []
    (used,) = sql("select last_used_address, last_used_program from api_keys where created_by = $1", person.user_id)
    assert tuple(used) == (None, None)
    (project,) = sql("select deleted_at from projects where project_id = $1", person.project_id)
    assert project["deleted_at"] is not None
    listed = stranger.get(f"/api/projects/{stranger.project_id}/audit").json()["items"]
    assert person.username not in str(listed)
    assert "member.removed" in {item["action"] for item in listed}
    body = {"username": person.username, "email": person.email, "password": PASSWORD}
    assert stranger.client.post("/api/auth/register", json=body).status_code == 201


def test_an_only_owner_of_a_project_with_members_cannot_delete_the_account(person: Person, stranger: Person) -> None:
    accept(stranger, invite(person)[0]).raise_for_status()

    answer = person.post("/api/users/me/delete", {"password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    assert person.get("/api/users/me").status_code == 200


def test_the_only_administrator_cannot_delete_the_account(person: Person, stranger: Person, sql: Sql) -> None:
    others = [
        row["id"] for row in sql("update users set administrator = false where administrator and id <> $1 returning id", person.user_id)
    ]
    sql("update users set administrator = true where id = any($1::uuid[])", [person.user_id, stranger.user_id])
    sql("update users set disabled_at = now() where id = $1", stranger.user_id)
    try:
        refused = person.post("/api/users/me/delete", {"password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_administrator")
        assert "Make another person an administrator" in refused.json()["detail"]
        assert person.get("/api/users/me").json()["administrator"] is True
        assert person.get(f"/api/projects/{person.project_id}").status_code == 200

        sql("update users set disabled_at = null where id = $1", stranger.user_id)
        assert person.post("/api/users/me/delete", {"password": PASSWORD}).status_code == 204
        refused = stranger.post("/api/users/me/delete", {"password": PASSWORD})
        assert (refused.status_code, refused.json()["code"]) == (409, "last_administrator")
    finally:
        sql("update users set administrator = true where id = any($1::uuid[])", others)
