"""A browser tab that stays open during failures: it resumes after its last position, and must receive every frame once."""

import json
import socket
import threading
import time
from typing import Any, Self

import httpx
from tests.client import Project
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

AGAIN_SECONDS = 0.2
RECEIVE_SECONDS = 1.0
SUBSCRIBED_SECONDS = 30


class Follower:
    """Follows one task. As a block, it is subscribed when the block begins."""

    def __init__(self, project: Project, task_id: str, gateway_port: int | None = None) -> None:
        """``gateway_port``: of a live-gateway that is asked by itself, past what routes."""
        self._project = project
        self._gateway_port = gateway_port
        self._socket: ClientConnection | None = None
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

    def go_to(self, gateway_port: int) -> None:
        """Leave the gateway, whether it answers or not, and resume at another one."""
        self._gateway_port = gateway_port
        if self._socket is not None:
            self._socket.socket.shutdown(socket.SHUT_RDWR)

    def resume_at(self, gateway_port: int) -> None:
        """Resume at another gateway once this one ends the connection."""
        self._gateway_port = gateway_port

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
        protocols = ["ams.v1", f"ticket.{answer.json()['ticket']}"]
        past = socket.create_connection(("127.0.0.1", self._gateway_port), 5) if self._gateway_port else None
        with connect(address, sock=past, subprotocols=protocols, open_timeout=5, close_timeout=1) as live:  # type: ignore[arg-type]  # a NewType of str
            self._socket = live
            self.connections += 1
            after = {"after": self.position} if self.position else {}
            live.send(json.dumps({"op": "subscribe", "id": "1", "task_id": self._task_id, **after}))
            while not self._stop.is_set():
                try:
                    messages = json.loads(live.recv(timeout=RECEIVE_SECONDS))
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
