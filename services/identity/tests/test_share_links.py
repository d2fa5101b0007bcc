"""Public links: who creates and revokes them, what opens them, and when they end."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pytest
from services.identity.tests.clients import Person, Server

from ams_contracts.claims import SHARE_AUDIENCE, ShareClaims
from ams_kit.auth.encoding import decode_base64url
from ams_kit.auth.tokens import is_share_token

TASK = "0af7651916cd43dd8448eb211c80319c"


def share(person: Person, project_id: str | None = None, **body: Any) -> tuple[str, dict[str, Any]]:
    """A new link; its secret and the response."""
    path = f"/api/projects/{project_id or person.project_id}/share-links"
    created = person.post(path, {"task_id": TASK, **body}).raise_for_status().json()
    return created["link"].partition("#")[2], created


def open_link(client: httpx.Client, secret: str) -> httpx.Response:
    return client.post("/api/auth/share", json={"secret": secret})


def access_of(client: httpx.Client, headers: dict[str, str], link_id: str, project_id: str) -> int:
    asked = {"user_id": f"share:{link_id}", "project_id": project_id}
    return client.get("/internal/access", params=asked, headers=headers).status_code


def test_a_secret_is_exchanged_for_a_short_token_of_one_task(person: Person, client: httpx.Client, sql: Callable[..., list[Any]]) -> None:
    secret, created = share(person, payloads=True, expires_in_days=2)
    assert created["link"] == f"http://localhost:8080/shared#{secret}"

    answer = open_link(client, secret)

    assert answer.headers["cache-control"] == "no-store"
    grant = answer.json()
    assert (grant["project_id"], grant["task_id"], grant["payloads"]) == (person.project_id, TASK, True)
    claims = msgspec.json.decode(decode_base64url(grant["access_token"].split(".")[1]), type=ShareClaims)
    assert (claims.aud, claims.sub, claims.sid) == (SHARE_AUDIENCE, created["link_id"], created["link_id"])
    assert claims.exp - claims.iat == grant["expires_in"] == 600
    listed = person.get(f"/api/projects/{person.project_id}/share-links").json()["items"]
    assert [item["link_id"] for item in listed] == [created["link_id"]]
    assert listed[0]["last_used_at"] is not None
    assert secret not in str(listed) + str(sql("select * from share_links where link_id = $1", created["link_id"]))
    lasts = datetime.fromisoformat(created["expires_at"]) - datetime.fromisoformat(created["created_at"])
    assert lasts.days == 2


def test_a_token_of_a_link_opens_no_route_of_people(person: Person, client: httpx.Client) -> None:
    token = open_link(client, share(person)[0]).json()["access_token"]
    assert is_share_token(token)

    for path in ("/api/users/me", "/api/projects", f"/api/projects/{person.project_id}", f"/api/projects/{person.project_id}/share-links"):
        assert client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_revoked_link_ends_at_once_and_is_in_the_audit_log(
    server: Server, person: Person, client: httpx.Client, service_headers: dict[str, str], sql: Callable[..., list[Any]]
) -> None:
    secret, created = share(person)
    path = f"/api/projects/{person.project_id}/share-links/{created['link_id']}"
    assert access_of(client, service_headers, created["link_id"], person.project_id) == 200

    assert person.delete(path).status_code == 204

    assert open_link(client, secret).status_code == 404
    assert access_of(client, service_headers, created["link_id"], person.project_id) == 404
    assert person.delete(path).status_code == 404
    assert person.get(f"/api/projects/{person.project_id}/share-links").json()["items"] == []
    assert [row["pushed"] for row in sql("select pushed from revocations where field = $1", f"sid:{created['link_id']}")] == [True]
    entries = sql("select action from audit where subject = $1 order by at", created["link_id"])
    assert [row["action"] for row in entries] == ["share_link.created", "share_link.revoked"]


def test_a_link_ends_with_its_time_its_author_and_its_project(
    server: Server, person: Person, stranger: Person, client: httpx.Client, service_headers: dict[str, str]
) -> None:
    members = f"/api/projects/{person.project_id}/members"
    person.post(members, {"username": stranger.username, "role": "member"}).raise_for_status()
    of_member, created = share(stranger, person.project_id)
    assert open_link(client, of_member).status_code == 200
    person.patch(f"{members}/{stranger.user_id}", {"role": "viewer"}).raise_for_status()
    assert open_link(client, of_member).status_code == 404
    assert access_of(client, service_headers, created["link_id"], person.project_id) == 404

    of_owner, _ = share(person, expires_in_days=1)
    before = server.clock.offset
    try:
        server.clock.offset += 86_400 - 300
        assert open_link(client, of_owner).json()["expires_in"] <= 300  # the token ends with the link
        server.clock.offset += 301
        assert open_link(client, of_owner).status_code == 404
    finally:
        server.clock.offset = before
    secret, created = share(person)
    person.delete(f"/api/projects/{person.project_id}").raise_for_status()
    assert open_link(client, secret).status_code == 404
    assert access_of(client, service_headers, created["link_id"], person.project_id) == 404


def test_viewers_and_strangers_make_list_and_revoke_no_links(person: Person, stranger: Person, new_person: Callable[[], Person]) -> None:
    _, created = share(person)
    viewer = new_person()
    person.post(f"/api/projects/{person.project_id}/members", {"username": viewer.username, "role": "viewer"}).raise_for_status()
    path = f"/api/projects/{person.project_id}/share-links"

    for one, status in ((viewer, 403), (stranger, 404)):
        assert one.post(path, {"task_id": TASK}).status_code == status
        assert one.get(path).status_code == status
        assert one.delete(f"{path}/{created['link_id']}").status_code == status
    own = f"/api/projects/{stranger.project_id}/share-links/{created['link_id']}"
    assert stranger.delete(own).status_code == 404  # a link of another project


@pytest.mark.parametrize(
    "body",
    [{"task_id": "x"}, {}, {"task_id": TASK, "expires_in_days": 0}, {"task_id": TASK, "expires_in_days": 91}, {"task_id": TASK, "x": 1}],
)
def test_a_body_that_makes_no_sense_is_refused(person: Person, body: dict[str, Any]) -> None:
    assert person.post(f"/api/projects/{person.project_id}/share-links", body).status_code == 422


def test_wrong_secrets_are_refused_and_limited(client: httpx.Client) -> None:
    answers = [open_link(client, secret).status_code for secret in ("", "x" * 32, "x" * 3_000, "'; drop table share_links;--", "\0")]
    assert set(answers) == {404}

    answers = [open_link(client, "y" * 32).status_code for _ in range(20)]

    assert answers[-1] == 429
