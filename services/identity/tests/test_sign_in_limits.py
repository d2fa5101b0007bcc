"""Failed sign-ins: one counter per account, slower with each failure, and no lockout of the owner."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

from ams_identity.failures import FAILURES_MAX

NewClient = Callable[[], httpx.Client]


@pytest.fixture
def later(server: Server) -> Iterator[Callable[[float], None]]:
    """Moves the clock of the server, and back at the end."""
    before = server.clock.offset

    def move(seconds: float) -> None:
        server.clock.offset += seconds

    yield move
    server.clock.offset = before


def attempt(client: httpx.Client, login: str, password: str = "not the password") -> httpx.Response:
    return client.post("/api/auth/login", json={"login": login, "password": password})


def fail_until_closed(new_client: NewClient, later: Callable[[float], None], names: list[str]) -> int:
    """Fail from new addresses, as slowly as asked, until the wait exceeds a minute. Returns the number of verified attempts."""
    verified = 0
    for number in range(40):
        answer = attempt(new_client(), names[number % len(names)])
        if answer.status_code == 401:
            verified += 1
        else:
            assert answer.status_code == 429
            wait = int(answer.headers["retry-after"])
            if verified == FAILURES_MAX:
                return verified
            later(wait)
    raise AssertionError("the counter never closed")


def test_an_account_has_one_counter_whatever_name_is_typed(person: Person, new_client: NewClient, later: Callable[[float], None]) -> None:
    names = [person.username, person.email, person.username.upper(), f" {person.email.upper()} "]

    assert fail_until_closed(new_client, later, names) == FAILURES_MAX
    assert attempt(new_client(), person.username, PASSWORD).status_code == 429


def test_a_name_that_no_account_has_behaves_the_same(new_client: NewClient, later: Callable[[float], None]) -> None:
    assert fail_until_closed(new_client, later, [f"nobody{secrets.token_hex(4)}"]) == FAILURES_MAX


def test_each_failure_makes_the_next_attempt_wait_longer(person: Person, new_client: NewClient, later: Callable[[float], None]) -> None:
    waits = []
    for _ in range(3):
        assert attempt(new_client(), person.username).status_code == 401
    for _ in range(5):
        answer = attempt(new_client(), person.username)
        waits.append(int(answer.headers["retry-after"]))
        later(waits[-1])
        assert attempt(new_client(), person.username).status_code == 401

    assert waits == [1, 2, 4, 8, 16]


def test_the_owner_signs_in_on_a_known_device_while_others_fail(
    person: Person, new_client: NewClient, later: Callable[[float], None]
) -> None:
    fail_until_closed(new_client, later, [person.username])

    assert attempt(person.client, person.username, PASSWORD).status_code == 200
    assert attempt(new_client(), person.username, PASSWORD).status_code == 429


def test_a_known_device_has_its_own_limit(person: Person, later: Callable[[float], None]) -> None:
    codes = Counter()
    for _ in range(30):
        answer = attempt(person.client, person.username)
        codes[answer.status_code] += 1
        later(min(int(answer.headers.get("retry-after", 0)), 64))
        if codes[401] == FAILURES_MAX:
            break

    assert attempt(person.client, person.username, PASSWORD).status_code == 429


def test_the_failures_end_after_fifteen_minutes(person: Person, new_client: NewClient, later: Callable[[float], None]) -> None:
    fail_until_closed(new_client, later, [person.username])

    later(901)

    assert attempt(new_client(), person.username, PASSWORD).status_code == 200


def test_a_device_cookie_of_another_account_or_a_forged_one_is_ignored(
    person: Person, stranger: Person, new_client: NewClient, later: Callable[[float], None]
) -> None:
    fail_until_closed(new_client, later, [person.username])
    (name, value), *_ = [(cookie.name, cookie.value) for cookie in person.client.cookies.jar if cookie.name.startswith("ams_device_")]
    (theirs,) = [cookie.value for cookie in stranger.client.cookies.jar if cookie.name.startswith("ams_device_")]

    for forged in (theirs, (value or "")[:-1] + "A", "", "x" * 5_000, f"{'a' * 22}.{'9' * 12}.{'A' * 43}"):
        client = new_client()
        client.headers["Cookie"] = f"{name}={forged}"
        assert attempt(client, person.username, PASSWORD).status_code == 429


async def test_attempts_at_the_same_time_cannot_pass_the_limit_together(server: Server, person: Person) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def one(number: int) -> int:
            answer = await client.post(
                "/api/auth/login",
                json={"login": person.username, "password": "not the password"},
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            )
            return answer.status_code

        answers = Counter(await asyncio.gather(*(one(number) for number in range(1, 60))))

    assert answers[401] <= 4
    assert answers[401] + answers[429] == 59


def test_changing_the_password_has_a_limit_of_its_own(person: Person, later: Callable[[float], None]) -> None:
    body = {"password": "not the password", "new_password": "another good password"}
    for _ in range(40):
        answer = person.post("/api/users/me/password", body)
        if answer.status_code == 429 and int(answer.headers["retry-after"]) > 64:
            break
        later(int(answer.headers.get("retry-after", 0)))

    assert answer.status_code == 429
    assert attempt(person.client, person.username, PASSWORD).status_code == 200


def test_the_bodies_of_refusals_hold_no_password(person: Person) -> None:
    assert "not the password" not in json.dumps(attempt(person.client, person.username).json())
