"""Invalid credentials at a guarded route of the real service (ids: the table of bad inputs)."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from services.identity.tests.clients import Person, Server

from ams_kit.auth.encoding import decode_base64url, encode_base64url


def me(server: Server, *authorization: str, path: str = "/api/me") -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers=[("Authorization", value) for value in authorization])


def resigned(token: str, key: Any = None, algorithm: str = "EdDSA", **header: Any) -> str:
    """The same claims, signed with another key."""
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = {**jwt.get_unverified_header(token), **header}
    return jwt.encode(claims, key or Ed25519PrivateKey.generate(), algorithm=algorithm, headers=headers)


def test_a68_the_scheme_basic_is_rejected(server: Server, person: Person) -> None:
    assert me(server, f"Basic {person.token}").status_code == 401
    assert me(server, person.token).status_code == 401
    assert me(server, f"bearer {person.token}").status_code == 200


def test_a70_a_huge_token_is_rejected(server: Server) -> None:
    assert me(server, "Bearer " + "a" * 50_000 + "." + "b" * 100_000 + "." + "c" * 50_000).status_code in {401, 431}


def test_a71_two_authorization_headers_are_rejected(server: Server, person: Person) -> None:
    answer = me(server, f"Bearer {person.token}", f"Bearer {person.token}")

    assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")


def test_a73_the_public_key_is_not_accepted_as_a_shared_secret(server: Server, person: Person) -> None:
    jwk = httpx.get(f"{server.url}/.well-known/jwks.json").json()["keys"][0]
    pem = Ed25519PublicKey.from_public_bytes(decode_base64url(jwk["x"])).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = encode_base64url(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": jwk["kid"]}).encode())
    signing = f"{header}.{person.token.split('.')[1]}"
    mac = jwt.get_algorithm_by_name("HS256").sign(signing.encode(), pem)

    assert me(server, f"Bearer {signing}.{encode_base64url(mac)}").status_code == 401


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "EdDSA "])
def test_another_algorithm_is_rejected(server: Server, person: Person, algorithm: str) -> None:
    header, payload, signature = person.token.split(".")
    forged = encode_base64url(json.dumps({**jwt.get_unverified_header(person.token), "alg": algorithm}).encode())

    assert me(server, f"Bearer {forged}.{payload}.{signature}").status_code == 401
    assert me(server, f"Bearer {forged}.{payload}.").status_code == 401
    assert me(server, f"Bearer {header}.{payload}.").status_code == 401


def test_a_token_signed_with_another_key_is_rejected(server: Server, person: Person) -> None:
    assert me(server, f"Bearer {resigned(person.token)}").status_code == 401


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("../../dev/null", id="A75-path"),
        pytest.param("' UNION SELECT", id="A75-sql"),
        pytest.param("k" * 10_240, id="A75-long"),
        pytest.param("", id="A75-empty"),
        pytest.param("0123456789abcdef", id="A76-unknown"),
    ],
)
def test_an_unknown_kid_is_rejected(server: Server, person: Person, kid: str) -> None:
    assert me(server, f"Bearer {resigned(person.token, kid=kid)}").status_code == 401


def test_a78_critical_extensions_are_rejected(server: Server, person: Person) -> None:
    assert me(server, f"Bearer {resigned(person.token, crit=['x'], x=1)}").status_code == 401


def test_a88_other_jose_serializations_are_rejected(server: Server, person: Person) -> None:
    header, payload, signature = person.token.split(".")

    assert me(server, f"Bearer {person.token}.a.b").status_code == 401
    assert me(server, "Bearer " + json.dumps({"protected": header, "payload": payload, "signature": signature})).status_code == 401


def test_a100_credentials_in_the_query_are_ignored(server: Server, person: Person) -> None:
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key"]

    assert me(server, path=f"/api/me?api_key={key}&access_token={person.token}").status_code == 401


def test_a101_identity_rejects_an_ingest_key(server: Server, person: Person) -> None:
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key"]

    for path in ("/api/me", "/api/projects", f"/api/projects/{person.project_id}/keys"):
        assert me(server, f"Bearer {key}", path=path).status_code == 403


def test_an_ingest_token_is_not_an_access_token(server: Server, person: Person) -> None:
    key = person.post(f"/api/projects/{person.project_id}/keys", {"name": "k"}).json()["key"]
    grant = person.client.post("/api/auth/token", json={"api_key": key}).json()

    assert me(server, f"Bearer {grant['access_token']}").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/me"),
        ("GET", "/api/users/me"),
        ("POST", "/api/users/me/password"),
        ("GET", "/api/projects"),
        ("POST", "/api/projects"),
        ("GET", "/api/projects/{project}"),
        ("GET", "/api/projects/{project}/members"),
        ("POST", "/api/projects/{project}/members"),
        ("PATCH", "/api/projects/{project}/members/{user}"),
        ("DELETE", "/api/projects/{project}/members/{user}"),
        ("GET", "/api/projects/{project}/keys"),
        ("POST", "/api/projects/{project}/keys"),
        ("DELETE", "/api/projects/{project}/keys/k"),
    ],
)
def test_every_route_requires_authentication(server: Server, person: Person, method: str, path: str) -> None:
    url = server.url + path.format(project=person.project_id, user=person.user_id)

    assert httpx.request(method, url, json={}).status_code == 401


def test_the_public_routes_are_the_listed_ones(server: Server) -> None:
    public = {
        path
        for route in server.app.routes
        for path in [route.path]
        for handler in getattr(route, "route_handlers", [])
        if handler.opt.get("public") or any(layer.opt.get("public") for layer in handler.ownership_layers if layer.opt)
    }

    assert {path for path in public if not path.startswith(("/internal", "/api/auth/openapi"))} == {
        "/.well-known/jwks.json", "/api/auth/login", "/api/auth/logout", "/api/auth/oidc/callback", "/api/auth/oidc/start", "/api/auth/passkey", "/api/auth/passkey/options", "/api/auth/password-reset", "/api/auth/password-reset/request", "/api/auth/verify-email", "/api/auth/redeem", "/api/auth/refresh", "/api/auth/register", "/api/auth/rules", "/api/auth/second-factor", "/api/auth/share", "/api/auth/token",
        "/api/login", "/api/register", "/livez", "/metrics", "/readyz", "/readyz/local",
    }  # fmt: skip


def test_the_internal_routes_require_a_service_token(server: Server, person: Person, new_person: Callable[[], Person]) -> None:
    for method, path in (
        ("GET", "/internal/access"),
        ("POST", "/internal/accounts"),
        ("POST", "/internal/signin-codes"),
        ("POST", f"/internal/projects/{person.project_id}/keys"),
    ):
        assert httpx.request(method, server.url + path, json={}).status_code == 401
        assert httpx.request(method, server.url + path, json={}, headers=person.headers).status_code == 401
