"""The revocation list, on a real Valkey that stops and loses its data."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from ams_contracts.claims import AUDIENCE, IDENTITY_CHANNEL, AccessClaims, IdentityChanged
from ams_contracts.codec import encode
from ams_kit.auth import open_redis
from ams_kit.auth.identity_events import IdentityEvents
from ams_kit.auth.revocation import (
    ASK_AGAIN_SECONDS,
    CURRENT_FIELD,
    LEASE_SECONDS,
    RECEIVED_MAX,
    REVOCATIONS_KEY,
    SERVER_FIELD,
    RevocationList,
    ServerWatch,
    is_complete,
)
from ams_kit.background import Background
from ams_kit.errors import UnauthenticatedError, UnavailableError
from ams_kit.retriable import UNAVAILABLE
from ams_kit.testing.revocations import declare_complete
from ams_kit.testing.valkey import ValkeyServer

CLAIMS = AccessClaims(iss="i", aud=AUDIENCE, sub="u1", sid="s1", jti="j1", iat=1_000, exp=1_600)


class Clock:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def revocations(valkey: ValkeyServer, clock: Clock) -> AsyncIterator[RevocationList]:
    server = ServerWatch()
    redis = open_redis(valkey.url, server)
    await declare_complete(redis)
    yield RevocationList(redis, server, monotonic=clock, now_s=lambda: 1_000)
    await redis.aclose()


async def write(valkey: ValkeyServer, **fields: str) -> None:
    redis = open_redis(valkey.url)
    await redis.hset(REVOCATIONS_KEY, mapping={name.replace("_", ":"): value for name, value in fields.items()})
    await redis.aclose()


async def is_revoked(revocations: RevocationList) -> bool:
    try:
        await revocations.check(CLAIMS)
    except UnauthenticatedError:
        return True
    return False


@pytest.mark.parametrize(
    ("field", "value", "revoked"),
    [
        ("jti_j1", "99999999999:0", True),
        ("sid_s1", "99999999999:0", True),
        ("user_u1", "1001:0", True),
        ("user_u1", "1000:0", False),
        ("jti_j2", "99999999999:0", False),
        ("jti_j1", "nonsense", True),
        ("jti_j1", "", True),
    ],
)
async def test_a_token_is_revoked_by_its_id_its_session_or_its_user(
    valkey: ValkeyServer, revocations: RevocationList, field: str, value: str, revoked: bool
) -> None:
    assert not await is_revoked(revocations)

    await write(valkey, **{field: value})

    assert await is_revoked(revocations) is revoked


async def is_unknown(revocations: RevocationList) -> bool:
    with pytest.raises(UnavailableError) as caught:
        await revocations.check(CLAIMS)
    return caught.value.code == "revocation_unknown"


async def test_without_redis_no_token_is_accepted(valkey: ValkeyServer, revocations: RevocationList, clock: Clock) -> None:
    await revocations.refresh()
    valkey.stop()

    assert await is_unknown(revocations)
    with pytest.raises(UNAVAILABLE):
        await revocations.refresh()
    clock.now += ASK_AGAIN_SECONDS + 0.1
    assert await is_unknown(revocations)


async def test_a_frozen_redis_costs_one_timeout_and_is_believed_after_a_renewal_alone(
    valkey: ValkeyServer, revocations: RevocationList, clock: Clock
) -> None:
    valkey.freeze()
    started_at = asyncio.get_running_loop().time()
    assert await is_unknown(revocations)
    assert await is_unknown(revocations)
    await asyncio.sleep(started_at + LEASE_SECONDS + 0.1 - asyncio.get_running_loop().time())  # the clock of the server cannot be moved
    valkey.resume()
    clock.now += ASK_AGAIN_SECONDS + 0.1

    assert await is_unknown(revocations)

    redis = open_redis(valkey.url)
    await redis.hset(REVOCATIONS_KEY, "jti:j1", "99999999999:0")
    await declare_complete(redis)
    await redis.aclose()
    assert await is_revoked(revocations)


@pytest.mark.parametrize(
    ("server", "current_us", "complete"),
    [
        (b"r1", b"10000000", True),
        (b"r1", b"7000000", True),
        (b"r1", b"6999999", False),
        (b"r1", b"10000001", False),
        (b"r2", b"10000000", False),
        (None, b"10000000", False),
        (b"r1", None, False),
        (b"r1", b"", False),
        (b"r1", b"-1", False),
        (b"r1", b"1e7", False),
    ],
)
def test_a_list_is_complete_on_its_server_for_the_time_of_the_lease(server: bytes | None, current_us: bytes | None, complete: bool) -> None:
    assert is_complete(server, current_us, run_id=b"r1", now_us=10_000_000) is complete
    assert not is_complete(server, current_us, run_id=b"", now_us=10_000_000)


async def test_a_message_revokes_while_redis_is_down(valkey: ValkeyServer, revocations: RevocationList) -> None:
    await revocations.refresh()
    valkey.stop()

    revocations.on_event(IdentityChanged(kind="session.revoked", user_id="u1", session_id="s1"))

    assert await is_revoked(revocations)
    assert revocations.known_revoked(CLAIMS)


@pytest.mark.parametrize(("until_s", "revoked"), [(None, True), (1_001, True), (1_000, False)])
async def test_a_message_about_a_user_revokes_what_was_issued_before(
    revocations: RevocationList, until_s: int | None, revoked: bool
) -> None:
    revocations.on_event(IdentityChanged(kind="session.revoked", user_id="u1", until_s=until_s))

    assert await is_revoked(revocations) is revoked


async def test_an_emptied_redis_does_not_prove_that_a_token_is_valid(valkey: ValkeyServer, revocations: RevocationList) -> None:
    await revocations.refresh()
    valkey.empty()

    assert await is_unknown(revocations)
    with pytest.raises(UnavailableError):
        await revocations.refresh()


@pytest.mark.parametrize("kept", [False, True])
async def test_a_restarted_redis_is_believed_once_identity_has_written_to_it(
    valkey: ValkeyServer, revocations: RevocationList, clock: Clock, kept: bool
) -> None:
    """``kept``: the new server has the list of the old one, maybe without its last second."""
    redis = open_redis(valkey.url)
    before = await redis.hgetall(REVOCATIONS_KEY)
    await redis.aclose()
    assert not await is_revoked(revocations)
    valkey.stop()
    valkey.start()
    if kept:
        await redis.hset(REVOCATIONS_KEY, mapping=before)

    assert await is_unknown(revocations)

    clock.now += ASK_AGAIN_SECONDS + 0.1
    assert await is_unknown(revocations)
    await redis.hset(REVOCATIONS_KEY, "sid:s1", "99999999999:0")
    await declare_complete(redis)
    assert await is_revoked(revocations)
    await redis.aclose()


@pytest.mark.parametrize("field", [SERVER_FIELD, CURRENT_FIELD])
async def test_a_service_that_starts_before_identity_accepts_no_token(
    valkey: ValkeyServer, revocations: RevocationList, field: str
) -> None:
    redis = open_redis(valkey.url)
    await redis.hdel(REVOCATIONS_KEY, field)
    await redis.aclose()

    assert await is_unknown(revocations)


async def test_changes_arrive_again_after_the_connection_was_lost(valkey: ValkeyServer) -> None:
    redis = open_redis(valkey.url)
    received: list[IdentityChanged] = []
    gaps: list[None] = []
    changes = IdentityEvents(redis)
    changes.subscribe(lambda _: 1 / 0)  # one that fails does not keep the others from hearing
    changes.subscribe(received.append)
    changes.on_missed_events(lambda: gaps.append(None))
    background = Background()
    changes.start(background)
    await _until(lambda: len(gaps) == 1)
    valkey.stop()
    await _until(lambda: not changes.connected.is_set())
    valkey.start()
    await _until(lambda: len(gaps) == 2)

    await redis.publish(IDENTITY_CHANNEL, encode(IdentityChanged(kind="key.revoked", key_id="k")))
    await _until(lambda: len(received) == 1)
    await redis.publish(IDENTITY_CHANNEL, b'{"kind":"from.the.future"}')
    await _until(lambda: len(gaps) == 3)

    assert received[0].key_id == "k"
    await background.close()
    await redis.aclose()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_number_of_received_revocations_is_limited(valkey: ValkeyServer, revocations: RevocationList) -> None:
    for number in range(RECEIVED_MAX + 5):
        revocations.on_event(IdentityChanged(kind="session.revoked", user_id=f"u{number}", session_id=f"s{number}"))

    assert len(revocations._received) == RECEIVED_MAX
    newest = AccessClaims(iss="i", aud=AUDIENCE, sub="u", sid=f"s{RECEIVED_MAX + 4}", jti="j", iat=1_000, exp=1_600)
    assert revocations.known_revoked(newest)
