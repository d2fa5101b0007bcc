"""Hostile records, written straight to the log: what can be stored is, what cannot is a dead letter, and nobody dies of it."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from tests import hostile_posts, hostile_records
from tests.client import Account, Project, eventually
from tests.hostile_records import Hostile
from tests.installation import Platform
from websockets.asyncio.client import ClientConnection, connect

from ams_contracts.frames import SUBPROTOCOL, TICKET_PREFIX
from ams_contracts.topics import TASKS, task_key

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]
RECORD_BYTES_MAX = 2_200_000
ACCOUNT = re.compile(r'ams_events_(?:dead|ignored|duplicate|projected)_total\{projection="(?:steps|payloads)".*} (\S+)')


def ports(platform: Platform) -> dict[str, int]:
    return json.loads((platform.data / "ports.json").read_text())


def accounted(platform: Platform) -> float:
    """Events that became something, of both projections."""
    text = httpx.get(f"http://127.0.0.1:{ports(platform)['projector']}/metrics").text
    return sum(float(found) for found in ACCOUNT.findall(text))


async def write(platform: Platform, project: Project, records: list[Hostile]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{ports(platform)['kafka']}", max_request_size=RECORD_BYTES_MAX) as producer:
        for one in records:
            key = task_key(project.id, one.task) if one.key == b"@" else one.key
            await producer.send_and_wait(one.topic, value=one.value, key=key, headers=list(one.headers), timestamp_ms=one.timestamp_ms)


async def follow(platform: Platform, project: Project) -> ClientConnection:
    ticket = project.http.post("/api/live/tickets", json={"project_id": project.id}).raise_for_status().json()["ticket"]
    address = platform.url.replace("http", "ws", 1) + "/api/live"
    return await connect(address, subprotocols=[SUBPROTOCOL, TICKET_PREFIX + ticket], max_size=None)  # pyright: ignore[reportArgumentType]  a plain string is one


async def frames_until(socket: ClientConnection, task: str) -> list[dict[str, Any]]:
    """Every frame up to the first one about a task of the list."""
    frames: list[dict[str, Any]] = []
    while not any(frame["op"] == "task" and frame["task_id"] == task for frame in frames):
        frames += json.loads(await socket.recv())
    return frames


def stored_steps(project: Project, task: str) -> int:
    answer = project.http.get(f"/api/traces/{project.id}/tasks/{task}/skeleton")
    return 0 if answer.status_code == 404 else len(answer.raise_for_status().json()["columns"]["step_id"])


def letters_of(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = project.http.get(f"/api/ingest/{project.id}/dead-letters", params={"limit": 50} | ({"cursor": cursor} if cursor else {}))
        found += page.raise_for_status().json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return found


async def test_hostile_records_become_dead_letters_and_their_neighbours_live(platform: Platform) -> None:
    project = Account(platform.url).project()
    records = hostile_records.records(project.id)
    before = accounted(platform)
    restarts = {name: one["restarts"] for name, one in platform.processes().items()}
    last = hostile_posts.trace_id()

    async with asyncio.timeout(120), await follow(platform, project) as socket:
        await socket.send(json.dumps({"op": "subscribe", "id": "list", "list": True}))
        for one in records[::4]:
            await socket.send(json.dumps({"op": "subscribe", "id": one.name, "task_id": one.task}))
            await asyncio.sleep(0.06)  # the gateway accepts 20 messages per second
        await write(platform, project, records)
        await write(
            platform, project, [Hostile(f"task hint {n}", "", value, key=key, topic=TASKS.name) for n, (key, value) in enumerate(HINTS)]
        )
        posted = project.post("/v1/traces", hostile_posts.good_protobuf(last), **{"Content-Type": hostile_posts.PROTOBUF})
        frames = await frames_until(socket, last)

    assert posted.status_code == 200
    assert any(frame["op"] == "frame" for frame in frames)
    wanted = sum(one.dead for one in records)
    letters = eventually(lambda: letters_of(project), lambda found: len(found) >= wanted)
    by_task: defaultdict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for letter in letters:
        by_task[letter["task_id"]].append(letter)
    wrong = [
        f"{one.name}: {stored_steps(project, one.task)} steps"
        for one in records
        if eventually(lambda one=one: stored_steps(project, one.task), lambda got, one=one: got == one.steps, 10) != one.steps
    ]
    wrong += [f"{one.name}: {letter['reason']}" for one in records for letter in by_task[one.task] if letter["reason"] not in one.reasons]
    wrong += [f"{one.name}: {len(by_task[one.task])} letters" for one in records if one.steps and len(by_task[one.task]) != one.dead]
    assert wrong == []
    assert len(letters) == wanted, Counter(letter["reason"] for letter in letters)
    for letter in letters:
        shown = project.http.get(f"/api/ingest/{project.id}/dead-letters/{letter['place']}").raise_for_status().json()
        assert shown["letter"]["place"] == letter["place"]
    assert accounted(platform) - before >= sum(one.events for one in records)
    assert {name: one["restarts"] for name, one in platform.processes().items()} == restarts


HINTS: list[tuple[bytes, bytes | None]] = [
    (b"", b"{}"), (b"\xff", b"{}"), (b"x:y", b"\xff"), (b":" * 50, None), (b"x:" + b"a" * 32, b"[" * 50_000),
    (b"x:" + b"a" * 32, b""), (b'x:"},{"op":"stale"', b"{}"), (b"x:" + b"k" * 100_000, b"{}"),
]  # fmt: skip
