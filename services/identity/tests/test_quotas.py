"""Quotas and usage of projects, and what the administrator sets."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from services.identity.tests.clients import Person, Server
from services.identity.tests.test_keys import exchange, new_key

from ams_contracts.claims import Quota
from ams_identity.quota_rules import ProjectQuotas, effective_quota, quota_max, warnings
from ams_identity.usage import record_days
from ams_kit.usage import UsageMeter


@pytest.fixture
def administrator(person: Person, sql: Callable[..., Any]) -> Iterator[Person]:
    sql("update users set administrator = true where id = $1", person.user_id)
    yield person
    sql("update users set administrator = false where id = $1", person.user_id)


def send(server: Server, project_id: str, *, events: int, size_bytes: int) -> None:
    """What intake and the background task of identity do."""

    async def work() -> None:
        async with Redis.from_url(server.settings.redis_url) as redis:
            meter = UsageMeter(redis, now_s=server.clock)
            meter.add(project_id, events=events, size_bytes=size_bytes)
            await meter.flush()

    asyncio.run(work())


def test_the_lower_of_the_limits_applies() -> None:
    platform = Quota(events_per_minute=100)

    assert effective_quota(Quota(), ProjectQuotas()) is None
    assert effective_quota(platform, ProjectQuotas(events_per_minute=20)) == Quota(events_per_minute=20)
    assert effective_quota(platform, ProjectQuotas(events_per_minute=500)) == Quota(events_per_minute=100)
    assert effective_quota(platform, ProjectQuotas(events_per_minute_max=500)) == Quota(events_per_minute=500)
    assert quota_max(platform, ProjectQuotas(bytes_per_day_max=7)) == Quota(events_per_minute=100, bytes_per_day=7)


def test_a_quota_warns_at_80_percent() -> None:
    quota = Quota(events_per_minute=10, bytes_per_day=1_000)

    assert warnings(quota, events_this_minute=7, bytes_today=799) == []
    (warning,) = warnings(quota, events_this_minute=0, bytes_today=800)
    assert warning == "80 % of the quota is used: 800 of 1,000 bytes of today (UTC)."
    (used_up,) = warnings(quota, events_this_minute=10, bytes_today=0)
    assert used_up.startswith("The quota is used up: 10 of 10 events of this minute.")
    assert warnings(None, events_this_minute=10**9, bytes_today=10**15) == []


def test_the_administrator_sets_a_quota_that_owners_may_lower(
    administrator: Person, stranger: Person, service_headers: dict[str, str], sql: Callable[..., Any]
) -> None:
    project = f"/api/projects/{stranger.project_id}"
    quota = {"events_per_minute": 1_000, "bytes_per_day": 5_000_000, "retention_days": 7}
    answer = administrator.client.put(f"/api/auth/projects/{stranger.project_id}/quota", json=quota, headers=administrator.headers)
    assert answer.status_code == 204

    assert stranger.patch(project, {"events_per_minute": 2_000}).json()["code"] == "quota_too_high"
    assert stranger.patch(project, {"retention_days": 8}).json()["code"] == "retention_too_long"
    assert stranger.patch(project, {"events_per_minute": 200}).json()["retention_days_max"] == 7

    usage = stranger.get(f"{project}/usage").raise_for_status().json()
    assert usage["quota"] == {"events_per_minute": 200, "bytes_per_day": 5_000_000}
    assert usage["quota_max"] == {"events_per_minute": 1_000, "bytes_per_day": 5_000_000}
    key = new_key(stranger)
    question = f"/internal/access?user_id={stranger.user_id}&project_id={stranger.project_id}"
    answers = [stranger.client.get(path, headers=service_headers).json() for path in (question, f"/internal/keys/{key['key_id']}")]
    assert [one["quota"] for one in (exchange(stranger, key["key"]).json(), *answers)] == [usage["quota"]] * 3
    actions = [row["action"] for row in sql("select action from audit where project_id = $1", stranger.project_id)]
    assert actions.count("project.quota_changed") == 2


def test_usage_is_shown_at_once_and_kept_by_day(server: Server, administrator: Person, stranger: Person) -> None:
    send(server, stranger.project_id, events=3, size_bytes=900)
    administrator.client.put(
        f"/api/auth/projects/{stranger.project_id}/quota", json={"bytes_per_day": 1_000}, headers=administrator.headers
    ).raise_for_status()

    usage = stranger.get(f"/api/projects/{stranger.project_id}/usage").json()
    assert (usage["events_this_minute"] in {0, 3}, usage["events_today"], usage["bytes_today"]) == (True, 3, 900)
    assert usage["warnings"] == ["90 % of the quota is used: 900 of 1,000 bytes of today (UTC)."]

    async def record() -> None:
        async with Redis.from_url(server.settings.redis_url) as redis:
            await record_days(server.app.state.identity.pool, redis, server.clock())

    asyncio.run_coroutine_threadsafe(record(), server.app.state.identity.pool._loop).result(10)
    projects = administrator.get("/api/auth/projects", params={"limit": 500}).raise_for_status().json()
    (mine,) = [item for item in projects["items"] if item["project_id"] == stranger.project_id]
    assert (mine["events_30_days"], mine["bytes_30_days"], mine["owners"]) == (3, 900, [stranger.username])
    assert mine["quotas"]["bytes_per_day_max"] == 1_000
    assert msgspec.json.decode(msgspec.json.encode(projects["quota"])) == {}


def test_others_do_not_administer(person: Person, stranger: Person) -> None:
    quota = f"/api/auth/projects/{stranger.project_id}/quota"

    assert person.get("/api/auth/projects").json()["code"] == "not_administrator"
    assert person.client.put(quota, json={}, headers=person.headers).json()["code"] == "not_administrator"
    assert person.post(f"/api/users/{stranger.user_id}/administrator", {"administrator": True}).json()["code"] == "not_administrator"
    assert person.get(f"/api/projects/{stranger.project_id}/usage").status_code == 404


def test_an_administrator_makes_another_one(administrator: Person, stranger: Person, sql: Callable[..., Any]) -> None:
    path = f"/api/users/{stranger.user_id}/administrator"

    assert administrator.post(path, {"administrator": True}).status_code == 204
    assert stranger.get("/api/users/me").json()["administrator"] is True
    own = stranger.post(path, {"administrator": False})
    assert (own.status_code, own.json()["code"]) == (409, "own_account")
    assert administrator.post(path, {"administrator": False}).status_code == 204
    assert stranger.get("/api/users").status_code == 403
    assert len(sql("select from audit where action = 'user.administrator_changed' and subject = $1", stranger.user_id)) == 2


@pytest.mark.parametrize(
    "body", [{"events_per_minute": 0}, {"bytes_per_day": -1}, {"events_per_minute": 1.5}, {"retention_days": 9_999}, {"surprise": 1}]
)
def test_a_quota_that_makes_no_sense_is_refused(administrator: Person, body: dict[str, Any]) -> None:
    path = f"/api/auth/projects/{administrator.project_id}/quota"

    assert administrator.client.put(path, json=body, headers=administrator.headers).status_code == 422
