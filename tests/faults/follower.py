"""A browser's tab that stays open whatever happens: it comes back with its last position, and every frame must come once."""

import json
import threading
import time
from typing import Any, Self

import httpx
from tests.client import Project
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

AGAIN_SECONDS = 0.2
RECEIVE_SECONDS = 1.0
SUBSCRIBED_SECONDS = 30


class Follower:
    """Follows one task. As a block, it is subscribed when the block begins."""

    def __init__(self, project: Project, task_id: str) -> None:
        self._project = project
        self._task_id = task_id
        self._url = str(project.http.base_url)
        self._authorization = project.http.headers["Authorization"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._subscribed = threading.Event()
        self.position: str | None = None
        self.frames: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._subscribed.wait(SUBSCRIBED_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    @property
    def positions(self) -> list[str]:
        return [frame["position"] for frame in self.frames]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (httpx.HTTPError, WebSocketException, OSError, EOFError, TimeoutError):
                time.sleep(AGAIN_SECONDS)

    def _follow(self) -> None:
        answer = httpx.post(
            f"{self._url}/api/live/tickets",
            json={"project_id": self._project.id},
            headers={"Authorization": self._authorization},
            timeout=5,
        ).raise_for_status()
        address = self._url.rstrip("/").replace("http", "ws", 1) + "/api/live"
        with connect(address, subprotocols=["ams.v1", f"ticket.{answer.json()['ticket']}"], open_timeout=5, close_timeout=1) as socket:  # type: ignore[list-item]  # a NewType of str
            self.connections += 1
            after = {"after": self.position} if self.position else {}
            socket.send(json.dumps({"op": "subscribe", "id": "1", "task_id": self._task_id, **after}))
            while not self._stop.is_set():
                try:
                    messages = json.loads(socket.recv(timeout=RECEIVE_SECONDS))
                except TimeoutError:
                    continue
                for message in messages:
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] == "frame":
            self.frames.append(message)
            self.position = message["position"]
        elif message["op"] == "subscribed":
            self.position = self.position or message["position"]
            self._subscribed.set()
        else:
            self.others.append(message)
