"""Tokens that are revoked while Redis is frozen, down or emptied: no service accepts one of them once the caller has an answer."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Self

import httpx
import msgspec
import pytest
from services.identity.tests.clients import Person
from services.identity.tests.other_service import service

from ams_identity.app import make_app
from ams_identity.settings import Settings
from ams_kit.testing.serving import serving
from ams_kit.testing.valkey import ValkeyServer

PEOPLE = 6

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def identity(settings: Settings, redis: ValkeyServer) -> Iterator[httpx.Client]:
    """A replica of identity with a Redis of its own."""
    with serving(make_app(msgspec.structs.replace(settings, redis_url=redis.url))) as url, httpx.Client(base_url=url, timeout=30) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def other(settings: Settings, redis: ValkeyServer, identity: httpx.Client) -> Iterator[httpx.Client]:
    """Another service with the same Redis, and without the log."""
    with service(str(identity.base_url), msgspec.structs.replace(settings, redis_url=redis.url), "other") as client:
        yield client


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Sampler:
    """Uses tokens all the time, and counts the answers that came to requests sent after their revocation."""

    def __init__(self, client: httpx.Client, people: list[Person]) -> None:
        self.answers: Counter[int] = Counter()
        self.revoked: set[str] = set()
        self._url = client.base_url
        self._people = people
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._use, args=(person,)) for person in people]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _use(self, person: Person) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._stop.is_set():
                was_revoked = person.user_id in self.revoked
                status = client.get("/who", headers=person.headers).status_code
                if was_revoked:
                    self.answers[status] += 1
                time.sleep(0.01)


def sign_out(identity: httpx.Client, sampler: Sampler, people: list[Person]) -> list[int]:
    """Sign people out at once. A token counts as revoked as soon as its request has an answer, whatever it is."""
    statuses: list[int] = []

    def one(person: Person) -> None:
        statuses.append(identity.post("/api/auth/logout", headers=person.headers).status_code)
        sampler.revoked.add(person.user_id)

    threads = [threading.Thread(target=one, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


OUTAGES = {"frozen": (ValkeyServer.freeze, ValkeyServer.resume), "killed": (ValkeyServer.stop, ValkeyServer.start)}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_token_that_is_revoked_while_redis_is_down_is_never_accepted(
    identity: httpx.Client, other: httpx.Client, redis: ValkeyServer, new_person: Callable[[], Person], outage: str
) -> None:
    begin, end = OUTAGES[outage]
    people = [new_person() for _ in range(PEOPLE)]
    stays = new_person()
    until(lambda: all(other.get("/who", headers=person.headers).status_code == 200 for person in (*people, stays)))

    with Sampler(other, people) as sampler:
        begin(redis)
        assert set(sign_out(identity, sampler, people)) == {503}
        unknown = other.get("/who", headers=stays.headers)
        assert (unknown.status_code, unknown.json()["code"], unknown.headers["retry-after"]) == (503, "revocation_unknown", "1")
        assert {identity.get("/api/me", headers=person.headers).status_code for person in people} == {401}
        assert identity.get("/api/me", headers=stays.headers).status_code == 200
        end(redis)
        until(lambda: other.get("/who", headers=stays.headers).status_code == 200)
        until(lambda: sampler.answers[401] > 10 * PEOPLE)

    assert set(sampler.answers) <= {401, 503}, sampler.answers
    assert sampler.answers[503] > 0


def test_a_token_that_is_revoked_during_a_short_freeze_is_refused_from_the_answer_on(
    identity: httpx.Client, other: httpx.Client, redis: ValkeyServer, new_person: Callable[[], Person]
) -> None:
    people = [new_person() for _ in range(PEOPLE)]
    until(lambda: all(other.get("/who", headers=person.headers).status_code == 200 for person in people))

    with Sampler(other, people) as sampler:
        redis.freeze()
        threading.Timer(1.5, redis.resume).start()
        assert set(sign_out(identity, sampler, people)) == {204}
        until(lambda: sampler.answers[401] > 5 * PEOPLE)

    assert set(sampler.answers) <= {401, 503}, sampler.answers


def test_an_emptied_redis_lets_no_revoked_token_pass(
    identity: httpx.Client, other: httpx.Client, redis: ValkeyServer, new_person: Callable[[], Person]
) -> None:
    people = [new_person() for _ in range(PEOPLE)]
    stays = new_person()
    until(lambda: other.get("/who", headers=stays.headers).status_code == 200)

    with Sampler(other, people) as sampler:
        assert set(sign_out(identity, sampler, people[: PEOPLE // 2])) == {204}
        for _ in range(5):
            redis.empty()
            time.sleep(0.1)
        assert set(sign_out(identity, sampler, people[PEOPLE // 2 :])) == {204}
        until(lambda: other.get("/who", headers=stays.headers).status_code == 200)
        until(lambda: sampler.answers[401] > 5 * PEOPLE)

    assert set(sampler.answers) <= {401, 503}, sampler.answers


def test_without_identity_the_lease_ends_and_no_token_is_accepted(
    settings: Settings, redis: ValkeyServer, new_person: Callable[[], Person]
) -> None:
    person = new_person()
    own = msgspec.structs.replace(settings, redis_url=redis.url)
    with contextlib.ExitStack() as identity:
        url = identity.enter_context(serving(make_app(own)))
        with service(url, own, "other") as other:
            until(lambda: other.get("/who", headers=person.headers).status_code == 200)
            identity.close()

            until(lambda: other.get("/who", headers=person.headers).status_code == 503)
            assert other.get("/who", headers=person.headers).json()["code"] == "revocation_unknown"
