"""What requests to ``/v1/*`` get that have nothing wrong with their telemetry: other charsets, other protocols, a placeholder, other origins."""

import httpx
import pytest

PAGE = "https://app.example.com"
ROUTES = ["/v1/traces", "/v1/logs", "/v1/metrics", "/v1/batches"]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/batches"])
async def test_a_body_in_another_charset_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"{}", headers={"Content-Type": "application/json; charset=utf-16"})

    assert answer.status_code == 415
    assert "UTF-8" in answer.text


async def test_a_declared_utf_8_is_taken(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/traces", content=b"{}", headers={"Content-Type": 'application/json; charset="UTF-8"'})

    assert answer.status_code == 200


@pytest.mark.parametrize("header", [{"Authorization": "Bearer ams_..."}, {"Authorization": "", "x-api-key": "ams_..."}])
async def test_the_placeholder_of_the_documentation_is_named_as_one(client: httpx.AsyncClient, header: dict[str, str]) -> None:
    headers = {name: value for name, value in header.items() if value}
    request = client.build_request("POST", "/v1/batches", content=b"{}", headers={"Content-Type": "application/json", **headers})
    if "Authorization" not in headers:
        del request.headers["Authorization"]
    answer = await client.send(request)

    assert answer.status_code == 401
    assert answer.json()["code"] == "api_key_placeholder"
    assert "placeholder" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
async def test_grpc_over_http_1_gets_the_name_of_the_protocol_to_use(client: httpx.AsyncClient, content_type: str) -> None:
    answer = await client.post("/v1/traces", content=b"", headers={"Content-Type": content_type})

    assert answer.status_code == 415
    assert "http/protobuf" in answer.text


@pytest.mark.parametrize("path", ROUTES)
async def test_no_page_of_another_origin_may_send_unless_it_is_allowed(client: httpx.AsyncClient, path: str) -> None:
    preflight = await client.options(path, headers={"Origin": PAGE, **PREFLIGHT})

    assert preflight.status_code == 403
    assert preflight.headers["content-type"] == "application/problem+json"
    assert preflight.json()["code"] == "foreign_origin"
    assert "AMS_CORS_ORIGINS" in preflight.json()["detail"]
    assert "access-control-allow-origin" not in preflight.headers
