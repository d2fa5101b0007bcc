"""The rules for new passwords, their normalization, and what a stored hash may cost."""

import asyncio
import unicodedata
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from services.identity.tests.clients import PASSWORD, Person

from ams_identity.common_passwords import is_listed
from ams_identity.password_rules import password_faults
from ams_identity.passwords import Passwords

Sql = Callable[..., Any]

WEAK = [
    "Password1234!", "iloveyou123456", "Summer2026!!", "P@ssw0rd2026!!", "password12345", "PASSWORD123456", "letmein123456", "Welcome2026!!", "qwerty123456",
    "1qaz2wsx3edc", "zaq12wsxcde3", "monkey123456", "Football2026", "sunshine1234!", "princess12345", "dragon!!!!!2026", "trustno1trustno1", "abcdefghijkl", "123456789012",
    "adminadminadmin", "changeme2026!", "Winter2025!!", "September2026", "starwars12345", "ams-platform-2026", "AMSagents2026!!", "traces-and-agents".replace("-and-", "-"),
    "opentelemetry1", "grace.hopper2026", "grace.hopper@navy.example", "hopper1906!!!!", "000000000000", "aaaaaaaaaaaab", "qwertyuiop[]", "iloveyouiloveyou", "michaelmichael",
    "passw0rdpassw0rd", "baseball123!!",
]  # fmt: skip


def codes(password: str) -> list[str]:
    faults = password_faults(password, chars_min=12, username="grace.hopper", email="grace.hopper@navy.example")
    return [fault.code for fault in faults]


@pytest.mark.parametrize("password", WEAK)
def test_a_weak_password_is_refused(password: str) -> None:
    assert codes(password)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "a long enough password",
        "grace likes green bicycles",
        "xk29fjq0zmdk",
        "Zug um Zug ins Gebirge",
        "пароль не для всех людей",
        "七転び八起き七転び八起きの人生",
        "tK9$wq!27bNz",
    ],
)
def test_a_password_that_is_hard_to_guess_passes(password: str) -> None:
    assert codes(password) == []


def test_the_list_has_common_passwords_and_few_others() -> None:
    assert all(is_listed(word) for word in ("password", "Qwerty", "superman", "iloveyou", "1q2w3e4r5t6y"))
    assert sum(is_listed(f"not a listed one {number}") for number in range(10_000)) < 10


@pytest.mark.parametrize("password", ["a" * 256, "ab1" * 85, "x1!" * 60 + "y", "\u3042" * 200, "aA" * 128])
def test_examining_a_long_password_is_bounded(password: str) -> None:
    assert codes(password)


def test_all_faults_of_a_form_are_reported_at_once(client: httpx.Client) -> None:
    answer = client.post("/api/auth/register", json={"username": "-", "email": "nobody", "password": "short\x1b"})

    assert answer.status_code == 422
    faults = {(fault["key"], fault["code"]) for fault in answer.json()["errors"]}
    assert {
        ("username", "invalid_username"),
        ("email", "invalid_email"),
        ("password", "too_short"),
        ("password", "control_characters"),
    } <= faults
    assert all(fault["message"].count(".") >= 1 for fault in answer.json()["errors"])


def test_unknown_fields_are_refused(client: httpx.Client) -> None:
    body = {"username": "somebody", "email": "somebody@example.com", "password": PASSWORD, "role": "owner"}

    assert client.post("/api/auth/register", json=body).status_code == 422
    assert client.post("/api/auth/login", json={"login": "somebody", "password": PASSWORD, "remember": True}).status_code == 422


def test_the_rules_are_public_and_those_of_the_service(client: httpx.Client) -> None:
    rules = client.get("/api/auth/rules").json()

    assert (rules["password_chars_min"], rules["password_chars_max"]) == (12, 256)
    assert "2 to 64" in rules["username_rule"]


def test_two_spellings_of_one_password_are_the_same(person: Person) -> None:
    composed = unicodedata.normalize("NFC", "Füße auf grünem Gras")
    person.post("/api/users/me/password", {"password": PASSWORD, "new_password": unicodedata.normalize("NFD", composed)}).raise_for_status()

    for spelling in ("NFC", "NFD", "NFKC", "NFKD"):
        body = {"login": person.username, "password": unicodedata.normalize(spelling, composed)}
        assert person.client.post("/api/auth/login", json=body).status_code == 200


def test_a_hash_from_before_normalization_matches_and_is_replaced(person: Person, sql: Sql) -> None:
    typed = unicodedata.normalize("NFD", "Füße auf grünem Gras")
    old = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(typed)
    sql("update users set password_hash = $2 where id = $1", person.user_id, old)

    assert person.client.post("/api/auth/login", json={"login": person.username, "password": typed}).status_code == 200

    composed = unicodedata.normalize("NFC", typed)
    assert person.client.post("/api/auth/login", json={"login": person.username, "password": composed}).status_code == 200
    assert sql("select password_hash from users where id = $1", person.user_id)[0]["password_hash"] != old


def test_the_same_password_is_no_change(person: Person) -> None:
    answer = person.post("/api/users/me/password", {"password": PASSWORD, "new_password": PASSWORD})

    assert (answer.status_code, answer.json()["code"]) == (422, "same_password")


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=2097152,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=19456,t=4000000,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=19456,t=2,p=255$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$" + "x" * 10_000,
        "garbage",
        "",
    ],
)
async def test_a_stored_hash_with_absurd_parameters_is_not_computed(stored: str) -> None:
    passwords = Passwords()
    try:
        assert not await asyncio.wait_for(passwords.matches(stored, PASSWORD), 5)
    finally:
        passwords.close()


@pytest.mark.parametrize("email", ["Jürgen@Bücher.example.com", "用户@example.com"])
def test_an_international_address_has_one_canonical_form(client: httpx.Client, email: str) -> None:
    name = f"i{abs(hash(email))}"
    body = {"username": name, "email": email, "password": PASSWORD}
    assert client.post("/api/auth/register", json=body).status_code == 201

    again = client.post("/api/auth/register", json={**body, "username": f"{name}x", "email": unicodedata.normalize("NFD", email).upper()})

    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert client.post("/api/auth/login", json={"login": email, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("name", ["\u200b", "\u2060\u2060", "\u3164", "\u2800", "\u00a0", "\ufe0f", "\u0301"])
def test_a_project_name_without_visible_characters_is_refused(person: Person, name: str) -> None:
    assert person.post("/api/projects", {"name": name}).status_code == 422
