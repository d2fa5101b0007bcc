"""The second factor: an authenticator app and recovery codes, signing in in two steps, and what requires a recent proof."""

from collections.abc import Callable
from typing import Any

import httpx
import pyotp
import pytest
from cryptography.exceptions import InvalidTag
from services.identity.tests.clients import PASSWORD, Person, Server
from services.identity.tests.factors import add_app, code_of

from ams_identity import challenges, recovery_codes, totp
from ams_kit.sealing import seal, unseal

pytestmark = pytest.mark.usefixtures("moved_clock")

Sql = Callable[..., list[Any]]
KEY = b"k" * 32


def first_step(person: Person, client: httpx.Client | None = None) -> str:
    answer = (client or person.client).post("/api/auth/login", json={"login": person.username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    assert "access_token" not in answer.json()
    assert "set-cookie" not in answer.headers
    return answer.json()["second_factor_token"]


def second_step(client: httpx.Client, token: str, code: str) -> httpx.Response:
    return client.post("/api/auth/second-factor", json={"token": token, "code": code})


def test_a_code_is_accepted_in_its_window_and_once() -> None:
    secret = totp.new_secret()
    generator = pyotp.TOTP(secret)
    now = 1_000_000 * totp.STEP_SECONDS + 7.0

    assert [totp.step_of(secret, generator.at(int(now) + step * totp.STEP_SECONDS), now_s=now, after=0) for step in (-2, -1, 0, 1, 2)] == [
        None,
        999_999,
        1_000_000,
        1_000_001,
        None,
    ]
    assert totp.step_of(secret, generator.at(int(now)), now_s=now, after=1_000_000) is None
    assert [totp.step_of(secret, code, now_s=now, after=0) for code in ("", "12345", "1234567", "\uff11" * 6, "12345a")] == [None] * 5


def test_recovery_codes_are_read_as_people_type_them() -> None:
    codes = recovery_codes.new_codes()

    assert len(set(codes)) == recovery_codes.CODES
    expected = recovery_codes.hash_of("a", codes[0])
    assert expected is not None
    assert recovery_codes.hash_of("a", f" {codes[0].upper().replace('-', ' ')}\n") == expected
    assert recovery_codes.hash_of("b", codes[0]) != expected
    assert [recovery_codes.hash_of("a", text) for text in ("", codes[0][:-1], codes[0] + "a", "0" * 16, "\u017f" * 16)] == [None] * 5


def test_a_challenge_is_for_one_purpose_binding_and_time() -> None:
    token = challenges.issue(KEY, "second-factor", "someone", expires_s=100, nonce="n", binding=b"hash")

    read = challenges.read(KEY, "second-factor", token, now_s=99, binding=b"hash")
    assert read is not None
    assert (read.subject, read.expires_s, read.digest) == ("someone", 100, challenges.digest_of(token))
    assert challenges.read(KEY, "second-factor", token, now_s=100, binding=b"hash") is None
    assert challenges.read(KEY, "second-factor", token, now_s=99, binding=b"other") is None
    assert challenges.read(KEY, "passkey-proof", token, now_s=99, binding=b"hash") is None
    assert challenges.read(b"x" * 32, "second-factor", token, now_s=99, binding=b"hash") is None
    for forged in (
        "",
        "....",
        token + "x",
        token.replace("someone", "another"),
        "x" * 300,
        "second-factor.a.9é.n.m",
        token.replace("100", "1000"),
    ):
        assert challenges.read(KEY, "second-factor", forged, now_s=99, binding=b"hash") is None


def test_a_sealed_secret_opens_for_its_account_only() -> None:
    sealed = seal(KEY, b"secret", "someone")

    assert b"secret" not in sealed
    assert unseal(KEY, sealed, "someone") == b"secret"
    for key, value, context in ((KEY, sealed, "another"), (b"x" * 32, sealed, "someone"), (KEY, sealed[:-1] + b"x", "someone")):
        with pytest.raises(InvalidTag):
            unseal(key, value, context)


def test_an_account_with_an_app_signs_in_in_two_steps(
    server: Server, person: Person, new_client: Callable[[], httpx.Client], sql: Sql
) -> None:
    phone = new_client()
    other = phone.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()["access_token"]
    secret, codes = add_app(server, person)

    assert person.get("/api/users/me").json()["second_factor"] is True
    assert phone.get("/api/users/me", headers={"Authorization": f"Bearer {other}"}).status_code == 401  # it began without a factor
    assert len(codes) == 10
    assert secret.encode() not in sql("select sealed_secret from totp_factors where user_id = $1", person.user_id)[0][0]

    token = first_step(person, phone)
    assert phone.get("/api/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert phone.post("/api/auth/refresh").status_code == 401
    wrong = second_step(phone, token, "000000")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_second_factor")
    code = code_of(server, secret)
    done = second_step(phone, token, f"{code[:3]} {code[3:]}")
    assert done.status_code == 200
    assert done.headers["cache-control"] == "no-store"
    assert phone.get("/api/users/me", headers={"Authorization": f"Bearer {done.json()['access_token']}"}).status_code == 200

    server.clock.offset += totp.STEP_SECONDS  # so that the app shows another code
    assert second_step(phone, token, code_of(server, secret)).json()["code"] == "invalid_second_factor"  # the token was used
    again = second_step(phone, first_step(person, phone), code)
    assert again.json()["code"] == "invalid_second_factor"  # the code was used


def test_a_first_step_ends_after_five_minutes_and_with_the_password(server: Server, person: Person, sql: Sql) -> None:
    secret, _ = add_app(server, person)
    old, other = first_step(person), first_step(person)
    server.clock.offset += 301

    assert second_step(person.client, old, code_of(server, secret)).json()["code"] == "sign_in_expired"

    late = first_step(person)
    sql("update users set password_hash = 'changed' where id = $1", person.user_id)
    assert second_step(person.client, late, code_of(server, secret)).json()["code"] == "sign_in_expired"
    for forged in ("x", other.replace(person.user_id, "0198f3aa-0000-7000-8000-000000000001"), other[:-1]):
        assert second_step(person.client, forged, code_of(server, secret)).status_code == 401


def test_a_recovery_code_works_once(server: Server, person: Person, sql: Sql) -> None:
    _, codes = add_app(server, person)

    assert second_step(person.client, first_step(person), codes[0]).status_code == 200
    assert second_step(person.client, first_step(person), codes[0]).status_code == 401
    assert second_step(person.client, first_step(person), codes[1].upper()).status_code == 200
    assert person.get("/api/users/me/factors").json()["recovery_codes_left"] == 8
    actions = [row[0] for row in sql("select action from audit where user_id = $1 order by audit_id", person.user_id)]
    assert actions.count("factor.recovery_code_used") == 2
    assert "factor.app_added" in actions


def test_wrong_codes_count_with_wrong_passwords(person: Person, server: Server, new_client: Callable[[], httpx.Client]) -> None:
    add_app(server, person)
    stranger = new_client()
    tokens = [first_step(person, stranger)]
    statuses: list[int] = []
    for _ in range(12):
        statuses.append(second_step(stranger, tokens[0], "000000").status_code)
        server.clock.offset += 65  # past the delay, which grows to 64 s
        if statuses[-1] == 401:
            tokens = [first_step(person, stranger)] if len(statuses) < 10 else tokens

    assert statuses[:10] == [401] * 10
    assert 429 in statuses[10:]
    assert stranger.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 429


def test_an_operators_link_asks_for_the_second_factor_too(server: Server, person: Person, service_headers: dict[str, str]) -> None:
    secret, _ = add_app(server, person)
    code = person.client.post("/internal/signin-codes", json={"user_id": person.user_id}, headers=service_headers).json()["code"]

    answer = person.client.post("/api/auth/redeem", json={"code": code}).json()

    assert "access_token" not in answer
    assert second_step(person.client, answer["second_factor_token"], code_of(server, secret)).status_code == 200


def test_a_machine_account_has_no_second_factor(client: httpx.Client, service_headers: dict[str, str]) -> None:
    account = client.post("/internal/accounts", json={"username": "machine"}, headers=service_headers).json()
    code = client.post("/internal/signin-codes", json={"user_id": account["user_id"]}, headers=service_headers).json()["code"]
    token = client.post("/api/auth/redeem", json={"code": code}).json()["access_token"]

    answer = client.post("/api/users/me/factors/app", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["code"]) == (409, "machine_account")


DANGEROUS: list[tuple[str, str, Any]] = [
    ("DELETE", "/api/projects/{project}", None),
    ("PATCH", "/api/projects/{project}", {"second_factor_required": True}),
    ("POST", "/api/projects/{project}/members", {"username": "nobody-here", "role": "owner"}),
    ("PATCH", "/api/projects/{project}/members/{user}", {"role": "owner"}),
    ("POST", "/api/projects/{project}/invitations", {"role": "owner"}),
    ("POST", "/api/users/me/factors/app", None),
    ("POST", "/api/users/me/factors/app/confirm", {"code": "000000"}),
    ("DELETE", "/api/users/me/factors/app", None),
    ("POST", "/api/users/me/factors/recovery-codes", None),
    ("POST", "/api/users/me/passkeys/options", None),
    ("POST", "/api/users/me/passkeys", {"token": "x", "name": "x", "credential": {}}),
    ("DELETE", "/api/users/me/passkeys/0198f3aa-0000-7000-8000-000000000001", None),
]


def test_a_dangerous_action_requires_a_proof_within_five_minutes(server: Server, person: Person) -> None:
    server.clock.offset += 301

    for method, path, body in DANGEROUS:
        url = path.replace("{project}", person.project_id).replace("{user}", person.user_id)
        answer = (
            person.client.request(method, url, headers=person.headers, json=body)
            if body
            else person.client.request(method, url, headers=person.headers)
        )
        assert (answer.status_code, answer.json()["code"], answer.json()["methods"]) == (403, "proof_required", ["password"]), (
            method,
            path,
        )
    assert person.post("/api/projects/" + person.project_id + "/invitations", {"role": "viewer"}).status_code == 201

    assert person.post("/api/users/me/proof", {"password": "wrong"}).json()["code"] == "wrong_password"
    assert person.delete(f"/api/projects/{person.project_id}").status_code == 403
    assert person.post("/api/users/me/proof", {"password": PASSWORD}).status_code == 204
    assert person.delete(f"/api/projects/{person.project_id}").status_code == 204


def test_an_account_with_a_factor_proves_that_and_not_its_password(server: Server, person: Person) -> None:
    secret, codes = add_app(server, person)
    server.clock.offset += 301

    refused = person.delete("/api/users/me/factors/app")
    assert refused.json()["methods"] == ["totp", "recovery_code"]
    assert person.post("/api/users/me/proof/options").json() == {"methods": ["totp", "recovery_code"], "passkey": None}
    assert person.post("/api/users/me/proof", {"password": PASSWORD}).json()["code"] == "second_factor_required"
    assert person.post("/api/users/me/proof", {"code": "000000"}).json()["code"] == "invalid_second_factor"
    for body in ({}, {"code": "1", "password": "2"}):
        assert person.post("/api/users/me/proof", body).json()["code"] == "one_proof"
    changes = {"password": PASSWORD, "new_password": "a sentence that nobody else has"}
    assert person.post("/api/users/me/password", changes).json()["code"] == "proof_required"
    assert person.post("/api/users/me/email", {"password": PASSWORD, "email": "new@example.org"}).json()["code"] == "proof_required"
    assert person.post("/api/users/me/delete", {"password": PASSWORD}).json()["code"] == "proof_required"

    assert person.post("/api/users/me/proof", {"code": code_of(server, secret)}).status_code == 204
    assert len(person.post("/api/users/me/factors/recovery-codes").json()["codes"]) == 10
    person.token = person.client.post("/api/auth/refresh").json()["access_token"]
    server.clock.offset += 301
    assert person.post("/api/users/me/proof", {"code": codes[0]}).json()["code"] == "invalid_second_factor"  # replaced
    assert person.post("/api/users/me/proof", {"code": code_of(server, secret)}).status_code == 204
    assert person.delete("/api/users/me/factors/app").status_code == 204
    assert person.get("/api/users/me/factors").json() == {
        "app_since": None,
        "passkeys": [],
        "recovery_codes_left": 0,
        "passkeys_possible": True,
    }
    assert "access_token" in person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()


def test_an_administrator_removes_lost_factors(server: Server, person: Person, stranger: Person, sql: Sql) -> None:
    add_app(server, person)
    path = f"/api/users/{person.user_id}/factors"
    assert stranger.delete(path).json()["code"] == "not_administrator"
    sql("update users set administrator = true where id = $1", stranger.user_id)

    assert stranger.delete(path).status_code == 204
    assert stranger.delete(path).status_code == 204

    assert "access_token" in person.client.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).json()
    rows = sql("select user_id::text from audit where action = 'factor.all_removed' and subject = $1", person.user_id)
    assert [row[0] for row in rows] == [stranger.user_id]
