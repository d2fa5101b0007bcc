"""A project begins to require a second factor: on every service and every open socket, members without one lose access within seconds."""

import json
import secrets
import time

import httpx
import pyotp
import pytest
from tests.client import Account, eventually
from tests.installation import Platform
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

SECONDS = 5
STEP_SECONDS = 30


def add_app(account: Account) -> None:
    """Add an authenticator app; the sign-in is recent enough for it."""
    secret = account.http.post("/api/users/me/factors/app").raise_for_status().json()["secret"]
    code = pyotp.TOTP(secret).at(int(time.time()))
    account.http.post("/api/users/me/factors/app/confirm", json={"code": code}).raise_for_status()


def close_code(socket: ClientConnection) -> int:
    """Read until the server closes the socket."""
    try:
        while True:
            socket.recv(SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def test_members_without_a_factor_lose_every_service_and_their_sockets(platform: Platform) -> None:
    owner, member = Account(platform.url), Account(platform.url)
    project = owner.project()
    add_app(owner)
    owner.http.post(f"/api/projects/{project.id}/members", json={"username": member.name, "role": "member"}).raise_for_status()
    task = secrets.token_hex(16)
    services = {
        "identity": ("GET", f"/api/projects/{project.id}/members", None),
        "trace-query": ("GET", f"/api/traces/{project.id}/tasks", None),
        "intake": ("GET", f"/api/ingest/{project.id}/prices", None),
        "live-gateway": ("POST", "/api/live/tickets", {"project_id": project.id}),
    }

    def answers(account: Account) -> dict[str, tuple[int, str]]:
        found: dict[str, httpx.Response] = {
            name: account.http.request(method, path, json=body) for name, (method, path, body) in services.items()
        }
        return {name: (one.status_code, one.json().get("code", "") if one.is_error else "") for name, one in found.items()}

    assert {status for status, _ in answers(member).values()} <= {200, 201}
    ticket = member.http.post("/api/live/tickets", json={"project_id": project.id}).raise_for_status().json()["ticket"]
    address = platform.url.replace("http", "ws", 1) + "/api/live"
    with connect(address, subprotocols=["ams.v1", f"ticket.{ticket}"], origin=platform.url) as socket:  # pyright: ignore[reportArgumentType]  plain strings are theirs
        socket.send(json.dumps({"op": "subscribe", "id": "follow", "task_id": task, "after": None}))
        socket.recv(10)
        owner.http.patch(f"/api/projects/{project.id}", json={"second_factor_required": True}).raise_for_status()
        refused = dict.fromkeys(services, (403, "second_factor_required"))

        assert eventually(lambda: answers(member), lambda got: got == refused, SECONDS) == refused
        assert 4_400 <= close_code(socket) < 4_500
    assert {status for status, _ in answers(owner).values()} <= {200, 201}
