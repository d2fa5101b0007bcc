"""The OpenAPI document declares every answer that a route gives."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from services.identity.tests.clients import Person, Server

METHODS = {"get", "post", "patch", "put", "delete"}
UNKNOWN = "0198f3aa-0000-7000-8000-000000000009"
JSON = {"Content-Type": "application/json"}


def operations(server: Server) -> list[tuple[str, str, dict[str, Any]]]:
    document = httpx.get(f"{server.url}/api/auth/openapi").json()
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def hostile(person: Person, key: str) -> Iterator[dict[str, Any]]:
    """Requests that no route accepts as they are, and some that some routes accept."""
    yield {}
    for credential in ("x", "Bearer x", f"Bearer {key}"):
        yield {"headers": {"Authorization": credential}}
    yield {"headers": [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]}
    signed_in = person.headers
    yield {"headers": signed_in}
    yield {"headers": signed_in, "params": {"limit": "0", "unknown": "1"}}
    yield {"headers": {**signed_in, "Content-Type": "text/plain"}, "content": b"x"}
    yield {"headers": {**signed_in, "Sec-Fetch-Site": "cross-site"}}
    for content in (b"", b"{", b"\xff", b"[]", b"{}", b'{"unknown":1}', b"[" * 3_000, b'{"name":"' + b"x" * 70_000 + b'"}'):
        yield {"headers": {**signed_in, **JSON}, "content": content}
    for body in (
        {"name": ""},
        {"username": "nobody-here", "role": "owner"},
        {"role": "viewer"},
        {"token": "x" * 32},
        {"token": "x" * 32, "new_password": "x"},
        {"code": "x"},
        {"api_key": "x"},
        {"provider": "x"},
        {"provider": "x", "purpose": "link"},
        {"provider": "x", "state": "x"},
        {"login": "nobody-here", "password": "x"},
        {"username": person.username, "email": "somebody@example.org", "password": "a sentence nobody else has"},
        {"password": "wrong"},
        {"token": "x", "code": "000000"},
        {"login": "nobody-here"},
        {"token": "x", "credential": {}},
        {"token": "x", "name": "x", "credential": {}},
        {"second_factor_required": True},
        {"password": "wrong", "email": "somebody@example.org"},
        {"password": "wrong", "new_password": "a sentence nobody else has"},
    ):
        yield {"headers": signed_in, "json": body}


@pytest.mark.parametrize("target", ["own", "foreign", "unknown", "malformed"])
def test_every_answer_of_every_route_is_declared(server: Server, person: Person, stranger: Person, target: str) -> None:
    project = {"own": person.project_id, "foreign": stranger.project_id, "unknown": UNKNOWN, "malformed": "x"}[target]
    other = "%00" if target == "malformed" else UNKNOWN
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k", "scopes": ["read"]}).json()["key"]
    undeclared: set[tuple[str, str, int]] = set()
    seen: set[int] = set()
    for method, path, operation in operations(server):
        if (method, path) in {("POST", "/api/auth/logout"), ("POST", "/api/auth/oidc/own/end"), ("DELETE", "/api/users/me/sessions")} or (
            method == "DELETE" and target == "own"
        ):
            continue  # ends what the next requests need
        url = path.replace("{project}", project)
        for name in ("user", "key", "invitation", "session", "passkey", "identity"):
            url = url.replace(f"{{{name}}}", other)
        declared = operation["responses"]
        for request in hostile(person, key):
            answer = person.client.request(method, url, **request)
            seen.add(answer.status_code)
            if str(answer.status_code) not in declared:
                undeclared.add((method, path, answer.status_code))
            elif answer.status_code >= 400:
                assert "application/problem+json" in declared[str(answer.status_code)]["content"], (method, path)
                assert answer.headers["content-type"].startswith("application/problem+json"), (method, path)

    assert undeclared == set()
    assert {400, 401, 403, 404, 413, 415, 422} <= seen


def test_every_route_declares_that_a_server_may_be_unavailable(server: Server) -> None:
    assert [path for _, path, operation in operations(server) if "503" not in operation["responses"]] == []
