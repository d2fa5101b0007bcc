"""Registration: valid requests, and the responses to invalid ones (ids: the table of bad inputs)."""

import asyncio
import json
import secrets
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

JSON = {"Content-Type": "application/json"}


def body(**changes: Any) -> dict[str, Any]:
    name = f"r{secrets.token_hex(6)}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **changes}


def test_an_account_comes_with_a_first_project(client: httpx.Client) -> None:
    answer = client.post("/api/auth/register", json=(sent := body()))

    assert answer.status_code == 201
    assert set(answer.json()) == {"user"}
    assert set(answer.json()["user"]) == {
        "user_id",
        "username",
        "email",
        "created_at",
        "updated_at",
        "default_project_id",
        "administrator",
        "second_factor",
        "email_verified",
        "has_password",
        "kind",
    }
    token = client.post("/api/login", json={"login": sent["username"], "password": PASSWORD}).json()["access_token"]
    projects = client.get("/api/projects", headers={"Authorization": f"Bearer {token}"}).json()
    assert [project["role"] for project in projects["items"]] == ["owner"]
    assert projects["next_cursor"] is None


def test_the_short_path_has_the_same_handler(client: httpx.Client) -> None:
    assert client.post("/api/register", json=body()).status_code == 201


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        pytest.param(b"", 400, "malformed_json", id="A01-empty"),
        pytest.param(b"[]", 422, "invalid", id="A03-list"),
        pytest.param(b'{"username":"bob"', 400, "malformed_json", id="A05-cut"),
        pytest.param(b"{}x", 400, "malformed_json", id="A06-trailing"),
        pytest.param(b'{"username":"\xed\xa0\x80"}', 400, "not_utf8", id="A08-surrogate-bytes"),
        pytest.param(b"\xef\xbb\xbf{}", 400, "malformed_json", id="A10-bom"),
        pytest.param(json.dumps({"username": "bob"}).encode("utf-16"), 400, None, id="A11-utf16"),
        pytest.param(b'{"username":123,"email":"a@b.c","password":"x"}', 422, "invalid", id="A23-number"),
        pytest.param(b'{"username":["a"],"email":"a@b.c","password":"x"}', 422, "invalid", id="A23-list"),
        pytest.param(b'{"username":{},"email":"a@b.c","password":"x"}', 422, "invalid", id="A23-object"),
        pytest.param(b'{"username":null,"email":"a@b.c","password":"x"}', 422, "invalid", id="A23-null"),
        pytest.param(b"[" * 3_000 + b"]" * 1_000, 400, None, id="depth"),
        pytest.param(b'{"username":"\\ud800","email":"a@b.c","password":"x"}', 400, None, id="lone-surrogate"),
    ],
)
def test_a_malformed_body_is_rejected(client: httpx.Client, raw: bytes, status: int, code: str | None) -> None:
    answer = client.post("/api/auth/register", content=raw, headers=JSON)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert code is None or answer.json()["code"] == code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 415, id="A18-no-type"),
        pytest.param({"Content-Type": "text/plain"}, 415, id="text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="form"),
        pytest.param({"Content-Type": "application/json; charset=utf-16"}, 415, id="charset"),
        pytest.param({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, id="A20-gzip"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, 201, id="utf-8"),
    ],
)
def test_only_uncompressed_json_is_accepted(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert client.post("/api/auth/register", content=json.dumps(body()).encode(), headers=headers).status_code == status


def test_a13_a_body_over_4_kib_is_rejected(client: httpx.Client) -> None:
    for path in ("/api/auth/register", "/api/auth/login", "/api/auth/redeem", "/api/auth/token"):
        assert client.post(path, content=b" " * 4_097, headers=JSON).status_code == 413


def test_a_far_too_large_body_gets_a_response_instead_of_a_closed_connection(new_client) -> None:
    answers = [new_client().post("/api/auth/login", content=b" " * 1_000_000, headers=JSON).status_code for _ in range(10)]

    assert answers == [413] * 10


def test_a15_the_connection_of_an_endless_body_is_closed(server: Server) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(
            b"POST /api/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(b"400\r\n" + b" " * 1_024 + b"\r\n" + b"1000\r\n" + b" " * 4_096 + b"\r\n")
        answer = b""
        while part := connection.recv(65_536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a16_a_slow_body_gets_a_response_within_10_s(server: Server) -> None:
    address = urlsplit(server.url)
    started = time.monotonic()
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=15) as connection:
        connection.sendall(b"POST /api/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 10


def test_a21_the_last_of_two_equal_json_keys_applies(client: httpx.Client) -> None:
    first, last = body(), body()
    raw = json.dumps(first)[:-1] + f', "username": "{last["username"]}"' + "}"

    answer = client.post("/api/auth/register", content=raw, headers=JSON)

    assert answer.json()["user"]["username"] == last["username"]


def test_a25_usernames_are_unique_ignoring_case(client: httpx.Client, person: Person) -> None:
    answer = client.post("/api/auth/register", json=body(username=person.username.upper()))

    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")


def test_a53_email_addresses_are_unique_ignoring_case(client: httpx.Client, person: Person) -> None:
    answer = client.post("/api/auth/register", json=body(email=person.email.upper()))

    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"username": "\uff21\uff24\uff2d\uff29\uff2e"}, "not_ascii", id="A26-full-width"),
        pytest.param({"username": "admin\u200b"}, "not_ascii", id="A28-zero-width"),
        pytest.param({"username": "admin "}, "invalid_username", id="A30-space-after"),
        pytest.param({"username": " admin"}, "invalid_username", id="A30-space-before"),
        pytest.param({"username": "ad\tmin"}, "invalid_username", id="A30-tab"),
        pytest.param({"username": "ad\u202emin"}, "not_ascii", id="A31-override"),
        pytest.param({"username": "\u212aelvin"}, "not_ascii", id="A33-kelvin"),
        pytest.param({"username": "\ufb01sh"}, "not_ascii", id="A33-ligature"),
        pytest.param({"username": "\u0130stanbul"}, "not_ascii", id="A33-dotted"),
        pytest.param({"username": "../../etc/passwd"}, "invalid_username", id="A35-path"),
        pytest.param({"username": "<script>alert(1)</script>"}, "invalid_username", id="A36-script"),
        pytest.param({"username": "a\r\nX-Admin: 1"}, "invalid_username", id="A38-header"),
        pytest.param({"username": "a\n"}, "invalid_username", id="newline-after"),
        pytest.param({"username": "a\0b"}, "invalid_username", id="nul"),
        pytest.param({"username": ""}, "invalid_username", id="empty"),
        pytest.param({"username": "a" * 65}, "invalid_username", id="long"),
        pytest.param({"password": "elevenchars"}, "too_short", id="A40-short"),
        pytest.param({"password": "passwordpassword"}, "blocklisted", id="A41-twice"),
        pytest.param({"password": "qwertyuiopasdfg"}, "blocklisted", id="A41-keyboard"),
        pytest.param({"password": "a" * 15}, "blocklisted", id="A41-same"),
        pytest.param({"password": "a good\0password"}, "control_characters", id="A48-nul"),
        pytest.param({"password": "a good\x1bpassword"}, "control_characters", id="A48-escape"),
        pytest.param({"email": "a@b.c\nBcc: x@y"}, "invalid_email", id="A55-header"),
        pytest.param({"email": "nobody"}, "invalid_email", id="no-at"),
        pytest.param({"email": "a@b@c"}, "invalid_email", id="two-ats"),
        pytest.param({"email": "a@b"}, "invalid_email", id="email-without-a-dot"),
        pytest.param({"email": ".a@example.com"}, "invalid_email", id="email-dot-first"),
        pytest.param({"email": "a..b@example.com"}, "invalid_email", id="email-two-dots"),
        pytest.param({"email": "a@-example.com"}, "invalid_email", id="email-hyphen-first"),
        pytest.param({"email": "a@host.invalid"}, "invalid_email", id="email-reserved-domain"),
        pytest.param({"username": "a"}, "invalid_username", id="short"),
        pytest.param({"username": "name."}, "invalid_username", id="dot-last"),
        pytest.param({"username": "Admin"}, "reserved_username", id="reserved"),
        pytest.param({"username": "support"}, "reserved_username", id="reserved-role"),
    ],
)
def test_invalid_fields_are_rejected(client: httpx.Client, changes: dict[str, str], code: str) -> None:
    answer = client.post("/api/auth/register", json=body(**changes))

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert all(value not in answer.text for value in changes.values() if len(value) > 2)


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("🦀🐙🦑🦐🐠🐟🐡🐬🦈🐳🐋🐊🐅🐆🦓", id="A43-emoji"),
        pytest.param("  spaces at both ends  ", id="A45-spaces"),
        pytest.param(secrets.token_hex(128), id="A46-256-characters"),
    ],
)
def test_a_password_is_kept_unchanged(client: httpx.Client, password: str) -> None:
    sent = body(password=password)
    assert client.post("/api/auth/register", json=sent).status_code == 201

    assert client.post("/api/auth/login", json={"login": sent["username"], "password": password}).status_code == 200
    assert client.post("/api/auth/login", json={"login": sent["username"], "password": password[:-1]}).status_code == 401
    assert client.post("/api/auth/login", json={"login": sent["username"], "password": password.strip() + "!"}).status_code == 401


@pytest.mark.parametrize(
    "spell",
    [pytest.param(lambda name, _: name, id="A50-same"), pytest.param(lambda name, i: name.upper() if i % 2 else name, id="A51-case")],
)
async def test_one_of_fifty_concurrent_registrations_succeeds(server: Server, spell: Any) -> None:
    name = f"race{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=50)) as client:
        bodies = [body(username=spell(name, number)) for number in range(50)]
        answers = await asyncio.gather(*(client.post("/api/auth/register", json=one) for one in bodies))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49
