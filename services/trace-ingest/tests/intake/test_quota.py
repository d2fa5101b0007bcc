"""What a project sends over its quota is refused with 429, and every use of a key names the client."""

import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from msgspec.structs import replace

from ams_contracts.claims import KeyGrant, Quota, Scope
from ams_kit.auth import AuthKit, KeyUse, open_redis
from ams_kit.bus import create_topics
from ams_kit.http.client_address import parse_networks
from ams_kit.testing.serving import serving
from ams_trace_ingest.app import make_intake
from ams_trace_ingest.settings import IntakeSettings


class KeysOfTwoProjects:
    """Grants of two projects, one with a quota of two events a minute. Keeps who used the keys."""

    def __init__(self) -> None:
        self.projects = {"ams_limited": str(uuid.uuid4()), "ams_free": str(uuid.uuid4())}
        self.uses: list[KeyUse] = []

    async def grant(self, api_key: str, use: KeyUse) -> KeyGrant:
        self.uses.append(use)
        grant = KeyGrant(access_token="t", expires_in=600, project_id=self.projects[api_key], key_id="k1", scopes=[Scope.INGEST])
        return replace(grant, quota=Quota(events_per_minute=2)) if api_key == "ams_limited" else grant


@pytest.fixture
def keys() -> KeysOfTwoProjects:
    return KeysOfTwoProjects()


@pytest.fixture
async def http(settings: IntakeSettings, keys: KeysOfTwoProjects) -> AsyncIterator[httpx.AsyncClient]:
    await create_topics(settings.kafka_bootstrap)

    async def close() -> None:
        return None

    parts = SimpleNamespace(keys=keys, close=close, trusted_proxies=parse_networks("127.0.0.1"), redis=open_redis(settings.redis_url))
    with serving(make_intake(settings, auth=cast("AuthKit", parts))) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30, headers={"User-Agent": "ams-tracing/1.2.0"}) as client:
            yield client


def a_batch(events: int) -> dict[str, Any]:
    step = {"type": "tool", "name": "search", "status": "running"}
    sent = [
        {"kind": "step.started", "event_id": uuid.uuid4().hex, "seq": number, "at_us": 5, "step_id": uuid.uuid4().hex[:16], "step": step}
        for number in range(events)
    ]
    return {"v": 1, "batches": [{"task_id": uuid.uuid4().hex, "producer": {"sdk": "test", "instance_id": "i"}, "events": sent}]}


async def test_a_project_over_its_quota_gets_429_and_others_do_not(http: httpx.AsyncClient, keys: KeysOfTwoProjects) -> None:
    async def send(key: str, events: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "203.0.113.7"}
        return await http.post("/v1/batches", json=a_batch(events), headers=headers)

    begun_below = await send("ams_limited", 3)  # accepted in full
    over = await send("ams_limited", 1)
    other = await send("ams_free", 1)

    assert (begun_below.status_code, begun_below.json()["accepted"]) == (200, 3)
    assert (over.status_code, over.json()["code"]) == (429, "quota_events")
    assert 1 <= int(over.headers["Retry-After"]) <= 60
    assert "2 events a minute" in over.json()["detail"]
    assert over.headers["cache-control"] == "no-store"
    assert other.status_code == 200
    assert keys.uses[0] == KeyUse("203.0.113.7", "ams-tracing/1.2.0")
