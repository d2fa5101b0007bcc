"""Telemetry of web pages: which origins may send, and what the others get."""

import json

import httpx
import msgspec
import pytest

from ams_kit.settings import SettingsError
from ams_trace_ingest.intake.cors import parse_origins
from ams_trace_ingest.settings import IntakeSettings

PAGE = "https://app.example.com"
STRANGER = "https://evil.example.com"
ROUTES = ["/v1/traces", "/v1/logs", "/v1/metrics", "/v1/batches"]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture
def settings(settings: IntakeSettings) -> IntakeSettings:
    """Of an intake that takes telemetry of two origins' pages."""
    return msgspec.structs.replace(settings, cors_origins=f"{PAGE}, http://localhost:3000")


@pytest.mark.parametrize("path", ROUTES)
async def test_the_pages_of_an_allowed_origin_may_send(client: httpx.AsyncClient, path: str) -> None:
    preflight = await client.options(path, headers={"Origin": PAGE, **PREFLIGHT})

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert {"authorization", "content-type"} <= set(preflight.headers["access-control-allow-headers"].split(", "))

    content = json.dumps({"v": 1, "batches": []}).encode() if path == "/v1/batches" else b"{}"
    sent = await client.post(path, content=content, headers={"Origin": PAGE, "Content-Type": "application/json"})
    assert sent.headers["access-control-allow-origin"] == PAGE
    assert sent.headers["vary"] == "Origin"


async def test_the_pages_of_other_origins_may_not_read_an_answer(client: httpx.AsyncClient) -> None:
    preflight = await client.options("/v1/traces", headers={"Origin": STRANGER, **PREFLIGHT})
    sent = await client.post("/v1/traces", content=b"{}", headers={"Origin": STRANGER, "Content-Type": "application/json"})

    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in sent.headers


async def test_a_refused_key_is_readable_by_the_page_that_sent_it(client: httpx.AsyncClient) -> None:
    headers = {"Origin": PAGE, "Content-Type": "application/json", "Authorization": "Bearer ams_unknown"}
    sent = await client.post("/v1/traces", content=b"{}", headers=headers)

    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (401, PAGE)


@pytest.mark.parametrize(
    "text", ["*", "https://app.example.com/path", "app.example.com", "ftp://a", ",".join(f"https://a{n}.b" for n in range(101))]
)
def test_an_origin_is_scheme_host_and_port(text: str) -> None:
    with pytest.raises(SettingsError, match="AMS_CORS_ORIGINS"):
        parse_origins(text)


def test_origins_are_separated_by_commas() -> None:
    assert parse_origins(" https://A.example.com , http://[::1]:3000,") == {"https://a.example.com", "http://[::1]:3000"}
