"""Passkeys: added, named and removed; signing in with one, without a name and as the second factor; forged and repeated answers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server
from services.identity.tests.factors import Authenticator, add_app, add_passkey, code_of, handle_as_text

from ams_identity.relying_party import RelyingParty, relying_party_of

pytestmark = pytest.mark.usefixtures("moved_clock")

Sql = Callable[..., list[Any]]


def ask(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/api/auth/passkey/options")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return answer.json()


def sign_in(client: httpx.Client, authenticator: Authenticator) -> httpx.Response:
    asked = ask(client)
    return client.post("/api/auth/passkey", json={"token": asked["token"], "credential": authenticator.get(asked["options"])})


@pytest.mark.parametrize(
    ("public_url", "party"),
    [
        ("http://localhost:8080", RelyingParty("localhost", "http://localhost:8080")),
        ("https://ams.Example.com", RelyingParty("ams.example.com", "https://ams.example.com")),
        ("http://ams.localhost:1", RelyingParty("ams.localhost", "http://ams.localhost:1")),
        ("http://127.0.0.1:8080", None),
        ("https://[::1]:8080", None),
        ("http://ams.example.com", None),
        ("", None),
    ],
)
def test_a_passkey_belongs_to_the_host_of_the_public_url(public_url: str, party: RelyingParty | None) -> None:
    assert relying_party_of(public_url) == party


def test_a_person_signs_in_with_a_passkey_and_no_name(person: Person, new_client: Callable[[], httpx.Client], sql: Sql) -> None:
    authenticator = add_passkey(person)
    assert handle_as_text(authenticator) == person.user_id
    browser = new_client()

    answer = sign_in(browser, authenticator)

    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["user_id"] == person.user_id
    assert browser.post("/api/auth/refresh").status_code == 200
    (listed,) = person.get("/api/users/me/factors").json()["passkeys"]
    assert listed["name"] == "laptop"
    assert listed["last_used_at"] is not None
    assert sql("select sign_count from passkeys where user_id = $1", person.user_id)[0][0] == authenticator.count


def test_an_answer_is_refused_when_it_is_repeated_copied_forged_or_of_another_site(person: Person, client: httpx.Client) -> None:
    authenticator = add_passkey(person)
    asked = ask(client)
    credential = authenticator.get(asked["options"])
    assert client.post("/api/auth/passkey", json={"token": asked["token"], "credential": credential}).status_code == 200

    def refused(**changes: Any) -> bool:
        forged = Authenticator(**({name: getattr(authenticator, name) for name in Authenticator.__struct_fields__} | changes))
        answer = sign_in(client, forged)
        return (answer.status_code, answer.json()["code"]) == (401, "invalid_passkey")

    assert client.post("/api/auth/passkey", json={"token": asked["token"], "credential": credential}).status_code == 401
    assert refused(count=0), "its counter did not grow"
    assert refused(count=10, origin="http://localhost:9999")
    assert refused(count=10, origin="https://evil.example")
    assert refused(count=10, flags=0x01), "the user was not verified"
    assert refused(count=10, key=Authenticator().key), "another key signed it"
    assert refused(count=10, credential_id=b"unknown")
    assert refused(count=10, user_handle="AAAA"), "another account"
    other = ask(client)
    answer = client.post("/api/auth/passkey", json={"token": other["token"], "credential": authenticator.get(ask(client)["options"])})
    assert answer.status_code == 401, "the answer to another challenge"


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"rawId": 1},
        {"rawId": "é", "id": "x"},
        {"rawId": "AAAA", "response": 1},
        {
            "rawId": "AAAA",
            "id": "AAAA",
            "type": "public-key",
            "response": {"clientDataJSON": "AAAA", "authenticatorData": "AA", "signature": ""},
        },
        {"rawId": "A" * 9_000},
    ],
)
def test_an_answer_that_cannot_be_read_is_refused(person: Person, client: httpx.Client, credential: dict[str, Any]) -> None:
    asked = ask(client)
    known = add_passkey(person).get(asked["options"])

    for sent in (
        credential,
        known | credential if credential else {},
        known | {"response": known["response"] | {"authenticatorData": "AAAA", "signature": "A"}},
    ):
        assert client.post("/api/auth/passkey", json={"token": asked["token"], "credential": sent}).status_code in {401, 429}
    adding = person.post("/api/users/me/passkeys/options").json()["token"]
    answer = person.post("/api/users/me/passkeys", {"token": adding, "name": "x", "credential": credential})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_passkey")


def test_a_disabled_account_does_not_sign_in_with_its_passkey(person: Person, client: httpx.Client, sql: Sql) -> None:
    authenticator = add_passkey(person)
    sql("update users set disabled_at = now() where id = $1", person.user_id)

    assert sign_in(client, authenticator).status_code == 401


def test_a_passkey_is_the_second_factor_and_the_proof(server: Server, person: Person, new_client: Callable[[], httpx.Client]) -> None:
    authenticator = add_passkey(person)
    browser = new_client()
    needed = browser.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()
    assert set(needed["methods"]) == {"passkey", "recovery_code"}
    assert needed["passkey"]["token"] == needed["second_factor_token"]
    body = {"token": needed["second_factor_token"], "credential": authenticator.get(needed["passkey"]["options"])}

    assert browser.post("/api/auth/second-factor", json=body).status_code == 200
    assert browser.post("/api/auth/second-factor", json=body).status_code == 401

    server.clock.offset += 301
    assert person.delete(f"/api/projects/{person.project_id}").json()["code"] == "proof_required"
    asked = person.post("/api/users/me/proof/options").json()["passkey"]
    proof = {"token": asked["token"], "credential": authenticator.get(asked["options"])}
    assert person.post("/api/users/me/proof", proof).status_code == 204
    assert person.post("/api/users/me/proof", proof).status_code == 422
    assert person.delete(f"/api/projects/{person.project_id}").status_code == 204


def test_a_passkey_of_another_account_proves_nothing(person: Person, stranger: Person, new_client: Callable[[], httpx.Client]) -> None:
    add_passkey(person)
    theirs = add_passkey(stranger)
    needed = new_client().post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()
    body = {"token": needed["second_factor_token"], "credential": theirs.get(needed["passkey"]["options"])}

    assert new_client().post("/api/auth/second-factor", json=body).json()["code"] == "invalid_second_factor"
    asked = stranger.post("/api/users/me/proof/options").json()["passkey"]  # bound to the stranger's session
    assert person.post("/api/users/me/proof", {"token": asked["token"], "credential": theirs.get(asked["options"])}).status_code == 422


def test_passkeys_are_named_removed_and_of_their_account(server: Server, person: Person, stranger: Person) -> None:
    add_passkey(person, "laptop")
    add_passkey(person, "phone")
    laptop, phone = (item["passkey_id"] for item in person.get("/api/users/me/factors").json()["passkeys"])

    for passkey in (phone, "0198f3aa-0000-7000-8000-000000000001", "x", "%00"):
        assert stranger.patch(f"/api/users/me/passkeys/{passkey}", {"name": "mine"}).status_code == 404
        assert stranger.delete(f"/api/users/me/passkeys/{passkey}").status_code == 404
    assert person.patch(f"/api/users/me/passkeys/{phone}", {"name": "\u200b"}).status_code == 422
    assert person.patch(f"/api/users/me/passkeys/{phone}", {"name": "key ring"}).status_code == 204
    assert person.delete(f"/api/users/me/passkeys/{laptop}").status_code == 204
    assert [item["name"] for item in person.get("/api/users/me/factors").json()["passkeys"]] == ["key ring"]
    assert person.get("/api/users/me/factors").json()["recovery_codes_left"] == 10
    assert person.delete(f"/api/users/me/passkeys/{phone}").status_code == 204
    assert person.get("/api/users/me/factors").json()["recovery_codes_left"] == 0


def test_the_first_factor_brings_recovery_codes_and_a_second_one_does_not(server: Server, person: Person) -> None:
    secret, codes = add_app(server, person)
    authenticator = Authenticator()
    asked = person.post("/api/users/me/passkeys/options").json()
    body = {"token": asked["token"], "name": "x", "credential": authenticator.create(asked["options"])}

    added = person.post("/api/users/me/passkeys", body)

    assert len(codes) == 10
    assert (added.status_code, added.json()["recovery_codes"]) == (201, [])
    assert person.post("/api/users/me/passkeys", body).status_code == 422, "the request was answered"
    person.delete("/api/users/me/factors/app").raise_for_status()
    needed = person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()
    assert needed["methods"] == ["passkey", "recovery_code"]
    body = {"token": needed["second_factor_token"], "code": code_of(server, secret)}
    assert person.client.post("/api/auth/second-factor", json=body).status_code == 401, "the app was removed"
