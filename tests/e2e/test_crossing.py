"""Two projects: people in three roles, keys and visitors use each other's ids in requests, subscriptions and tools. Nothing is read or changed across."""

import json
import os
import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests import hostile_posts
from tests.client import Account, Project, eventually
from tests.e2e.test_foreign_project import OF_A_KEY, PUBLIC, Operation, operations
from tests.installation import Platform
from websockets.sync.client import ClientConnection, connect

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]

SEED = 12


class Side:
    """A project with one of everything, people in each role, and a word that is in all that it holds."""

    def __init__(self, platform: Platform, word: str) -> None:
        self.word = word
        self.owner = Account(platform.url)
        self.project: Project = self.owner.project(f"project {word}")
        http, project = self.owner.http, self.project.id
        self.people = {"owner": self.owner, "member": Account(platform.url), "viewer": Account(platform.url)}
        for role in ("member", "viewer"):
            http.post(f"/api/projects/{project}/members", json={"username": self.people[role].name, "role": role}).raise_for_status()
        task, step = hostile_posts.trace_id(), os.urandom(8).hex()
        span = hostile_posts.span(task, spanId=step, name=f"step {word}")
        self.project.post("/v1/traces", hostile_posts.request(span), **{"Content-Type": "application/json"}).raise_for_status()
        eventually(lambda: http.get(f"/api/traces/{project}/tasks/{task}").status_code, lambda got: got == 200)
        view = http.post(f"/api/traces/{project}/views", json={"name": f"view {word}", "visibility": "shared"}).raise_for_status().json()
        score = {"task_id": task, "name": f"score {word}", "value": True, "score_id": "one"}
        http.post(f"/api/ingest/{project}/scores", json=score).raise_for_status()
        user = http.get("/api/users/me").raise_for_status().json()["user_id"]
        invitation = http.post(f"/api/projects/{project}/invitations", json={"role": "viewer"}).raise_for_status().json()
        link = http.post(f"/api/projects/{project}/share-links", json={"task_id": task}).raise_for_status().json()
        key = http.post(f"/api/projects/{project}/keys", json={"name": f"key {word}", "scopes": ["read"]}).raise_for_status().json()
        secret = link["link"].partition("#")[2]
        visit = httpx.post(f"{platform.url}/api/auth/share", json={"secret": secret}).raise_for_status().json()
        self.callers = {role: one.http for role, one in self.people.items()}
        for name, token in (("reader", key["key"]), ("visitor", visit["access_token"])):
            self.callers[name] = httpx.Client(base_url=platform.url, timeout=60, headers={"Authorization": f"Bearer {token}"})
        self.ids: dict[str, Any] = {
            "project": project, "project_id": project, "managed": project, "task": task, "task_id": task, "step": step, "view_id": view["view_id"],
            "score": f"user:{user}:one", "user": user, "user_id": user, "invitation": invitation["invitation_id"], "link": link["link_id"],
            "key": key["key_id"], "session": http.get("/api/users/me/sessions").json()["items"][0]["session_id"],
            "passkey": hostile_posts.trace_id(), "sha256": "0" * 64, "place": "ams.steps.v1/0/0/0",
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What another project could have changed."""
        http, project, task = self.owner.http, self.project.id, self.ids["task"]
        paths = [
            f"/api/projects/{project}",
            *(f"/api/projects/{project}/{name}" for name in ("members", "keys", "invitations", "share-links")),
        ]
        paths += [f"/api/traces/{project}/views", f"/api/traces/{project}/tasks/{task}", f"/api/traces/{project}/tasks/{task}/scores"]
        return {path: http.get(path).raise_for_status().json() for path in paths}


@pytest.fixture(scope="module")
def sides(platform: Platform) -> tuple[Side, Side]:
    Account(platform.url)  # the first account of an installation administers it, and may disable those of the sides
    return Side(platform, "albatross"), Side(platform, "bumblebee")


def requests_of(
    mine: Side, other: Side, known: list[Operation], count: int, order: random.Random
) -> Iterator[tuple[str, Operation, str, Any]]:
    """Random operations by people of one side, each with at least one id of the other."""
    while count:
        one = order.choice(known)
        places = [name for name in other.ids if f"{{{name}}}" in one.path or name in (one.body or {})]
        foreign = {name for name in places if order.random() < 0.6} or ({order.choice(places)} if places else set())
        if not foreign:
            continue
        values = {name: (other if name in foreign else mine).ids[name] for name in places}
        path = one.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", str(value))
        body = None if one.body is None else {name: values.get(name, value) for name, value in one.body.items()}
        count -= 1
        yield order.choice(list(mine.people)), one, path, body


def crossings(platform: Platform, sides: tuple[Side, Side], count: int) -> list[str]:
    order, wrong = random.Random(SEED), []
    names = sides[0].ids | {"username": "nobody-of-this-name", "role": "viewer", "name": "taken over", "value": True}
    known = [one for one in operations(platform, names) if one.name not in PUBLIC | OF_A_KEY]
    for mine, other in (sides, sides[::-1]):
        before = other.state()
        for role, one, path, body in requests_of(mine, other, known, count // 2, order):
            answer = mine.people[role].http.request(one.method, path, json=body)
            if other.word in answer.text or answer.status_code >= 500 or answer.status_code == 401:
                wrong.append(f"{role}: {one.name} {path} {json.dumps(body)}: {answer.status_code} {answer.text[:80]}")
            if other.project.id in path and answer.status_code not in {403, 404}:
                wrong.append(f"{role}: {one.name} {path}: {answer.status_code} in another project")
        after = other.state()
        wrong += [f"{path} changed" for path, value in before.items() if after[path] != value]
    return wrong


def test_nothing_crosses_between_two_projects(platform: Platform, sides: tuple[Side, Side]) -> None:
    assert crossings(platform, sides, 600)[:20] == []


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_nothing_crosses_in_ten_thousand_requests(platform: Platform, sides: tuple[Side, Side]) -> None:
    assert crossings(platform, sides, 10_000)[:20] == []


def frames_until(socket: ClientConnection, enough: Callable[[str], bool]) -> str:
    """What a socket receives, up to a message that is enough."""
    received: list[str] = []
    while not received or not enough(received[-1]):
        message = socket.recv(60)
        received.append(message if isinstance(message, str) else message.decode())
    return "".join(received)


@contextmanager
def following(platform: Platform, side: Side, role: str, tasks: list[str]) -> Generator[ClientConnection]:
    """A socket of a project that follows tasks."""
    ticket = side.callers[role].post("/api/live/tickets", json={"project_id": side.project.id}).raise_for_status().json()["ticket"]
    address = platform.url.replace("http", "ws", 1) + "/api/live"
    protocols: Any = ["ams.v1", f"ticket.{ticket}"]
    with connect(address, subprotocols=protocols, origin=platform.url) as socket:  # pyright: ignore[reportArgumentType]  a plain string is allowed
        for task in tasks:
            socket.send(json.dumps({"op": "subscribe", "id": task, "task_id": task, "after": None}))
            frames_until(socket, lambda message, task=task: f'"id":"{task}"' in message)
        yield socket


@pytest.mark.parametrize("role", ["owner", "viewer", "reader", "visitor"])
def test_a_subscription_to_a_task_of_another_project_receives_nothing(platform: Platform, sides: tuple[Side, Side], role: str) -> None:
    mine, other = sides
    foreign, own = other.ids["task"], mine.ids["task"]
    assert mine.callers[role].post("/api/live/tickets", json={"project_id": other.project.id}).status_code in {403, 404}
    with following(platform, mine, role, [foreign, own]) as socket, following(platform, other, "owner", [foreign]) as theirs:
        received = ""
        # the gateway has read the step of the other project before the one of the socket's own project is sent
        for side, reader in ((other, theirs), (mine, socket)):
            step = os.urandom(8).hex()
            span = hostile_posts.span(side.ids["task"], spanId=step, name=f"later {side.word}")
            side.project.post("/v1/traces", hostile_posts.request(span), **{"Content-Type": "application/json"}).raise_for_status()
            received = frames_until(reader, lambda message, step=step: step in message)

    assert mine.word in received
    assert other.word not in received


@pytest.mark.parametrize("role", ["owner", "viewer", "reader"])
def test_no_tool_of_mcp_reads_another_project(sides: tuple[Side, Side], role: str) -> None:
    mine, other = sides

    def call(project: str, method: str, params: dict[str, Any] | None = None) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})}
        return mine.callers[role].post(f"/mcp?project={project}", json=body, headers={"Accept": "application/json, text/event-stream"})

    tools = call(mine.project.id, "tools/list").raise_for_status().json()["result"]["tools"]
    assert len(tools) > 3
    foreign = {name: value for name, value in other.ids.items() if isinstance(value, str)} | {"step_id": other.ids["step"], "query": ""}
    for tool in tools:
        arguments = {name: foreign[name] for name in tool["inputSchema"].get("properties", {}) if name in foreign}
        answer = call(mine.project.id, "tools/call", {"name": tool["name"], "arguments": arguments})
        assert answer.status_code == 200, (tool["name"], answer.text)
        assert other.word not in answer.text, tool["name"]
        refused = call(other.project.id, "tools/call", {"name": tool["name"], "arguments": arguments})
        assert refused.status_code in {403, 404}, tool["name"]
        assert other.word not in refused.text, tool["name"]
