"""Every endpoint of every service, as its OpenAPI document names them, asked by a stranger: an endpoint that is new is asked too."""

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

DOCUMENTS = ("/api/auth/openapi", "/api/traces/openapi", "/api/ingest/openapi", "/api/live/openapi")
METHODS = ("get", "post", "put", "patch", "delete")
NO_PROJECT = "01900000-0000-7000-8000-00000000dead"

PICTURE = b"\x89PNG\r\n\x1a\n of the owner"

PUBLIC = {
    "GET /.well-known/jwks.json", "GET /api/health", "POST /api/auth/register", "POST /api/register", "POST /api/auth/login", "POST /api/login",
    "POST /api/auth/refresh", "POST /api/auth/logout", "POST /api/auth/redeem", "POST /api/auth/token", "GET /api/auth/rules",
    "POST /api/auth/password-reset", "POST /api/auth/share", "POST /api/auth/second-factor", "POST /api/auth/password-reset/request", "POST /api/auth/verify-email", "POST /api/auth/passkey", "POST /api/auth/passkey/options", "POST /api/auth/oidc/start", "POST /api/auth/oidc/callback",
}  # fmt: skip
OF_THE_PERSON = {
    "GET /api/users/me", "GET /api/me", "POST /api/users/me/password", "GET /api/projects", "POST /api/projects", "GET /api/users/me/sessions",
    "DELETE /api/users/me/sessions", "DELETE /api/users/me/sessions/{session}", "POST /api/users/me/email", "POST /api/users/me/delete",
    "POST /api/users/me/invitations", "POST /api/users/me/invitations/preview", "POST /api/users/me/email/verification", "POST /api/users/me/proof", "POST /api/users/me/proof/options",
    "GET /api/users/me/factors", "POST /api/users/me/factors/app", "POST /api/users/me/factors/app/confirm", "DELETE /api/users/me/factors/app",
    "POST /api/users/me/factors/recovery-codes", "POST /api/users/me/passkeys", "POST /api/users/me/passkeys/options",
    "PATCH /api/users/me/passkeys/{passkey}", "DELETE /api/users/me/passkeys/{passkey}", "GET /api/users/me/identities", "DELETE /api/users/me/identities/{identity}",
    "POST /api/auth/oidc/own/start", "POST /api/auth/oidc/own/callback", "POST /api/auth/oidc/own/end",
}  # fmt: skip
OF_THE_ADMINISTRATOR = {
    "GET /api/users", "POST /api/users/{user}/disable", "POST /api/users/{user}/enable", "POST /api/users/{user}/password-reset",
    "DELETE /api/users/{user}/factors",
    "POST /api/users/{user}/administrator", "GET /api/auth/projects", "PUT /api/auth/projects/{managed}/quota",
}  # fmt: skip
OF_A_PERSON_OR_A_KEY = {"POST /api/ingest/{project}/scores", "DELETE /api/ingest/{project}/tasks/{task}/scores/{score}"}
OF_A_VISITOR = {
    "GET /api/traces/{project}/tasks/{task}", "GET /api/traces/{project}/tasks/{task}/skeleton", "GET /api/traces/{project}/tasks/{task}/steps",
    "GET /api/traces/{project}/tasks/{task}/steps/{step}", "GET /api/traces/{project}/tasks/{task}/steps/{step}/logs",
    "GET /api/traces/{project}/tasks/{task}/payloads", "GET /api/traces/{project}/tasks/{task}/matches",
    "GET /api/traces/{project}/media/{sha256}", "POST /api/live/tickets",
}  # fmt: skip
OF_A_KEY = {"POST /v1/batches", "POST /v1/import", "POST /v1/traces", "POST /v1/logs", "POST /v1/metrics"}


class Operation(NamedTuple):
    method: str
    path: str
    body: dict[str, Any] | None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Owned(NamedTuple):
    """A project with one of everything in it, and the value of each name in a path or a body."""

    project: Project
    names: dict[str, Any]


def example(schema: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """A body that means something: required fields, filled by name, else by type."""
    by_type = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}, None: "x"}
    return {
        name: names.get(name, schema["properties"][name].get("enum", [by_type[schema["properties"][name].get("type")]])[0])
        for name in schema.get("required", [])
    }


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


@pytest.fixture(scope="module")
def owned(platform: Platform) -> Owned:
    account = Account(platform.url)
    project = account.project()
    task, step = hostile_posts.trace_id(), os.urandom(8).hex()
    prompt = json.dumps(
        [{"role": "user", "parts": [{"type": "blob", "mime_type": "image/png", "content": base64.b64encode(PICTURE).decode()}]}]
    )
    attributes = [{"key": "gen_ai.input.messages", "value": {"stringValue": prompt}}]
    now = time.time_ns()  # a rule counts tasks that ended in its window
    times = {"startTimeUnixNano": str(now - 3 * 10**9), "endTimeUnixNano": str(now - 2 * 10**9)}
    body = hostile_posts.request(hostile_posts.span(task, spanId=step, attributes=attributes, **times))
    project.post("/v1/traces", body, **{"Content-Type": "application/json"}).raise_for_status()
    eventually(lambda: project.http.get(f"/api/traces/{project.id}/tasks/{task}").status_code, lambda got: got == 200)
    picture = f"/api/traces/{project.id}/media/{hashlib.sha256(PICTURE).hexdigest()}"
    eventually(lambda: project.http.get(picture).content, lambda got: got == PICTURE)
    keys = project.http.get(f"/api/projects/{project.id}/keys").raise_for_status().json()["items"]
    user = project.http.get("/api/users/me").raise_for_status().json()
    user_id = user.get("user", user)["user_id"]
    view = project.http.post(f"/api/traces/{project.id}/views", json={"name": "mine", "visibility": "shared"}).raise_for_status().json()
    score = {"task_id": task, "name": "helpful", "value": True, "score_id": "one"}
    project.http.post(f"/api/ingest/{project.id}/scores", json=score).raise_for_status()
    session = project.http.get("/api/users/me/sessions").raise_for_status().json()["items"][0]["session_id"]
    invitation = project.http.post(f"/api/projects/{project.id}/invitations", json={"role": "viewer"}).raise_for_status().json()
    link = project.http.post(f"/api/projects/{project.id}/share-links", json={"task_id": task}).raise_for_status().json()
    condition = {"name": "failures", "measure": "count", "threshold": 1, "window_seconds": 3_600}
    rule = project.http.post(f"/api/traces/{project.id}/alert-rules", json=condition).raise_for_status().json()["rule"]
    raised = eventually(lambda: project.http.get(f"/api/traces/{project.id}/alerts").json()["items"], bool)
    names = {
        "rule_id": rule["rule_id"], "alert_id": raised[0]["alert_id"], "measure": "count", "threshold": 1, "window_seconds": 3_600,
        "passkey": NO_PROJECT, "identity": NO_PROJECT, "link": link["link_id"], "invitation": invitation["invitation_id"], "session": session, "task_id": task, "value": True, "score": f"user:{user_id}:one",
        "view_id": view["view_id"], "project": project.id, "project_id": project.id, "managed": project.id, "task": task, "step": step, "key": keys[0]["key_id"], "user": user_id, "user_id": user_id,
        "place": "ams.steps.v1/0/0/0", "sha256": hashlib.sha256(PICTURE).hexdigest(), "username": account.name, "role": "owner", "name": "taken over",
    }  # fmt: skip
    return Owned(project, names)


def operations(platform: Platform, names: dict[str, Any]) -> Iterator[Operation]:
    for document in DOCUMENTS:
        described = httpx.get(f"{platform.url}{document}/openapi.json").raise_for_status().json()
        for path, methods in described["paths"].items():
            for method in METHODS:
                if method in methods:
                    content = methods[method].get("requestBody", {}).get("content", {}).get("application/json")
                    yield Operation(
                        method.upper(),
                        path,
                        None if content is None else example(resolved(content["schema"], described), names),
                    )


def ask(client: httpx.Client, operation: Operation, names: dict[str, Any], **headers: str) -> httpx.Response:
    path = operation.path
    for name, value in names.items():
        path = path.replace("{%s}" % name, str(value))  # noqa: UP031  braces in braces are harder to read
    assert "{" not in path, f"no values for the parameters of {operation.name}?"
    return client.request(operation.method, path, json=operation.body, headers=headers)


def test_a_stranger_finds_nothing_at_any_endpoint_of_a_project(platform: Platform, owned: Owned) -> None:
    stranger = Account(platform.url).http
    in_projects = [one for one in operations(platform, owned.names) if "{project}" in one.path or "project_id" in (one.body or {})]
    wrong: list[str] = []

    for one in in_projects:
        theirs = ask(stranger, one, owned.names)
        elsewhere = owned.names | {"project": NO_PROJECT, "project_id": NO_PROJECT}
        body = one.body and {name: elsewhere.get(name, value) for name, value in one.body.items()}
        nowhere = ask(stranger, one._replace(body=body), elsewhere)
        if (theirs.status_code, nowhere.status_code) != (404, 404):
            wrong.append(f"{one.name}: {theirs.status_code} for another's project, {nowhere.status_code} for none: {theirs.text[:100]}")
        elif theirs.content != nowhere.content:
            wrong.append(f"{one.name}: {theirs.text[:100]} differs from {nowhere.text[:100]}")

    assert wrong == []
    assert len(in_projects) >= 19
    mine = owned.project.http
    assert ask(mine, Operation("GET", "/api/traces/{project}/tasks/{task}/steps/{step}", None), owned.names).status_code == 200
    assert [one["name"] for one in mine.get(f"/api/projects/{owned.project.id}/keys").json()["items"]] == ["test"]
    assert len(mine.get(f"/api/projects/{owned.project.id}/members").json()["items"]) == 1


def test_every_endpoint_is_of_a_project_or_known_to_be_of_none(platform: Platform, owned: Owned) -> None:
    free = {one.name for one in operations(platform, owned.names) if "{project}" not in one.path and "project_id" not in (one.body or {})}

    assert free == PUBLIC | OF_THE_PERSON | OF_THE_ADMINISTRATOR | OF_A_KEY


def test_nobody_and_the_wrong_credential_are_refused_at_every_endpoint(platform: Platform, owned: Owned) -> None:
    nobody = httpx.Client(base_url=platform.url, timeout=60)
    token = owned.project.http.headers["Authorization"]
    key = f"Bearer {owned.project.key}"
    wrong: list[str] = []

    for one in operations(platform, owned.names):
        if one.name in PUBLIC:
            continue
        others = [token] if one.name in OF_A_KEY else [] if one.name in OF_A_PERSON_OR_A_KEY else [key]
        for value in ["", "Bearer x", "Bearer x.y.z", token.replace("Bearer", "Basic"), token[:-4] + "AAAA", *others]:
            answer = ask(nobody, one, owned.names, **({"Authorization": value} if value else {}))
            if answer.status_code not in {401, 403}:
                wrong.append(f"{one.name} with {value[:12]!r}: {answer.status_code}")

    assert wrong == []


def test_a_visitor_of_a_public_link_reads_one_task_and_nothing_else(platform: Platform, owned: Owned) -> None:
    nobody = httpx.Client(base_url=platform.url, timeout=60)
    stranger = Account(platform.url).project()
    path = f"/api/projects/{owned.project.id}/share-links"
    link = owned.project.http.post(path, json={"task_id": owned.names["task"], "payloads": True}).raise_for_status().json()
    opened = nobody.post("/api/auth/share", json={"secret": link["link"].partition("#")[2]}).raise_for_status().json()
    visitor = {"Authorization": f"Bearer {opened['access_token']}"}
    elsewhere = [
        owned.names | {"project": stranger.id, "project_id": stranger.id},
        owned.names | {"task": hostile_posts.trace_id(), "sha256": "0" * 64, "project_id": NO_PROJECT},
    ]
    wrong: list[str] = []

    for one in operations(platform, owned.names):
        if one.name in PUBLIC:
            continue
        own = ask(nobody, one, owned.names, **visitor).status_code
        if one.name not in OF_A_VISITOR:
            wrong += [f"{one.name}: {own}"] if own not in {401, 403} else []
            continue
        if own not in {200, 201, 400}:
            wrong.append(f"{one.name}: {own} for the task of the link")
        for names in elsewhere:
            body = one.body and {name: names.get(name, value) for name, value in one.body.items()}
            if (status := ask(nobody, one._replace(body=body), names, **visitor).status_code) != 404:
                wrong.append(f"{one.name}: {status} elsewhere")

    assert wrong == []
    owned.project.http.delete(f"{path}/{link['link_id']}").raise_for_status()
    assert nobody.get(f"/api/traces/{owned.project.id}/tasks/{owned.names['task']}", headers=visitor).status_code == 401


def test_a_viewer_changes_nothing(platform: Platform, owned: Owned) -> None:
    viewer = Account(platform.url)
    members = f"/api/projects/{owned.project.id}/members"
    owned.project.http.post(members, json={"username": viewer.name, "role": "viewer"}).raise_for_status()
    changes = [one for one in operations(platform, owned.names) if "{project}" in one.path and one.method != "GET"]

    answers = {one.name: ask(viewer.http, one, owned.names).status_code for one in changes}

    assert set(answers.values()) <= {403, 404}, answers
    assert viewer.http.get(members).status_code == 200
