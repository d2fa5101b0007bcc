"""The clients of identity (API keys, access, JWKS), each against a fake identity over httpx's mock transport."""

import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ams_contracts.claims import Access, IdentityChanged, KeyGrant, Role, Scope
from ams_kit.auth import access as access_module
from ams_kit.auth import api_keys
from ams_kit.auth.access import AccessClient, require_role
from ams_kit.auth.api_keys import KeyClient, checksum, format_key, parse_key
from ams_kit.auth.jwks import KEYS_MAX, Jwks, JwksKeys, jwk_of
from ams_kit.auth.service_tokens import verify_service_token
from ams_kit.errors import ForbiddenError, UnauthenticatedError, UnavailableError

KEY = format_key("0123456789abcdef", "s" * 32)
OTHER_KEY = format_key("fedcba9876543210", "s" * 32)
PROJECT = "01a21694-ccfc-72a0-9dd1-6f0b8afdfd54"
USER = "01a21694-ccfc-729b-875e-0134125cd00e"


class FakeIdentity:
    """Responds like identity; ``down`` makes it refuse connections."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.down = False
        self.revoked: set[str] = set()
        self.role: Role | None = Role.MEMBER
        self.keys = {"k1": Ed25519PrivateKey.generate().public_key()}
        self.held: asyncio.Event | None = None

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer), base_url="http://identity")

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.down:
            raise httpx.ConnectError("down")
        answer = self.respond(request)
        if self.held is not None:
            await self.held.wait()
        return answer

    def respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/jwks.json":
            return httpx.Response(200, content=msgspec.json.encode(Jwks([jwk_of(kid, key) for kid, key in self.keys.items()])))
        if request.url.path == "/internal/access":
            verify_service_token(request.headers["authorization"].removeprefix("Bearer "), "secret", "identity")
            access = None if self.role is None else Access(user_id=USER, project_id=PROJECT, role=self.role)
            return httpx.Response(404) if access is None else httpx.Response(200, content=msgspec.json.encode(access))
        parsed = parse_key(msgspec.json.decode(request.content)["api_key"])
        if parsed is None or parsed[0] in self.revoked:
            return httpx.Response(401)
        grant = KeyGrant(access_token="t", expires_in=600, project_id=PROJECT, key_id=parsed[0], scopes=[Scope.INGEST])
        return httpx.Response(200, content=msgspec.json.encode(grant))


class Clock:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(identity: FakeIdentity, clock: Clock) -> KeyClient:
    return KeyClient(identity.client(), monotonic=clock)


@pytest.fixture
def access(identity: FakeIdentity, clock: Clock) -> AccessClient:
    return AccessClient(identity.client(), "secret", "test", monotonic=clock)


def test_a_key_carries_its_checksum() -> None:
    assert parse_key(KEY) == ("0123456789abcdef", "s" * 32)
    assert len(checksum("")) == 6
    for wrong in (KEY[:-1], KEY + "0", KEY.replace("s", "t", 1), KEY.upper(), "ams_", "", KEY + "\n", "é" * 62):
        assert parse_key(wrong) is None


async def test_a_grant_is_cached_for_thirty_seconds(identity: FakeIdentity, clock: Clock, keys: KeyClient) -> None:
    for _ in range(3):
        assert (await keys.grant(KEY)).project_id == PROJECT
    assert len(identity.requests) == 1

    clock.now += 30
    await keys.grant(KEY)
    assert len(identity.requests) == 2


async def test_a_malformed_key_is_refused_without_a_request(identity: FakeIdentity, keys: KeyClient) -> None:
    with pytest.raises(UnauthenticatedError):
        await keys.grant("ams_nonsense")
    assert identity.requests == []


async def test_a_refusal_is_cached_for_one_second(identity: FakeIdentity, clock: Clock, keys: KeyClient) -> None:
    identity.revoked.add("0123456789abcdef")
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            await keys.grant(KEY)
    assert len(identity.requests) == 1

    identity.revoked.clear()
    clock.now += 1
    assert await keys.grant(KEY)


async def test_a_hundred_concurrent_callers_cause_one_request(identity: FakeIdentity, keys: KeyClient) -> None:
    await asyncio.gather(*(keys.grant(KEY) for _ in range(100)))

    assert len(identity.requests) == 1


async def test_a_revoked_key_is_evicted_at_once(identity: FakeIdentity, keys: KeyClient) -> None:
    await keys.grant(KEY)
    await keys.grant(OTHER_KEY)
    identity.revoked.add("0123456789abcdef")

    keys.on_event(IdentityChanged(kind="key.revoked", key_id="0123456789abcdef"))

    with pytest.raises(UnauthenticatedError):
        await keys.grant(KEY)
    assert await keys.grant(OTHER_KEY)
    assert len(identity.requests) == 3


@pytest.mark.parametrize(
    "event",
    [
        IdentityChanged(kind="key.revoked", key_id="0123456789abcdef"),
        IdentityChanged(kind="project.deleted", project_id=PROJECT),
    ],
    ids=lambda event: event.kind,
)
async def test_a_key_that_is_revoked_during_a_request_is_not_cached(
    identity: FakeIdentity, keys: KeyClient, event: IdentityChanged
) -> None:
    identity.held = asyncio.Event()
    request = asyncio.create_task(keys.grant(KEY))
    await _until(lambda: bool(identity.requests))

    keys.on_event(event)
    identity.held.set()

    with pytest.raises(UnauthenticatedError):
        await request


async def test_a_grant_stays_valid_for_ten_minutes_while_identity_is_down(identity: FakeIdentity, clock: Clock, keys: KeyClient) -> None:
    await keys.grant(KEY)
    identity.down = True
    clock.now += 599
    assert await keys.grant(KEY)
    with pytest.raises(UnavailableError):
        await keys.grant(OTHER_KEY)

    clock.now += 2
    with pytest.raises(UnavailableError):
        await keys.grant(KEY)
    clock.now += 2
    identity.down = False
    assert await keys.grant(KEY)


async def test_a_revoked_key_is_not_valid_while_identity_is_down(identity: FakeIdentity, keys: KeyClient) -> None:
    await keys.grant(KEY)
    identity.down = True

    keys.on_event(IdentityChanged(kind="key.revoked", key_id="0123456789abcdef"))

    with pytest.raises(UnavailableError):
        await keys.grant(KEY)


async def test_identity_receives_one_request_per_second_while_it_is_down(identity: FakeIdentity, clock: Clock, keys: KeyClient) -> None:
    await keys.grant(KEY)
    identity.down = True
    clock.now += 31

    for _ in range(50):
        await keys.grant(KEY)

    assert len(identity.requests) == 2


async def test_every_key_is_checked_again_after_a_gap_in_the_channel(identity: FakeIdentity, keys: KeyClient) -> None:
    await keys.grant(KEY)
    identity.revoked.add("0123456789abcdef")

    keys.expire_all()

    with pytest.raises(UnauthenticatedError):
        await keys.grant(KEY)


async def test_access_is_cached_for_five_seconds_and_its_absence_is_not_cached(
    identity: FakeIdentity, clock: Clock, access: AccessClient
) -> None:
    identity.role = None
    assert await access.access(USER, PROJECT) is None
    identity.role = Role.VIEWER
    for _ in range(3):
        found = await access.access(USER, PROJECT)
        assert found is not None
        assert found.role is Role.VIEWER
    assert len(identity.requests) == 2

    clock.now += 5
    identity.role = None
    assert await access.access(USER, PROJECT) is None


async def test_access_is_evicted_when_identity_publishes_a_change(identity: FakeIdentity, access: AccessClient) -> None:
    await access.access(USER, PROJECT)
    identity.role = None
    access.on_event(IdentityChanged(kind="access.changed", user_id="another user", project_id=PROJECT))
    assert await access.access(USER, PROJECT) is not None

    access.on_event(IdentityChanged(kind="access.changed", user_id=USER, project_id=PROJECT))

    assert await access.access(USER, PROJECT) is None


async def test_access_that_changes_during_a_request_is_not_cached(identity: FakeIdentity, access: AccessClient) -> None:
    identity.held = asyncio.Event()
    request = asyncio.create_task(access.access(USER, PROJECT))
    await _until(lambda: bool(identity.requests))
    identity.role = None

    access.on_event(IdentityChanged(kind="access.changed", user_id=USER, project_id=PROJECT))
    identity.held.set()
    await request

    assert await access.access(USER, PROJECT) is None


async def test_access_is_denied_while_identity_is_down(identity: FakeIdentity, access: AccessClient) -> None:
    identity.down = True

    with pytest.raises(UnavailableError):
        await access.access(USER, PROJECT)


def test_a_higher_role_includes_the_lower_ones() -> None:
    member = Access(user_id=USER, project_id=PROJECT, role=Role.MEMBER)

    require_role(member, Role.VIEWER)
    require_role(member, Role.MEMBER)
    with pytest.raises(ForbiddenError):
        require_role(member, Role.OWNER)


async def test_a_thousand_unknown_kids_cause_one_fetch(identity: FakeIdentity, clock: Clock) -> None:
    keys = JwksKeys(identity.client(), monotonic=clock)
    assert await keys.key("k1") is not None

    for number in range(1_000):
        assert await keys.key(f"unknown-{number}") is None
    assert len(identity.requests) == 1

    clock.now += 1
    await asyncio.gather(*(keys.key(f"unknown-{number}") for number in range(1_000)))
    assert len(identity.requests) == 2


async def test_a_new_key_is_fetched_after_a_second_and_a_withdrawn_one_is_refused_after_a_minute(
    identity: FakeIdentity, clock: Clock
) -> None:
    keys = JwksKeys(identity.client(), monotonic=clock)
    await keys.key("k1")
    identity.keys = {"k2": Ed25519PrivateKey.generate().public_key()}
    assert await keys.key("k1") is not None

    clock.now += 60
    assert await keys.key("k2") is not None
    assert await keys.key("k1") is None


async def test_cached_keys_stay_valid_while_identity_is_down(identity: FakeIdentity, clock: Clock) -> None:
    keys = JwksKeys(identity.client(), monotonic=clock)
    identity.down = True
    with pytest.raises(UnavailableError):
        await keys.key("k1")

    identity.down = False
    clock.now += 1
    assert await keys.key("k1") is not None
    identity.down = True
    clock.now += 3_600
    assert await keys.key("k1") is not None
    with pytest.raises(UnavailableError):
        await keys.key("perhaps a new one")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_request_over_a_pooled_connection_that_the_server_closes_is_retried(clock: Clock) -> None:
    """A server may close an idle connection while the client sends a request over it; the client then sends it again."""
    body = msgspec.json.encode(Access(user_id=USER, project_id=PROJECT, role=Role.VIEWER))
    requests: list[int] = []
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        await reader.readuntil(b"\r\n\r\n")
        requests.append(connections[-1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await reader.readuntil(b"\r\n\r\n")  # the second request of a connection is not answered
        requests.append(connections[-1])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        access = AccessClient(http, "secret", "test", monotonic=clock)
        assert await access.access(USER, PROJECT) is not None
        clock.now += 5

        again = await access.access(USER, PROJECT)

    assert again is not None
    assert requests == [0, 0, 1]


async def test_the_caches_of_the_clients_are_bounded(identity: FakeIdentity, keys: KeyClient, access: AccessClient, monkeypatch) -> None:
    monkeypatch.setattr(api_keys, "ENTRIES_MAX", 20)
    monkeypatch.setattr(api_keys, "REVOKED_MAX", 20)
    monkeypatch.setattr(access_module, "ENTRIES_MAX", 20)
    for number in range(100):
        await keys.grant(format_key(f"{number:016}", "s" * 32))
        keys.on_event(IdentityChanged(kind="key.revoked", key_id=f"{number:016}"))
        await access.access(f"user-{number}", PROJECT)

    assert (len(keys._known), len(keys._revoked), len(keys._locks), len(access._known)) == (0, 20, 0, 20)
    for number in range(100, 150):
        await keys.grant(format_key(f"{number:016}", "s" * 32))
    assert len(keys._known) == 20


async def test_a_jwks_document_with_too_many_keys_is_refused(identity: FakeIdentity, clock: Clock) -> None:
    jwks = JwksKeys(identity.client(), monotonic=clock)
    assert await jwks.key("k1") is not None
    key = Ed25519PrivateKey.generate().public_key()
    identity.keys = {f"k{number}": key for number in range(KEYS_MAX + 1)}
    clock.now += 1_000

    assert await jwks.key("k1") is not None
    assert len(jwks._keys) == 1
