"""Records of ``ams.inbound.v1``: what is signed and valid is published, anything else becomes a dead letter, and nothing is lost."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis

from ams_contracts.claims import INBOUND_AUDIENCE, KeyState, Quota, Scope
from ams_contracts.codec import decode_batch
from ams_contracts.positions import Position
from ams_contracts.topics import INBOUND
from ams_kit.auth import InboundVerifier
from ams_kit.auth.jwks import VerificationKey
from ams_kit.bus import Log, LogRecord, LogUnavailableError, PositionMovedError, Record
from ams_kit.errors import UnavailableError
from ams_kit.usage import UsageMeter
from ams_trace_ingest.dead_letter_cli import NoSuchLetterError, record_of
from ams_trace_ingest.intake.inbound import LETTER_BYTES_MAX, InboundProjection
from ams_trace_ingest.intake.project_prices import ProjectPrices
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.store.dead_letters import DeadLetter

KEY = Ed25519PrivateKey.generate()
ISSUER = "http://localhost:8080"
PROJECT = "01890000-0000-7000-8000-000000000000"
OTHER_PROJECT = "01890000-0000-7000-8000-000000000001"
KEY_ID = "k" * 16
TASK = "a" * 32
NOW_S = int(time.time())


class Published:
    """A log that keeps what is published, or is down."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False

    async def publish(self, records: Sequence[Record]) -> list[Position]:
        if self.down:
            raise LogUnavailableError("down")
        self.records += records
        return []

    def event_ids(self) -> list[str]:
        return [event.event_id for record in self.records for event in decode_batch(record.value).batch.events]


class Identity:
    """Identity's public key, and the state of one API key."""

    def __init__(self) -> None:
        self.usable: KeyState | None = KeyState(key_id=KEY_ID, project_id=PROJECT, scopes=[Scope.INGEST])
        self.down = False

    async def key(self, kid: str) -> VerificationKey | None:
        return VerificationKey(KEY.public_key()) if kid == "k1" else None

    async def state(self, key_id: str) -> KeyState | None:
        if self.down:
            raise UnavailableError
        return self.usable if key_id == KEY_ID else None


def a_token(key: Ed25519PrivateKey = KEY, kid: str = "k1", **changes: Any) -> str:
    claims = {
        "iss": ISSUER, "aud": INBOUND_AUDIENCE, "sub": KEY_ID, "project_id": PROJECT, "jti": "j1", "iat": NOW_S - 60, "exp": NOW_S + 3_540,
    } | changes  # fmt: skip
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": kid})


def an_event(number: int, **changes: Any) -> dict[str, Any]:
    step = {"type": "tool", "name": "search", "status": "running", "started_at_us": 5} | changes.pop("step", {})
    return {"kind": "step.started", "event_id": f"{number:032x}", "seq": number, "at_us": 5, "step_id": "c" * 16, "step": step} | changes


def a_body(*events: Any) -> bytes:
    batch = {"task_id": TASK, "producer": {"sdk": "ams-python", "instance_id": "p1"}, "events": list(events)}
    return json.dumps({"v": 1, "batches": [batch]}).encode()


def a_record(offset: int, value: bytes | None = None, *, authorization: str | None = None, **changes: Any) -> LogRecord:
    header = f"Bearer {a_token()}" if authorization is None else authorization
    given: dict[str, Any] = {
        "key": f"{PROJECT}:{TASK}".encode(),
        "headers": (("v", b"1"), ("authorization", header.encode())),
        "timestamp_ms": NOW_S * 1_000,
    } | changes
    return LogRecord(
        topic=INBOUND.name, partition=0, offset=offset, value=a_body(an_event(offset + 1)) if value is None else value, **given
    )


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def identity() -> Identity:
    return Identity()


@pytest.fixture
def inbound(pool, published: Published, identity: Identity) -> InboundProjection:
    return InboundProjection(
        pool,
        cast("Log", published),
        InboundVerifier(identity, identity, issuer=ISSUER),
        ProjectPrices(pool, Prices(GenaiPrices())),
        now_us=lambda: 1,
    )


async def test_a_record_over_the_quota_of_its_project_becomes_a_dead_letter_and_others_do_not(
    pool, published: Published, identity: Identity, store
) -> None:
    identity.usable = KeyState(key_id=KEY_ID, project_id=PROJECT, scopes=[Scope.INGEST], quota=Quota(events_per_minute=2))
    usage = UsageMeter(cast("Redis", None), now_s=lambda: float(NOW_S))
    projection = InboundProjection(
        pool, cast("Log", published), InboundVerifier(identity, identity, issuer=ISSUER), ProjectPrices(pool, Prices(GenaiPrices())),
        usage=usage, now_us=lambda: 1,
    )  # fmt: skip
    three = a_record(0, a_body(an_event(1), an_event(2), an_event(3)))  # begins below the quota
    minute_before = a_record(2, timestamp_ms=(NOW_S - 60) * 1_000)

    await projection.apply(INBOUND.name, 0, [three, a_record(1), minute_before], 0)

    assert published.event_ids() == [f"{number:032x}" for number in (1, 2, 3, 3)]
    [letter] = await store.rows("dead_letters")
    assert (letter["reason"], letter["project_id"]) == ("quota_events", PROJECT)
    assert "2 events a minute" in letter["detail"]
    usage.admit(OTHER_PROJECT, Quota(events_per_minute=2))


async def test_a_record_that_comes_again_after_an_outage_counts_once(pool, published: Published, identity: Identity, store) -> None:
    identity.usable = KeyState(key_id=KEY_ID, project_id=PROJECT, scopes=[Scope.INGEST], quota=Quota(events_per_minute=2))
    usage = UsageMeter(cast("Redis", None), now_s=lambda: float(NOW_S))
    projection = InboundProjection(
        pool, cast("Log", published), InboundVerifier(identity, identity, issuer=ISSUER), ProjectPrices(pool, Prices(GenaiPrices())),
        usage=usage, now_us=lambda: 1,
    )  # fmt: skip
    published.down = True
    for _ in range(3):
        with pytest.raises(LogUnavailableError):
            await projection.apply(INBOUND.name, 0, [a_record(0)], 0)
    published.down = False

    await projection.apply(INBOUND.name, 0, [a_record(0), a_record(1)], 0)

    assert published.event_ids() == [f"{number:032x}" for number in (1, 2)]
    assert await store.rows("dead_letters") == []


async def test_a_signed_record_is_published_under_the_project_of_its_token(inbound, published, store) -> None:
    assert await inbound.apply(INBOUND.name, 0, [a_record(0), a_record(3)], 0) == 4

    assert published.event_ids() == [f"{1:032x}", f"{4:032x}"]
    assert {record.key for record in published.records} == {f"{PROJECT}:{TASK}".encode()}
    assert dict(published.records[0].headers)["key_id"] == KEY_ID.encode()
    assert "authorization" not in dict(published.records[0].headers)
    assert (await inbound.stored(INBOUND.name, [0]))[0].next_offset == 4
    assert await store.rows("dead_letters") == []
    assert await store.account("inbound") == {"projected": 2}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (a_record(0, headers=()), ("unauthenticated", None)),
        (a_record(0, headers=(("authorization", b"Bearer a"), ("authorization", b"Bearer b"))), ("unauthenticated", None)),
        (a_record(0, authorization="Basic abc"), ("unauthenticated", None)),
        (a_record(0, authorization="Bearer x"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(Ed25519PrivateKey.generate())}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(kid='unknown')}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(aud='ams-ingest')}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(aud='ams')}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(iss='http://elsewhere')}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token(project_id='x')}"), ("unauthenticated", None)),
        (a_record(0, authorization=f"Bearer {a_token()[:-4]}AAAA"), ("unauthenticated", None)),
        (a_record(0, timestamp_ms=(NOW_S + 3_600) * 1_000), ("expired", None)),
        (a_record(0, authorization=f"Bearer {a_token(sub='z' * 16)}"), ("key_revoked", None)),
        (a_record(0, key=f"{OTHER_PROJECT}:{TASK}".encode()), ("foreign_project", PROJECT)),
        (a_record(0, key=None), ("foreign_project", PROJECT)),
        (a_record(0, b"{"), ("malformed_json", PROJECT)),
        (a_record(0, b""), ("malformed_json", PROJECT)),
        (a_record(0, b'{"v":2,"batches":[]}'), ("unsupported_version", PROJECT)),
    ],
)
async def test_a_record_that_proves_nothing_is_a_dead_letter(
    inbound, published, store, record: LogRecord, expected: tuple[str, str | None]
) -> None:
    assert await inbound.apply(INBOUND.name, 0, [record, a_record(1)], 0) == 2

    (letter,) = await store.rows("dead_letters")
    assert (letter["reason"], letter["project_id"], letter["topic"], letter["offset"]) == (*expected, INBOUND.name, 0)
    assert b"Bearer" not in letter["bytes"]
    assert published.event_ids() == [f"{2:032x}"]


async def test_a_token_is_valid_when_the_broker_took_the_record_and_not_when_it_is_read(inbound, published) -> None:
    token = a_token(iat=NOW_S - 86_400, exp=NOW_S - 82_800)

    await inbound.apply(INBOUND.name, 0, [a_record(0, authorization=f"Bearer {token}", timestamp_ms=(NOW_S - 84_000) * 1_000)], 0)

    assert len(published.event_ids()) == 1


@pytest.mark.parametrize("state", [None, KeyState(key_id=KEY_ID, project_id=OTHER_PROJECT, scopes=[Scope.INGEST]), KeyState(key_id=KEY_ID, project_id=PROJECT, scopes=[Scope.READ])])  # fmt: skip
async def test_a_key_that_was_revoked_writes_nothing_more(inbound, published, identity, store, state: KeyState | None) -> None:
    identity.usable = state

    await inbound.apply(INBOUND.name, 0, [a_record(0)], 0)

    assert [row["reason"] for row in await store.rows("dead_letters")] == ["key_revoked"]
    assert published.records == []


@pytest.mark.parametrize("started", [10**18, 294_277 * 31_556_952 * 10**6, -62_167_219_200_000_000])
async def test_an_event_outside_of_time_is_counted_and_its_neighbours_are_taken(inbound, published, store, started: int) -> None:
    body = a_body(an_event(1), an_event(2, step={"started_at_us": started}), an_event(3))

    await inbound.apply(INBOUND.name, 0, [a_record(0, body)], 0)

    (letter,) = await store.rows("dead_letters")
    assert (letter["reason"], letter["detail"], letter["project_id"]) == (
        "events_refused",
        "1 of 3 events were refused (invalid: 1)",
        PROJECT,
    )
    assert published.event_ids() == [f"{1:032x}", f"{3:032x}"]


async def test_nothing_is_lost_while_identity_or_the_log_is_down(inbound, published, identity, store) -> None:
    identity.down = True
    with pytest.raises(UnavailableError):
        await inbound.apply(INBOUND.name, 0, [a_record(0)], 0)
    identity.down, published.down = False, True
    with pytest.raises(LogUnavailableError):
        await inbound.apply(INBOUND.name, 0, [a_record(0)], 0)
    published.down = False

    assert await inbound.stored(INBOUND.name, [0]) == {}
    assert await inbound.apply(INBOUND.name, 0, [a_record(0)], 0) == 1
    assert (published.event_ids(), await store.rows("dead_letters")) == ([f"{1:032x}"], [])


async def test_a_record_that_is_read_twice_has_the_same_event_ids(inbound, published, store) -> None:
    await inbound.apply(INBOUND.name, 0, [a_record(0)], 0)
    with pytest.raises(PositionMovedError):
        await inbound.apply(INBOUND.name, 0, [a_record(0)], 0)

    assert published.event_ids() == [f"{1:032x}"] * 2
    assert await store.account("inbound") == {"projected": 1}


async def test_a_dead_letter_of_a_stranger_is_short_and_cannot_be_published_again(inbound, store) -> None:
    await inbound.apply(INBOUND.name, 0, [a_record(0, b"x" * 1_000_000, headers=())], 0)

    (row,) = await store.rows("dead_letters")
    assert len(row["bytes"]) == LETTER_BYTES_MAX
    with pytest.raises(NoSuchLetterError):
        record_of(DeadLetter(**row))


async def test_another_projects_key_cannot_be_used_by_naming_it_in_the_body(inbound, published) -> None:
    body = json.loads(a_body(an_event(1)))
    body["batches"][0]["project_id"] = OTHER_PROJECT
    body["project_id"] = str(uuid.UUID(OTHER_PROJECT))

    await inbound.apply(INBOUND.name, 0, [a_record(0, json.dumps(body).encode())], 0)

    assert {decode_batch(record.value).batch.project_id for record in published.records} == {PROJECT}
