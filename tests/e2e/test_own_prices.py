"""Own prices over REST, against the complete platform: who sets them, which calls they bill, and what a preview says of past costs."""

import json
import os
import time
from typing import Any

import httpx
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

MODEL = "our-own-model"
HOUR_US = 3_600_000_000


def now_us() -> int:
    return time.time_ns() // 1_000


def call(project: Project) -> str | None:
    """A call of a million tokens; its cost in US dollars."""
    task, step = hostile_posts.trace_id(), os.urandom(8).hex()
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.response.model", "value": {"stringValue": MODEL}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000000"}},
    ]
    body = hostile_posts.request(hostile_posts.span(task, spanId=step, attributes=attributes))
    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()
    found = f"/api/traces/{project.id}/tasks/{task}/steps/{step}"
    eventually(lambda: project.http.get(found).status_code, lambda got: got == 200)
    return project.http.get(found).raise_for_status().json()["step"]["cost_usd"]


def own_prices(http: httpx.Client, project: Project, path: str = "", **body: Any) -> httpx.Response:
    return http.post(f"/api/ingest/{project.id}/own-prices{path}", json=body)


def test_an_owner_sets_a_price_and_later_calls_are_billed_by_it(platform: Platform) -> None:
    project = Account(platform.url).project("prices")
    listed = f"/api/ingest/{project.id}/own-prices"
    assert call(project) is None

    tried = {"model": "our-*", "usd_per_million": {"input": "2.5"}, "from_us": 0}
    preview = own_prices(project.http, project, "/preview", price=tried).raise_for_status().json()
    assert (preview["calls"], preview["unknown_before"], preview["unknown_after"], preview["complete"]) == (1, 1, 0, True)
    assert [(item["model"], item["after_usd"]) for item in preview["items"]] == [(MODEL, "2.5")]
    assert project.http.get(listed).json() == {"items": []}  # nothing was written

    first = own_prices(project.http, project, **tried, note="contract").raise_for_status().json()
    later = own_prices(
        project.http, project, model="our-*", usd_per_million={"input": "9"}, from_us=now_us() + HOUR_US
    ).raise_for_status().json()  # fmt: skip

    assert (first["visible"], first["price"]["state"], later["price"]["state"]) == (True, "current", "planned")
    assert call(project) == "2.5"
    items = project.http.get(listed).raise_for_status().json()["items"]
    assert [item["price_id"] for item in items] == [later["price"]["price_id"], first["price"]["price_id"]]
    assert (items[1]["usd_per_million"], items[1]["note"]) == ({"input": "2.5"}, "contract")
    shown = project.http.get(f"/api/ingest/{project.id}/prices", params={"model": MODEL}).raise_for_status().json()["items"][0]
    assert (shown["known"], shown["own"]["usd_per_million"], shown["own"]["model"]) == (False, {"input": "2.5"}, "our-*")
    preview = own_prices(project.http, project, "/preview", days=2).raise_for_status().json()
    assert (preview["calls"], preview["unknown_before"], preview["before_usd"], preview["after_usd"]) == (2, 1, "2.5", "5")

    own_prices(project.http, project, model="our-*", usd_per_million=None, from_us=0).raise_for_status()
    assert call(project) is None


def test_members_see_and_preview_prices_and_owners_set_them(platform: Platform) -> None:
    project = Account(platform.url).project("prices")
    member = Account(platform.url)
    project.http.post(f"/api/projects/{project.id}/members", json={"username": member.name, "role": "member"}).raise_for_status()
    price = {"model": MODEL, "usd_per_million": {"input": "1"}}

    assert own_prices(member.http, project, **price).status_code == 403
    assert own_prices(member.http, project, "/preview", price=price).status_code == 200
    assert member.http.get(f"/api/ingest/{project.id}/own-prices").json() == {"items": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": MODEL},
        {"model": MODEL, "usd_per_million": {"input": "-1"}},
        {"model": MODEL, "usd_per_million": {"inputs": "1"}},
        {"model": MODEL, "usd_per_million": {"input": 1}},
        {"model": "", "usd_per_million": {"input": "1"}},
        {"model": MODEL, "usd_per_million": {"input": "1"}, "from_us": -1},
        {"model": MODEL, "usd_per_million": {"input": "1"}, "unit": "cents"},
    ],
    ids=json.dumps,
)
def test_what_is_no_price_gets_a_problem_document(platform: Platform, some_project: Project, body: dict[str, Any]) -> None:
    answer = own_prices(some_project.http, some_project, **body)

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert own_prices(some_project.http, some_project, "/preview", price=body).status_code == 422


@pytest.fixture(scope="module")
def some_project(platform: Platform) -> Project:
    return Account(platform.url).project("prices")
