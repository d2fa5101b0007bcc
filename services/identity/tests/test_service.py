"""The complete service: documents, migrations, unavailable servers, and logs."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import asyncpg
import httpx
import jsonschema
import msgspec
import pytest
from alembic.script import ScriptDirectory
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from services.identity.tests.clients import NO_KAFKA, PASSWORD, Person, Server

from ams_contracts.claims import IDENTITY_CHANNEL, IdentityChanged
from ams_identity.app import cookie_is_secure, make_app
from ams_identity.migrations import HEAD
from ams_identity.migrations.run import migrate, revision_of
from ams_identity.migrations.upgrade import alembic_config
from ams_identity.outbox import Outbox
from ams_identity.passwords import CONCURRENCY, Passwords
from ams_identity.root_secret import WrongSecretError
from ams_identity.settings import Settings
from ams_identity.signing import unwrap, wrap
from ams_identity.store import Executor, outbox
from ams_identity.tokens import derive_key
from ams_kit.auth import open_redis
from ams_kit.bus import Log, LogUnavailableError, create_topics
from ams_kit.telemetry.metrics import OUTBOX_EVENTS
from ams_kit.testing.serving import serving
from ams_kit.testing.valkey import ValkeyServer


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


def test_the_openapi_document_is_valid(server: Server) -> None:
    document = httpx.get(f"{server.url}/api/auth/openapi").json()

    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["bearer"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert document["security"] == [{"bearer": []}]
    assert "/internal/access" not in document["paths"]
    operations = [
        operation for path in document["paths"].values() for name, operation in path.items() if name in {"get", "post", "patch", "delete"}
    ]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    register = document["paths"]["/api/auth/register"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert register["required"] == ["username", "email", "password"]
    assert [parameter["name"] for parameter in document["paths"]["/api/projects/{project}/keys"]["get"]["parameters"]] == [
        "project",
        "limit",
        "cursor",
    ]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_migrating_twice_changes_nothing_and_loads_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ams_identity.migrations.run.UPGRADE_MODULE", "not_loaded")
    migrate(server.settings.database_url)

    assert asyncio.run(revision_of(server.settings.database_url)) == HEAD


async def test_five_processes_may_migrate_at_once(postgres_admin_url: str) -> None:
    name = f"ams_identity_race_{time.time_ns()}"
    connection = await asyncpg.connect(postgres_admin_url)
    await connection.execute(f"create database {name}")
    url = f"{postgres_admin_url.rpartition('/')[0]}/{name}"

    await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(3)))

    assert await revision_of(url) == HEAD
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


def test_the_signing_key_is_stored_encrypted() -> None:
    key = Ed25519PrivateKey.generate()
    stored = wrap(key, derive_key("right", "signing key"), at=datetime.now(UTC))

    assert stored.wrapped_key is not None
    assert key.private_bytes_raw() not in stored.wrapped_key
    assert unwrap(stored, derive_key("right", "signing key")).private_bytes_raw() == key.private_bytes_raw()
    with pytest.raises(WrongSecretError):
        unwrap(stored, derive_key("wrong", "signing key"))


def process_of(settings: Settings) -> subprocess.Popen[str]:
    environ = {f"AMS_{name.upper()}": str(value) for name, value in msgspec.structs.asdict(settings).items()}
    own = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "ams_identity", "serve"], env=own | environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_a_wrong_secret_prints_one_line_and_exits_with_code_2(server: Server) -> None:
    process = process_of(msgspec.structs.replace(server.settings, secret_key="another one", port=0))

    said, _ = process.communicate(timeout=90)

    assert process.returncode == 2
    assert "Traceback" not in said
    assert (
        said.splitlines()[-1]
        == "identity: AMS_SECRET_KEY differs from the one that encrypted the keys in this database. Set the original value, or add it as AMS_SECRET_KEY_PREVIOUS."
    )


def test_sigterm_exits_with_code_0(server: Server) -> None:
    process = process_of(msgspec.structs.replace(server.settings, port=0))
    assert process.stdout is not None
    assert any("listening" in line for line in process.stdout)

    process.terminate()

    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("http://localhost:8080", False),
        ("http://127.0.0.1", False),
        ("http://[::1]:8080", False),
        ("https://localhost", True),
        ("http://ams.example.com", True),
        ("https://ams.example.com", True),
        ("http://localhost.example.com", True),
    ],
)
def test_the_cookie_is_secure_except_on_loopback(url: str, secure: bool) -> None:
    assert cookie_is_secure(url) is secure


async def test_a63_hashes_of_cancelled_calls_still_count() -> None:
    passwords = Passwords()
    running = most = 0

    def slow() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        done.wait()
        running -= 1
        return ""

    done = threading.Event()
    tasks = [asyncio.create_task(passwords._run(slow, None, ())) for _ in range(50)]
    await asyncio.to_thread(wait_for, lambda: running == CONCURRENCY)
    for task in tasks[:CONCURRENCY]:
        task.cancel()
    await asyncio.wait(tasks[:CONCURRENCY])
    assert most == CONCURRENCY
    done.set()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert most == CONCURRENCY
    passwords.close()


@pytest.fixture
def valkey_server() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def fragile(settings: Settings, valkey_server: ValkeyServer) -> Iterator[httpx.Client]:
    """Another replica of identity, whose Valkey the test may stop."""
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    app = make_app(Settings(**{**values, "redis_url": valkey_server.url}))
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_a90_a_logout_that_redis_does_not_have_is_not_reported_as_done(
    fragile: httpx.Client, valkey_server: ValkeyServer, person: Person
) -> None:
    wait_for(lambda: fragile.get("/api/me", headers=person.headers).status_code == 200)

    valkey_server.stop()
    assert fragile.get("/api/me", headers=person.headers).status_code == 200  # identity asks Postgres
    answer = fragile.post("/api/auth/logout", headers=person.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "revocation_pending")
    assert fragile.get("/api/me", headers=person.headers).status_code == 401
    assert fragile.post("/api/auth/login", json={"login": person.username, "password": PASSWORD}).status_code == 503
    valkey_server.start()

    assert fragile.get("/api/me", headers=person.headers).status_code == 401
    assert fragile.post("/api/auth/logout", headers=person.headers).status_code == 204


def test_the_revocation_list_is_restored_after_redis_lost_its_data(
    fragile: httpx.Client, valkey_server: ValkeyServer, person: Person
) -> None:
    assert fragile.post("/api/auth/logout", headers=person.headers).status_code == 204

    valkey_server.stop()
    valkey_server.start()

    for _ in range(50):
        assert fragile.get("/api/me", headers=person.headers).status_code == 401


def test_another_replica_rejects_a_revoked_token_immediately(server: Server, settings: Settings, person: Person) -> None:
    with serving(make_app(settings)) as url:
        wait_for(lambda: httpx.get(f"{url}/api/me", headers=person.headers).status_code == 200)

        person.post("/api/auth/logout")

        assert httpx.get(f"{url}/api/me", headers=person.headers).status_code == 401


async def test_revoking_a_key_is_published_on_the_channel(server: Server, person: Person) -> None:
    redis = open_redis(server.settings.redis_url)
    async with redis.pubsub() as channel:
        await channel.subscribe(IDENTITY_CHANNEL)
        await channel.get_message(timeout=5)
        key_id = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key_id"]
        person.delete(f"/api/projects/{person.project_id}/keys/{key_id}")
        message = await channel.get_message(timeout=5)
    await redis.aclose()

    assert message is not None
    assert json.loads(message["data"]) == {"kind": "key.revoked", "key_id": key_id, "project_id": person.project_id}
    assert IdentityChanged(kind="key.revoked", key_id=key_id)


@pytest.fixture
def identity_topic(kafka_bootstrap: str) -> str:
    asyncio.run(create_topics(kafka_bootstrap))
    return kafka_bootstrap


async def test_events_stay_in_the_outbox_until_the_log_has_them(server: Server, person: Person, identity_topic: str) -> None:
    pool = await asyncpg.create_pool(server.settings.database_url, min_size=0, max_size=2)
    waiting = await _kinds(pool)
    assert waiting[-3:] == ["user.registered", "project.created", "access.changed"]
    unavailable = await Log.open(NO_KAFKA, "test")
    with pytest.raises(LogUnavailableError):
        await Outbox(pool, _never).publish(unavailable)
    await unavailable.close()
    assert await _kinds(pool) == waiting

    log = await Log.open(identity_topic, "test")
    published = Outbox(pool, _never)
    await published.measure()
    assert OUTBOX_EVENTS._value.get() == len(waiting)
    while await published.publish(log):
        pass

    assert await _kinds(pool) == []
    await log.close()
    await pool.close()


def test_a_full_outbox_refuses_changes_and_revocations_last(server: Server, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = f"/api/projects/{person.project_id}/keys"
    key_id = person.post(keys, {"name": "k"}).json()["key_id"]
    monkeypatch.setattr("ams_identity.outbox.EVENTS_MAX", 1)

    refused = person.post("/api/projects", {"name": "one more"})
    projects = [project["name"] for project in person.get("/api/projects").json()["items"]]
    revoked = person.delete(f"{keys}/{key_id}")
    monkeypatch.setattr("ams_identity.outbox.ENDS_MAX", 1)
    logout = person.post("/api/auth/logout")

    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "outbox_full", "30")
    assert "one more" not in projects
    assert revoked.status_code == 204
    assert (logout.status_code, logout.json()["code"]) == (503, "outbox_full")
    assert person.get("/api/me").status_code == 200


async def _never() -> Log:
    raise AssertionError


async def _kinds(pool: Executor) -> list[str]:
    return [json.loads(item.value)["kind"] for item in await outbox.oldest(pool, 100_000)]


@pytest.mark.parametrize("state", ["53100", "57P02", "58030"])
async def test_a_database_that_rejects_writes_gives_503(server: Server, person: Person, state: str) -> None:
    connection = await asyncpg.connect(server.settings.database_url)
    name = f"full disk {state}"
    refuse = f"begin if new.name = '{name}' then raise exception 'no space left' using errcode = '{state}'; end if; return new; end"
    await connection.execute(f"create or replace function refuse() returns trigger language plpgsql as $$ {refuse} $$")
    await connection.execute("create trigger refuse before insert on projects for each row execute function refuse()")
    try:
        answer = await asyncio.to_thread(person.post, "/api/projects", {"name": name})
    finally:
        await connection.execute("drop trigger refuse on projects")
        await connection.close()

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")


def test_the_response_is_503_while_postgres_is_unavailable(settings: Settings) -> None:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    with serving(make_app(Settings(**{**values, "database_url": "postgresql://nobody:x@127.0.0.1:9/none"}))) as url:
        answer = httpx.post(f"{url}/api/auth/login", json={"login": "bob", "password": PASSWORD})

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{url}/.well-known/jwks.json").status_code == 503
        assert httpx.get(f"{url}/readyz").json()["checks"]["postgres"] != "ok"
        assert httpx.get(f"{url}/livez").status_code == 200
