"""Rotation of the signing keys under load, and of ``AMS_SECRET_KEY``."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Generator

import asyncpg
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from services.identity.tests.clients import PASSWORD, Clock, Server
from services.identity.tests.conftest import wait_until_ready

from ams_contracts.claims import AccessClaims
from ams_identity.app import make_app
from ams_identity.migrations.run import migrate
from ams_identity.root_secret import RootSecret, WrongSecretError
from ams_identity.sessions import COOKIE
from ams_identity.settings import Settings
from ams_identity.signing import PUBLISHED_BEFORE, SigningKeys, wrap
from ams_identity.store import signing_keys
from ams_identity.tokens import derive_key
from ams_kit.auth import Verifier
from ams_kit.auth.jwks import SIGNED_AFTER_END_SECONDS, JwksKeys, VerificationKey
from ams_kit.errors import UnauthenticatedError
from ams_kit.testing.serving import serving

ROTATIONS = 20
ROTATE = "/internal/signing-keys/rotate"


class NothingRevoked:
    """A revocation list that knows no revocation."""

    async def check(self, claims: AccessClaims) -> None:
        pass


@pytest.fixture
def replicas(empty_database_url: str, settings: Settings) -> Generator[list[Server]]:
    """Two replicas of identity on a database of their own, with one clock."""
    migrate(empty_database_url)
    clock, own = Clock(), msgspec.structs.replace(settings, database_url=empty_database_url)
    with contextlib.ExitStack() as stack:
        servers: list[Server] = []
        for _ in range(2):
            app = make_app(own, now_s=clock, keys_reload_seconds=0.1)
            servers.append(Server(stack.enter_context(serving(app)), app, clock, own))
        for server in servers:
            wait_until_ready(server.url)
        yield servers


async def status_of_me(http: httpx.AsyncClient, replica: Server, token: str) -> int:
    return (await http.get(f"{replica.url}/api/users/me", headers={"Authorization": f"Bearer {token}"})).status_code


async def status_of(verifier: Verifier, token: str) -> int:
    try:
        await verifier.verify(token)
    except UnauthenticatedError:
        return 401
    return 200


async def load(replicas: list[Server], cookie: str, verifiers: list[Verifier], seen: list[int], stop: asyncio.Event) -> None:
    """Refresh at one replica, use the token at the other one and in other services, again and again."""
    async with httpx.AsyncClient(timeout=30) as http:
        for turn in itertools.count():
            if stop.is_set():
                return
            one, other = replicas[turn % 2], replicas[(turn + 1) % 2]
            refreshed = await http.post(f"{one.url}/api/auth/refresh", headers={"Cookie": f"{COOKIE}={cookie}"})
            seen.append(refreshed.status_code)
            cookie, token = refreshed.cookies[COOKIE], refreshed.json()["access_token"]
            seen += [await status_of_me(http, replica, token) for replica in (other, one)]
            seen += [await status_of(verifier, token) for verifier in verifiers]


async def test_twenty_rotations_under_load_refuse_no_token(replicas: list[Server], service_headers: dict[str, str]) -> None:
    clock = replicas[0].clock
    seen: list[int] = []
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=replica.url, timeout=30)) for replica in replicas]
        account = {"username": "rotating", "email": "rotating@example.com", "password": PASSWORD}
        (await clients[0].post("/api/auth/register", json=account)).raise_for_status()
        issuer = replicas[0].settings.public_url
        verifiers = [
            Verifier(JwksKeys(client, monotonic=clock), NothingRevoked(), issuer=issuer, now_s=clock)
            for client in clients
            for _ in range(2)
        ]
        cookies: list[str] = []
        for _ in range(3):
            answer = await clients[0].post("/api/auth/login", json={"login": "rotating", "password": PASSWORD})
            cookies.append(answer.raise_for_status().cookies[COOKIE])
        running = [asyncio.create_task(load(replicas, cookie, verifiers, seen, stop)) for cookie in cookies]

        kids: set[str] = set()
        for number in range(ROTATIONS):
            rotation = (await clients[number % 2].post(ROTATE, headers=service_headers)).raise_for_status().json()
            kids.add(rotation["kid"])
            requests = len(seen)
            await asyncio.sleep(0.15)  # what 15 s are to a service: every replica has read the keys
            clock.offset += PUBLISHED_BEFORE.total_seconds() + 1
            while len(seen) < requests + 12:
                assert not any(task.done() for task in running), "the load ended"
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*running)

    assert len(kids) == ROTATIONS
    assert len(seen) > 12 * ROTATIONS
    assert set(seen) == {200}


async def test_a_second_rotation_waits_for_the_first(replicas: list[Server], service_headers: dict[str, str]) -> None:
    first, second = replicas
    async with httpx.AsyncClient() as http:
        assert (await http.post(first.url + ROTATE, headers=service_headers)).status_code == 200
        refused = await http.post(second.url + ROTATE, headers=service_headers)

        assert (refused.status_code, refused.json()["code"]) == (409, "rotation_pending")
        first.clock.offset += PUBLISHED_BEFORE.total_seconds() + 1
        assert (await http.post(second.url + ROTATE, headers=service_headers)).status_code == 200
        assert (await http.post(second.url + ROTATE)).status_code == 401


def test_a_replaced_key_makes_no_new_tokens() -> None:
    key = VerificationKey(Ed25519PrivateKey.generate().public_key(), signs_until_s=1_000)

    assert key.may_have_signed_at(1_000 + SIGNED_AFTER_END_SECONDS)
    assert not key.may_have_signed_at(1_001 + SIGNED_AFTER_END_SECONDS)


async def test_another_secret_key_keeps_every_derived_key(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    async with asyncpg.create_pool(empty_database_url, min_size=0) as pool:
        before = RootSecret(pool, "first value")
        keys = SigningKeys(pool, before, now_s=time.time)
        await keys.load()

        rotated = RootSecret(pool, "second value", previous="first value")
        await rotated.load()
        later = SigningKeys(pool, RootSecret(pool, "second value"), now_s=time.time)
        await later.load()

        assert rotated.key("refresh") == before.key("refresh")
        assert [key.kid for key in later.jwks()] == [key.kid for key in keys.jwks()]
        with pytest.raises(WrongSecretError):
            await RootSecret(pool, "first value").load()
        (stored,) = await pool.fetch("select * from root_secret")
        assert b"first value" not in stored["wrapped"]


async def test_an_older_database_keeps_what_was_derived_from_its_secret_key(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    async with asyncpg.create_pool(empty_database_url, min_size=0) as pool:
        key = Ed25519PrivateKey.generate()
        at = await pool.fetchval("select now()")
        await signing_keys.insert(pool, wrap(key, derive_key("the value", "signing key"), at, signs_from=at))

        with pytest.raises(WrongSecretError):
            await RootSecret(pool, "a wrong value").load()
        root = RootSecret(pool, "the value")
        await root.load()

        assert root.key("audit") == derive_key("the value", "audit")
