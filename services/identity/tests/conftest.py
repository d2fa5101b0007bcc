"""Identity over real HTTP, with its own database and Valkey. Kafka is unavailable: identity works without it."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from services.identity.tests.browsers import BACK, PROJECT, Browser, new_person_at
from services.identity.tests.clients import NO_KAFKA, PASSWORD, SERVICE_SECRET, Clock, Person, Server
from tests.openid_provider import PLAIN, OpenIdProvider, openid_providers

from ams_identity.app import make_app
from ams_identity.migrations.run import migrate
from ams_identity.settings import Settings
from ams_kit.auth import service_token
from ams_kit.testing.serving import free_port, serving
from ams_kit.testing.valkey import ValkeyServer

_addresses = itertools.count(1)


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@contextmanager
def new_database(admin_url: str) -> Iterator[str]:
    """The URL of an empty database, which is dropped afterwards."""
    name = f"ams_identity_test_{secrets.token_hex(6)}"

    async def run(sql: str) -> None:
        connection = await asyncpg.connect(admin_url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run(f"create database {name}"))
    yield f"{admin_url.rpartition('/')[0]}/{name}"
    asyncio.run(run(f"drop database {name} with (force)"))


@pytest.fixture(scope="session")
def database_url(postgres_admin_url: str) -> Iterator[str]:
    with new_database(postgres_admin_url) as url:
        migrate(url)
        yield url


@pytest.fixture
def empty_database_url(postgres_admin_url: str) -> Iterator[str]:
    with new_database(postgres_admin_url) as url:
        yield url


@pytest.fixture(scope="session")
def settings(database_url: str, valkey: ValkeyServer) -> Settings:
    return Settings(
        public_url="http://localhost:8080",
        database_url=database_url,
        redis_url=valkey.url,
        kafka_bootstrap=NO_KAFKA,
        service_secret=SERVICE_SECRET,
        secret_key="the secret of this run",
        trusted_proxies="127.0.0.1",
    )


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[Server]:
    clock = Clock()
    app = make_app(settings, now_s=clock)
    with serving(app) as url:
        server = Server(url, app, clock, settings)
        wait_until_ready(url)
        first = {"username": "the-first", "email": "first@example.com", "password": PASSWORD}
        httpx.post(f"{url}/api/auth/register", json=first).raise_for_status()  # administers, so that the people of tests do not
        yield server


@pytest.fixture
def moved_clock(server: Server) -> Iterator[Clock]:
    """The server's clock, which is put back afterwards: other services of the run have one of their own."""
    before = server.clock.offset
    yield server.clock
    server.clock.offset = before


def wait_until_ready(url: str) -> None:
    """Return when a server is ready."""
    deadline = time.monotonic() + 20
    while httpx.get(f"{url}/readyz").status_code != 200:
        assert time.monotonic() < deadline, "identity is not ready"


@pytest.fixture
def new_client(server: Server) -> Iterator[Callable[[], httpx.Client]]:
    """Creates clients with different addresses, which they send as the gateway does."""
    clients: list[httpx.Client] = []

    def make() -> httpx.Client:
        number = next(_addresses)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        clients.append(httpx.Client(base_url=server.url, headers={"X-Forwarded-For": address}, timeout=30))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(new_client: Callable[[], httpx.Client]) -> httpx.Client:
    return new_client()


@pytest.fixture
def new_person(new_client: Callable[[], httpx.Client]) -> Callable[[], Person]:
    def make() -> Person:
        client = new_client()
        username = f"p{secrets.token_hex(6)}"
        email = f"{username}@example.com"
        user = (
            client.post("/api/auth/register", json={"username": username, "email": email, "password": PASSWORD})
            .raise_for_status()
            .json()["user"]
        )
        token = client.post("/api/auth/login", json={"login": username, "password": PASSWORD}).raise_for_status().json()["access_token"]
        project = client.get("/api/projects", headers={"Authorization": f"Bearer {token}"}).raise_for_status().json()["items"][0]
        return Person(client, username, email, user["user_id"], token, project["project_id"])

    return make


@pytest.fixture
def person(new_person: Callable[[], Person]) -> Person:
    return new_person()


@pytest.fixture
def stranger(new_person: Callable[[], Person]) -> Person:
    return new_person()


@pytest.fixture
def service_headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {service_token(SERVICE_SECRET, 'identity', 'test')}"}


@pytest.fixture
def sql(server: Server) -> Callable[..., Any]:
    """Runs one statement on the server's database and returns its rows."""

    def run(statement: str, *values: Any) -> list[Any]:
        async def work() -> list[Any]:
            connection = await asyncpg.connect(server.settings.database_url)
            try:
                return await connection.fetch(statement, *values)
            finally:
                await connection.close()

        return asyncio.run(work())

    return run


@pytest.fixture(scope="module")
def acme() -> OpenIdProvider:
    return OpenIdProvider(provider_id="acme", port=free_port(), back=BACK)


@pytest.fixture(scope="module")
def beta() -> OpenIdProvider:
    return OpenIdProvider(provider_id="beta", port=free_port(), back=BACK)


@pytest.fixture(scope="module")
def issuers(acme: OpenIdProvider, beta: OpenIdProvider) -> Iterator[list[dict[str, Any]]]:
    roles = [{"group": "readers", "project": PROJECT, "role": "viewer"}, {"group": "leads", "project": PROJECT, "role": "owner"}]
    with openid_providers([acme, beta]):
        yield [
            {**acme.settings, "roles": roles},
            {**beta.settings, "second_factor_values": ["mfa"], "email_domains": ["beta.example.com"]},
            {**acme.settings, "id": "down", "name": "Down", "issuer": f"http://localhost:{free_port()}"},
        ]


@pytest.fixture(scope="module")
def door(server: Server, issuers: list[dict[str, Any]]) -> Iterator[str]:
    """An identity with providers. It shares database and Valkey with the other one, and has its address."""
    settings = msgspec.structs.replace(server.settings, oidc_issuers=json.dumps(issuers))
    with serving(make_app(settings, now_s=server.clock)) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture(scope="module")
def closed_door(server: Server, issuers: list[dict[str, Any]]) -> Iterator[str]:
    """An identity without passwords, where nobody registers but the administrator."""
    settings = msgspec.structs.replace(
        server.settings, oidc_issuers=json.dumps(issuers), password_login="off", registration="closed", admin_email="root@acme.example.com"
    )
    with serving(make_app(settings, now_s=server.clock)) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture
def new_browser(door: str) -> Iterator[Callable[..., Browser]]:
    opened: list[httpx.Client] = []

    def make(url: str = door) -> Browser:
        address = f"10.77.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
        opened.append(httpx.Client(base_url=url, timeout=30, headers={"X-Forwarded-For": address}, verify=PLAIN))
        return Browser(opened[-1])

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def browser(new_browser: Callable[..., Browser]) -> Browser:
    return new_browser()


@pytest.fixture
def ada(acme: OpenIdProvider) -> str:
    """A person at Acme with a verified address."""
    return new_person_at(acme)
