"""Agents of a project, and the health of services."""

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from ams_trace_query.health import HealthProbe, health_route, parse_health_urls

T0 = 1_782_000_000_000_000


async def test_agents_are_listed_in_pages_most_recently_seen_first(ada, store) -> None:
    await store.agent("critic", last_seen_at_us=T0 + 1)
    await store.agent("planner", last_seen_at_us=T0 + 9, version="2.1", tools=["search"], metadata={"repo": "x"}, registered_at_us=T0)
    await store.agent("alpha", last_seen_at_us=T0 + 1)

    first = await ada.get("agents", limit="2")
    second = await ada.get("agents", limit="2", cursor=first["next_cursor"])

    assert [item["name"] for item in first["items"] + second["items"]] == ["planner", "alpha", "critic"]
    assert second["next_cursor"] is None
    assert (first["items"][0]["tools"], first["items"][0]["metadata"]) == (["search"], {"repo": "x"})
    assert first["items"][1]["registered_at_us"] is None


async def test_health_reports_readiness_and_probes_at_most_every_two_seconds() -> None:
    asked: list[str] = []
    clock = [0.0]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.host == "unreachable":
            raise httpx.ConnectError("refused")
        return httpx.Response(200 if request.url.host == "fine" else 503)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        urls = parse_health_urls("identity=http://fine:1, intake=http://ill:2/,projector=http://unreachable:3")
        probe = HealthProbe(http, urls, monotonic=lambda: clock[0])
        health = await probe.health()
        clock[0] = 1.9
        await probe.health()

        assert len(asked) == 3
        assert health.status == "degraded"
        assert health.services == {"identity": "ok", "intake": "down", "projector": "down"}

        clock[0] = 2.0
        await probe.health()
        assert len(asked) == 6


async def test_health_is_503_while_a_service_is_down_and_names_the_reason_on_request() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 2:
            return httpx.Response(
                503, json={"status": "unavailable", "checks": {"postgres": "TimeoutError", "log": "ok"}, "background": {}}
            )
        if request.url.port == 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"status": "ok", "checks": {}})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        probe = HealthProbe(client, {"identity": "http://h:1", "intake": "http://h:2", "projector": "http://h:3"})
        app = Litestar([health_route(lambda: probe)])
        with TestClient(app) as browser:
            plain, verbose = browser.get("/api/health"), browser.get("/api/health?verbose")

    assert (plain.status_code, verbose.status_code) == (503, 503)
    assert plain.json() == {"status": "degraded", "services": {"identity": "ok", "intake": "down", "projector": "down"}}
    assert verbose.json()["reasons"] == {"intake": "postgres: TimeoutError", "projector": "does not answer (ConnectError)"}


async def test_health_needs_no_authentication(http) -> None:
    response = await http.get("/api/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok", "services": {}})


@pytest.mark.parametrize("text", ["identity", "=http://x", "identity=ftp://x", "identity=127.0.0.1:1"])
def test_a_malformed_list_of_urls_is_rejected_at_start(text: str) -> None:
    with pytest.raises(ValueError, match="AMS_HEALTH_URLS"):
        parse_health_urls(text)


async def test_the_process_routes_respond(http) -> None:
    assert (await http.get("/livez")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json()["checks"] == {"postgres": "ok", "background": "ok"}
    assert (await http.get("/metrics")).status_code == 200
