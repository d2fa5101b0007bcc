"""Many sign-ins at once: one account or address does not block others, and the process stays ready."""

import asyncio
import threading
from collections import Counter

import httpx
import pytest
from services.identity.tests.clients import PASSWORD, Person, Server

from ams_identity.passwords import WAITING_PER_CLIENT_MAX, Passwords
from ams_kit.errors import TooManyError


async def test_an_account_that_fills_its_share_of_the_queue_leaves_room_for_others() -> None:
    passwords = Passwords()
    gate = threading.Event()
    try:
        flood = [asyncio.create_task(passwords._run(gate.wait, None, ("account:a", f"address:{n}"))) for n in range(230)]
        await asyncio.sleep(0)
        other = asyncio.create_task(passwords._run(lambda: "signed in", None, ("account:b", "address:b")))
        await asyncio.sleep(0)
        refused = [task for task in flood if task.done() and isinstance(task.exception(), TooManyError)]
        assert len(refused) == 230 - 2 - WAITING_PER_CLIENT_MAX

        gate.set()
        assert await asyncio.wait_for(other, 10) == "signed in"
        await asyncio.gather(*flood, return_exceptions=True)
        assert not passwords._waiting_by_client
    finally:
        passwords.close()


async def test_correct_sign_ins_of_one_account_are_limited_and_do_not_stop_another(
    server: Server, person: Person, stranger: Person
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def sign_in(name: str, address: str) -> int:
            answer = await client.post("/api/auth/login", json={"login": name, "password": PASSWORD}, headers={"X-Forwarded-For": address})
            return answer.status_code

        flood = [asyncio.create_task(sign_in(person.username, f"192.0.2.{number % 200 + 1}")) for number in range(230)]
        await asyncio.sleep(0.05)
        other = await sign_in(stranger.username, "198.51.100.7")
        ready = (await client.get("/readyz")).status_code
        answers = Counter(await asyncio.gather(*flood))

    assert (other, ready) == (200, 200)
    assert set(answers) <= {200, 429}
    assert answers[200] <= 30
    assert answers[429] >= 200


@pytest.mark.parametrize("padded", [" {} ", "\t{}", "{}\n"])
def test_spaces_around_the_name_are_ignored(client: httpx.Client, person: Person, padded: str) -> None:
    for name in (person.email, person.username):
        assert client.post("/api/auth/login", json={"login": padded.format(name), "password": PASSWORD}).status_code == 200
