"""The revocation list, on a real Valkey that stops and loses its data."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from ams_contracts.claims import AUDIENCE, IDENTITY_CHANNEL, AccessClaims, IdentityChanged
from ams_contracts.codec import encode
from ams_kit.auth import open_redis
from ams_kit.auth.identity_events import IdentityEvents
from ams_kit.auth.revocation import EPOCH_FIELD, RECEIVED_MAX, REPLICA_SECONDS, REVOCATIONS_KEY, RevocationList
from ams_kit.background import Background
from ams_kit.errors import UnauthenticatedError, UnavailableError
from ams_kit.retriable import UNAVAILABLE
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
    redis = open_redis(valkey.url)
    await redis.hset(REVOCATIONS_KEY, EPOCH_FIELD, "e1")
    yield RevocationList(redis, monotonic=clock, now_s=lambda: 1_000)
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


async def test_without_redis_the_replica_answers_for_thirty_seconds(
    valkey: ValkeyServer, revocations: RevocationList, clock: Clock
) -> None:
    await write(valkey, jti_j9="99999999999:0")
    await revocations.refresh()
    valkey.stop()

    clock.now += REPLICA_SECONDS
    assert not await is_revoked(revocations)
    with pytest.raises(UnauthenticatedError):
        await revocations.check(AccessClaims(iss="i", aud=AUDIENCE, sub="u", sid="s", jti="j9", iat=1_000, exp=1_600))
    with pytest.raises(UNAVAILABLE):
        await revocations.refresh()

    clock.now += 1
    with pytest.raises(UnavailableError):
        await revocations.check(CLAIMS)


async def test_a_revocation_of_the_channel_applies_while_redis_is_down(valkey: ValkeyServer, revocations: RevocationList) -> None:
    await revocations.refresh()
    valkey.stop()

    revocations.on_event(IdentityChanged(kind="session.revoked", user_id="u1", session_id="s1"))

    assert await is_revoked(revocations)


async def test_a_revocation_of_a_user_applies_too(valkey: ValkeyServer, revocations: RevocationList) -> None:
    await revocations.refresh()
    valkey.stop()

    revocations.on_event(IdentityChanged(kind="session.revoked", user_id="u1"))

    assert await is_revoked(revocations)


async def test_an_empty_redis_does_not_prove_that_a_token_is_valid(valkey: ValkeyServer, revocations: RevocationList, clock: Clock) -> None:
    await write(valkey, jti_j1="99999999999:0")
    await revocations.refresh()
    valkey.stop()
    valkey.start()

    assert await is_revoked(revocations)  # according to the replica
    with pytest.raises(UnavailableError):
        await revocations.refresh()
    clock.now += REPLICA_SECONDS + 1
    with pytest.raises(UnavailableError):
        await revocations.check(CLAIMS)


async def test_a_service_that_starts_before_identity_accepts_no_token(valkey: ValkeyServer, clock: Clock) -> None:
    redis = open_redis(valkey.url)

    with pytest.raises(UnavailableError):
        await RevocationList(redis, monotonic=clock).check(CLAIMS)

    await redis.aclose()


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


async def test_more_revocations_than_the_limit_make_the_replica_unusable(valkey: ValkeyServer, revocations: RevocationList) -> None:
    await revocations.refresh()
    valkey.stop()

    for number in range(RECEIVED_MAX + 1):
        revocations.on_event(IdentityChanged(kind="session.revoked", user_id=f"u{number}", session_id=f"s{number}"))

    assert len(revocations._received) <= RECEIVED_MAX
    with pytest.raises(UnavailableError):
        await revocations.check(CLAIMS)
