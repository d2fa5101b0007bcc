"""A real gateway on real Kafka and Redis, with tokens that the tests sign, and clients of its protocol."""

import asyncio
import os
import secrets
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import msgspec
import pytest
import uvicorn
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection

from ams_contracts.claims import AUDIENCE, Access, AccessClaims, IdentityChanged, KeyGrant, Role, Scope
from ams_contracts.topics import Topic, task_key
from ams_kit.auth import AuthKit, open_redis
from ams_kit.auth.api_keys import ALPHABET, ID_CHARS, SECRET_CHARS, format_key
from ams_kit.auth.jwks import jwk_of
from ams_kit.bus import Log, Record, create_topics
from ams_kit.testing.revocations import kept_complete
from ams_live_gateway.app import make_app
from ams_live_gateway.protocol import LiveProtocol
from ams_live_gateway.settings import Settings
from ams_live_gateway.tickets import Grant, Tickets

PUBLIC_URL = "http://localhost:8080"
TIMEOUT_SECONDS = 15


def random_text(chars: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(chars))


class Identity:
    """The HTTP API of identity that the gateway uses: its public key, and the access of users to projects."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.roles: dict[tuple[str, str], Role] = {}
        self.keys: dict[str, KeyGrant] = {}

    def token(self, claims: AccessClaims) -> str:
        return jwt.encode(msgspec.to_builtins(claims), self.key, algorithm="EdDSA", headers={"kid": "k1", "typ": "at+jwt"})

    def api_key(self, project_id: str, scopes: list[Scope], *, seconds: int = 600) -> tuple[str, str]:
        """Create an API key. Returns the key and its id."""
        key_id = random_text(ID_CHARS)
        key = format_key(key_id, random_text(SECRET_CHARS))
        self.keys[key] = KeyGrant(
            access_token="t",
            expires_in=seconds,
            project_id=project_id,
            key_id=key_id,
            scopes=scopes,
            expires_at_us=int((time.time() + seconds) * 1_000_000),
        )
        if Scope.READ in scopes:
            self.roles[f"key:{key_id}", project_id] = Role.VIEWER
        return key, key_id

    def revoke(self, key: str) -> None:
        grant = self.keys.pop(key)
        self.roles.pop((f"key:{grant.key_id}", grant.project_id), None)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url="http://identity", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, content=msgspec.json.encode({"keys": [jwk_of("k1", self.key.public_key())]}))
        if request.url.path == "/api/auth/token":
            grant = self.keys.get(msgspec.json.decode(request.content)["api_key"])
            return httpx.Response(401) if grant is None else httpx.Response(200, content=msgspec.json.encode(grant))
        user_id, project_id = request.url.params["user_id"], request.url.params["project_id"]
        role = self.roles.get((user_id, project_id))
        if role is None:
            return httpx.Response(404)
        return httpx.Response(200, content=msgspec.json.encode(Access(user_id=user_id, project_id=project_id, role=role)))


@dataclass
class Client:
    """A websocket client that splits messages into frames."""

    connection: ClientConnection
    frames: list[dict[str, Any]] = field(default_factory=list)
    ids: int = 0

    async def send(self, **message: Any) -> str:
        self.ids += 1
        await self.connection.send(msgspec.json.encode({"id": str(self.ids), **message}).decode())
        return str(self.ids)

    async def receive_until(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Receive until the given number of matching frames has arrived; earlier frames stay in ``frames``."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while len(found := [frame for frame in self.frames if wanted(frame)]) < count:
                self.frames += msgspec.json.decode(await self.connection.recv())
        return found

    async def steps(self, count: int) -> list[dict[str, Any]]:
        return await self.receive_until(lambda frame: frame["op"] == "frame", count)

    async def answer(self, op: str) -> dict[str, Any]:
        return (await self.receive_until(lambda frame: frame["op"] == op))[-1]

    async def subscribe(self, task_id: str, after: str | None = None) -> dict[str, Any]:
        request = await self.send(op="subscribe", task_id=task_id, **({"after": after} if after else {}))
        return (await self.receive_until(lambda frame: frame.get("id") == request))[-1]

    async def close_code(self) -> int:
        """The close code."""
        async with asyncio.timeout(TIMEOUT_SECONDS + 5):
            while True:
                try:
                    self.frames += msgspec.json.decode(await self.connection.recv())
                except websockets.ConnectionClosed:
                    return self.connection.close_code or 0


class Gateway:
    """The gateway under test and what surrounds it."""

    def __init__(self, settings: Settings, steps: Topic, tasks: Topic, log: Log) -> None:
        self.settings = settings
        self.steps = steps
        self.tasks = tasks
        self.log = log
        self.identity = Identity()
        self.redis = open_redis(settings.redis_url)
        self.tickets = Tickets(self.redis)
        self.server: uvicorn.Server | None = None
        self.app: Any = None
        self.port = 0
        self.reads_identity_log = False
        self._serving: asyncio.Task[None] | None = None

    # -- the process -----------------------------------------------------------------------------------------------

    def _auth(self, settings: Settings) -> AuthKit:
        return AuthKit(
            self.identity.client(),
            settings.redis_url,
            service_secret=settings.service_secret,
            public_url=settings.public_url,
            service="live-gateway",
            kafka=settings.kafka if self.reads_identity_log else None,
        )

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = listener.getsockname()[1]
        self.app = make_app(self.settings, make_auth=self._auth, steps=self.steps, tasks=self.tasks)
        config = uvicorn.Config(
            self.app,
            ws=LiveProtocol,
            ws_max_size=16_384,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self.server.serve(sockets=[listener]))
        await until(self._is_ready)

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient() as http:
            try:
                return (await http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    async def stop(self) -> None:
        if self.server is not None and self._serving is not None:
            self.server.should_exit = True
            await self._serving
            self.server = None

    async def restart(self) -> None:
        """Replace the process by a new one."""
        await self.stop()
        await self.start()

    # -- users -----------------------------------------------------------------------------------------------------

    def claims(self, user_id: str, *, seconds: float = 600) -> AccessClaims:
        now = int(time.time())
        return AccessClaims(
            iss=PUBLIC_URL,
            aud=AUDIENCE,
            sub=user_id,
            sid=str(uuid.uuid4()),
            jti=secrets.token_hex(8),
            iat=now,
            exp=int(time.time() + seconds),
        )

    async def ticket(self, project_id: str, *, user_id: str | None = None, claims: AccessClaims | None = None) -> str:
        claims = claims or self.claims(user_id or str(uuid.uuid4()))
        self.identity.roles[claims.sub, project_id] = Role.VIEWER
        return await self.tickets.issue(Grant(project_id, claims))

    @asynccontextmanager
    async def client(
        self, project_id: str, *, ticket: str | None = None, claims: AccessClaims | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        ticket = ticket or await self.ticket(project_id, claims=claims)
        options.setdefault("subprotocols", ["ams.v1", f"ticket.{ticket}"])
        async with websockets.connect(f"ws://127.0.0.1:{self.port}/api/live", compression=None, close_timeout=1, **options) as connection:
            yield Client(connection)

    async def announce(self, changed: IdentityChanged) -> None:
        await self.redis.publish("ams:identity:changed", msgspec.json.encode(changed))

    # -- the log ---------------------------------------------------------------------------------------------------

    async def publish(self, project_id: str, task_id: str, *numbers: int, pad: int = 0) -> list[str]:
        """Publish numbered records of one task. Returns the positions after them."""
        key = task_key(project_id, task_id)
        records = [Record(topic=self.steps, key=key, value=msgspec.json.encode({"n": number, "pad": "x" * pad})) for number in numbers]
        return [str(position) for position in await self.log.publish(records, timeout_seconds=10)]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    """The numbers of the records of ``publish``."""
    return [frame["batch"]["n"] for frame in frames if frame["op"] == "frame"]


@pytest.fixture
def project_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def task_id() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def live_settings(redis_url: str, kafka_bootstrap: str, worker_id: str) -> Settings:
    """A separate Redis database per test, because the list of revocations has a fixed key."""
    base = redis_url.rpartition("/")[0] if redis_url.count("/") > 2 else redis_url
    number = 8 + (int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0) % 8
    return Settings(
        public_url=PUBLIC_URL,
        kafka_bootstrap=kafka_bootstrap,
        redis_url=f"{base}/{number}",
        identity_url="http://127.0.0.1:1",
        service_secret="s" * 32,
    )


@pytest.fixture
def worker_id(request: pytest.FixtureRequest) -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "gw0")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway with its own topics."""
    name = f"live-{secrets.token_hex(6)}"
    steps = Topic(name=f"{name}.steps", version=1, partitions=2)
    tasks = Topic(name=f"{name}.tasks", version=1, partitions=2, compacted=True)
    await create_topics(settings.kafka_bootstrap, topics=[steps, tasks])
    log = await Log.open(settings.kafka_bootstrap, "live-tests")
    gateway = Gateway(settings, steps, tasks, log)
    try:
        async with kept_complete(gateway.redis):
            await gateway.start()
            yield gateway
    finally:
        await gateway.stop()
        await gateway.redis.aclose()
        await log.close()


@pytest.fixture
async def live(live_settings: Settings, request: pytest.FixtureRequest) -> AsyncGenerator[Gateway]:
    """A running gateway. ``@pytest.mark.parametrize("live", [{setting: value}], indirect=True)`` changes its settings."""
    async with running(msgspec.structs.replace(live_settings, **getattr(request, "param", {}))) as gateway:
        yield gateway


@pytest.fixture
async def live_on_own_broker(live_settings: Settings, own_broker: Any) -> AsyncGenerator[Gateway]:
    """A running gateway whose broker may be frozen and killed."""
    async with running(msgspec.structs.replace(live_settings, kafka_bootstrap=own_broker.bootstrap)) as gateway:
        yield gateway
