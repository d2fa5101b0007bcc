"""A migrated database with rows, and the application that reads it as the role ams_reader."""

import os
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import asyncpg
import jsonschema
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from tests.databases import temporary_database

from ams_contracts.claims import SHARE_AUDIENCE, Access, KeyGrant, Role, Scope, ShareClaims
from ams_contracts.tables import agents, positions, step_payloads, steps, tasks
from ams_kit.auth import KeyUse, Principal, SharePrincipal
from ams_kit.auth.encoding import decode_base64url, encode_base64url
from ams_kit.auth.principal import share_principal_from
from ams_kit.errors import UnauthenticatedError
from ams_trace_query.__main__ import openapi_text
from ams_trace_query.app import make_app
from ams_trace_query.settings import Settings

T0 = 1_782_000_000_000_000  # 2026-06-21T00:00:00Z
DAY = date(2026, 6, 21)
NOW = datetime(2026, 6, 21, 12, tzinfo=UTC)
MIGRATE = ("-m", "ams_trace_ingest", "migrate")


@pytest.fixture(scope="session")
def traces_url(postgres_admin_url: str) -> Iterator[str]:
    """A new database with the real migrations, as its owner."""
    with temporary_database(postgres_admin_url, "query_test") as url:
        # services do not import each other, so the tests migrate as a deployment does
        subprocess.run([sys.executable, *MIGRATE], env={**os.environ, "AMS_DATABASE_URL": url}, check=True, timeout=60)
        yield url


def as_reader(url: str) -> str:
    """The same database as the role ams_reader, to which row-level security applies."""
    return f"{url}?role=ams_reader"


def row_defaults() -> dict[str, dict[str, Any]]:
    """Default values of a row's columns."""
    return {
        "tasks": {
            "day": DAY,
            "partition": 7,
            "first_offset": 1,
            "last_offset": 2,
            "name": "trip",
            "kind": "task",
            "status": "ok",
            "tags": {},
            "flags": [],
            "steps": 0,
            "errors": 0,
            "running_steps": 0,
            "waiting_steps": 0,
            "lost_steps": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "cost_nusd": 0,
            "priced_steps": 0,
            "unpriced_steps": 0,
            "last_event_at_us": T0,
            "sort_at_us": T0,
            "started_at_us": T0,
            "seen_at_us": T0,
            "heartbeats": False,
        },
        "steps": {
            "day": DAY,
            "first_offset": 1,
            "end_offset": 2,
            "type": "llm",
            "name": "draft",
            "status": "ok",
            "document_status": "ok",
            "stamp_phase": 2,
            "stamp_at_us": T0 + 500,
            "stamp_seq": 2,
            "stamp_event_id": "e" * 32,
            "started_at_us": T0,
            "seq": 1,
            "cost_source": "unknown",
            "flags": [],
            "rest": {},
            "counted_input": 0,
            "counted_output": 0,
            "seen_at_us": T0,
            "usage_shadowed": False,
            "usage_wrapper": False,
        },
        "step_payloads": {
            "day": DAY,
            "at_us": T0,
            "seq": 1,
            "event_id": "f" * 32,
            "mime": "text/plain",
            "bytes": 5,
            "truncated": False,
        },
        "media": {},
        "agents": {"tools": [], "metadata": {}, "last_seen_at_us": T0},
        "positions": {"topic": "ams.steps.v1", "last_timestamp_ms": T0 // 1_000},
    }


class Store:
    """Inserts rows as the projector does, for one new project."""

    def __init__(self, connection: asyncpg.Connection, project_id: str) -> None:
        self._connection = connection
        self.project_id = project_id
        self._steps = 0

    async def insert(self, table: Any, **values: Any) -> None:
        row = {**row_defaults().get(table.name, {}), **values}
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join(f"${index}" for index in range(1, len(row) + 1))
        encoded = [msgspec.json.encode(value).decode() if isinstance(value, dict) else value for value in row.values()]
        await self._connection.execute(f"INSERT INTO g1.{table.name} ({columns}) VALUES ({marks})", *encoded)

    async def task(self, **values: Any) -> str:
        """Insert a task. Returns its id."""
        task_id = values.pop("task_id", None) or secrets.token_hex(16)
        at = values.get("started_at_us", T0)
        await self.insert(tasks, project_id=self.project_id, task_id=task_id, **{"sort_at_us": at, **values})
        return task_id

    async def step(self, task_id: str, **values: Any) -> str:
        """Insert a step of a task. Returns its id."""
        self._steps += 1
        step_id = values.pop("step_id", None) or f"{self._steps:016x}"
        await self.insert(steps, project_id=self.project_id, task_id=task_id, step_id=step_id, **values)
        return step_id

    async def payload(self, task_id: str, step_id: str, slot: str, text: str, **values: Any) -> None:
        await self.insert(step_payloads, project_id=self.project_id, task_id=task_id, step_id=step_id, slot=slot, text=text, **values)

    async def agent(self, name: str, **values: Any) -> None:
        await self.insert(agents, project_id=self.project_id, name=name, **values)

    async def position(self, partition: int, next_offset: int, projection: str = "steps") -> None:
        await self._connection.execute("DELETE FROM g1.positions WHERE projection = $1 AND partition = $2", projection, partition)
        await self.insert(positions, partition=partition, next_offset=next_offset, projection=projection)

    async def execute(self, statement: str, *values: Any) -> None:
        await self._connection.execute(statement, *values)


@pytest.fixture
async def store(traces_url: str) -> AsyncIterator[Store]:
    """Rows of the project that ``client`` may see."""
    connection = await asyncpg.connect(traces_url)
    yield Store(connection, str(uuid.uuid4()))
    await connection.execute("DELETE FROM g1.positions")  # they belong to no project, so the next test would read them
    await connection.close()


@pytest.fixture
async def foreign(traces_url: str) -> AsyncIterator[Store]:
    """Rows of another user's project."""
    connection = await asyncpg.connect(traces_url)
    yield Store(connection, str(uuid.uuid4()))
    await connection.close()


class KnownPeople:
    """An auth kit with a fixed set of users: a token is the user's name, an API key is ``ams_<name of a scope>``."""

    def __init__(self, members: dict[str, set[str]], keys_project: str, roles: dict[str, Role]) -> None:
        self.verifier = self
        self.keys = self
        self.trusted_proxies = ()
        self.audited: list[tuple[str, str, str, str]] = []
        self._members = members
        self._roles = roles
        self._keys_project = keys_project

    async def grant(self, api_key: str, use: KeyUse) -> KeyGrant:
        scopes = {"ams_ingest": [Scope.INGEST], "ams_read": [Scope.READ], "ams_both": [Scope.INGEST, Scope.READ]}.get(api_key)
        if scopes is None:
            raise UnauthenticatedError
        return KeyGrant(access_token="t", expires_in=600, project_id=self._keys_project, key_id="k1", scopes=scopes)

    async def verify(self, token: str) -> Principal:
        if token not in self._members:
            raise UnauthenticatedError
        return Principal(token, "session", "jti", 2**40)

    async def verify_share(self, token: str) -> SharePrincipal:
        return share_principal_from(msgspec.json.decode(decode_base64url(token.split(".")[1]), type=ShareClaims))

    async def access(self, user_id: str, project_id: str) -> Access | None:
        if user_id == f"share:{LINK}":
            return Access(user_id=user_id, project_id=project_id, role=Role.VIEWER)
        if project_id not in self._members[user_id]:
            return None
        return Access(user_id=user_id, project_id=project_id, role=self._roles.get(user_id, Role.VIEWER))

    async def audit(self, request: Any, action: str, access: Access, subject: str) -> None:
        self.audited.append((action, access.user_id, access.project_id, subject))

    async def close(self) -> None:
        """Nothing is open."""


LINK = "01900000-0000-7000-8000-00000000abcd"


def visitor_token(project_id: str, task_id: str, *, payloads: bool) -> str:
    """A token of the public link ``LINK``. The auth kit of these tests verifies no signatures."""
    claims = ShareClaims(
        iss="x",
        aud=SHARE_AUDIENCE,
        sub=LINK,
        sid=LINK,
        jti="j",
        iat=1,
        exp=2**40,
        project_id=project_id,
        task_id=task_id,
        payloads=payloads,
    )
    return ".".join(encode_base64url(part) for part in (b"{}", msgspec.json.encode(claims), b"s"))


@pytest.fixture
def make_query_app(traces_url: str, store: Store, foreign: Store) -> Callable[..., Litestar]:
    """Builds the application; keyword arguments change settings."""

    def make(**changes: Any) -> Litestar:
        settings = {
            "public_url": "http://localhost:8080",
            "database_url": as_reader(traces_url),
            "redis_url": "redis://localhost",
            "service_secret": "a secret of tests",
            "identity_url": "http://localhost",
            "database_connections_max": 4,
            "secret_key": "a key of tests",
        }
        roles = {"mia": Role.MEMBER, "max": Role.MEMBER, "olga": Role.OWNER, "fay": Role.MEMBER}
        people = KnownPeople(
            {
                **{user: {store.project_id} for user in ("ada", "mia", "max", "olga")},
                **{user: {foreign.project_id} for user in ("eve", "fay")},
                "both": {store.project_id, foreign.project_id},
            },
            store.project_id,
            roles,
        )
        return make_app(Settings(**{**settings, **changes}), open_auth=lambda: people, now=lambda: NOW)  # type: ignore[arg-type]  # the same methods

    return make


@pytest.fixture
async def http(make_query_app: Callable[..., Litestar]) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A client without a credential."""
    async with AsyncTestClient(make_query_app()) as client:
        yield client


@cache
def _documented() -> dict[str, Any]:
    return msgspec.json.decode(openapi_text())


def validator_of(path: str) -> jsonschema.Draft202012Validator:
    """Validates the 200 responses of a route below a project."""
    document = _documented()
    for template, item in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.removeprefix("/api/traces/{project}/")))
        if re.fullmatch(pattern, path):
            schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            return jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    raise LookupError(path)


class Project:
    """Sends requests as a member of the project of ``store``."""

    def __init__(self, client: AsyncTestClient[Litestar], project_id: str, user: str = "ada") -> None:
        self._client = client
        self._project_id = project_id
        self._headers = {"Authorization": f"Bearer {user}"}

    async def answer(self, path: str) -> Any:
        """The raw response to a GET below the project; ``path`` is sent as it is."""
        return await self._client.get(f"/api/traces/{self._project_id}/{path}", headers=self._headers)

    async def get(self, path: str, **parameters: Any) -> Any:
        """The body of a 200 response."""
        response = await self._client.get(f"/api/traces/{self._project_id}/{path}", headers=self._headers, params=parameters)
        assert response.status_code == 200, response.text
        body = response.json()
        validator_of(path).validate(body)  # every response in these tests is validated against the OpenAPI document
        return body

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """The raw response to a request with a JSON body below the project."""
        content = {} if body is None else {"json": body}
        return await self._client.request(method, f"/api/traces/{self._project_id}/{path}", headers=self._headers, **content)

    async def problem(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The problem document of a response that is not a 200."""
        response = await self._client.get(f"/api/traces/{self._project_id}/{path}", headers=self._headers, params=parameters or None)
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == response.status_code
        return body


@pytest.fixture
def project_of() -> type[Project]:
    """Creates an API object for another application, from a client and a project's id."""
    return Project


@pytest.fixture
def visitor(http: AsyncTestClient[Litestar], store: Store) -> Callable[..., Project]:
    """Requests as the visitor of a public link to a task."""
    return lambda task_id, *, payloads: Project(http, store.project_id, visitor_token(store.project_id, task_id, payloads=payloads))


@pytest.fixture
def ada(http: AsyncTestClient[Litestar], store: Store) -> Project:
    """A member of the project."""
    return Project(http, store.project_id)


@pytest.fixture
def eve(http: AsyncTestClient[Litestar], store: Store) -> Project:
    """Requests the project of ``store`` as a user who is a member of another project only."""
    return Project(http, store.project_id, "eve")
