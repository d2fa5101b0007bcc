"""A live socket that follows one task and counts what it receives: every step once, every frame after the previous one."""

import json
import threading
from collections import Counter
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

SOCKET_SECONDS = 1.0  # how long a look for the next message may take


class Follower(threading.Thread):
    """Follows from a position on, until it is stopped. Reads as fast as messages come."""

    def __init__(self, url: str, http: httpx.Client, project_id: str, task_id: str, after: str | None) -> None:
        super().__init__(daemon=True)
        self._ticket = http.post("/api/live/tickets", json={"project_id": project_id}).raise_for_status().json()["ticket"]
        self._url, self._task_id, self._after = url, task_id, after
        self._stopping = threading.Event()
        self.subscribed = threading.Event()
        self.steps: Counter[str] = Counter()
        self.gaps = 0
        self.resets = 0
        self.closed: int | None = None
        self._last: str | None = None
        self.start()

    def run(self) -> None:
        address = f"{self._url.replace('http', 'ws', 1)}/api/live"
        words: Any = {"subprotocols": ["ams.v1", f"ticket.{self._ticket}"], "origin": self._url}
        with connect(address, **words, max_size=None, compression=None) as socket:
            socket.send(json.dumps({"op": "subscribe", "id": "follow", "task_id": self._task_id, "after": self._after}))
            while not self._stopping.is_set():
                try:
                    messages = json.loads(socket.recv(SOCKET_SECONDS))
                except TimeoutError:
                    continue
                except ConnectionClosed as closed:
                    self.closed = closed.rcvd.code if closed.rcvd else 0
                    return
                for message in messages:
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["op"] == "subscribed":
            self.subscribed.set()
        elif message["op"] == "reset":
            self.resets += 1
        elif message["op"] == "frame":
            if self._last is not None and message["prev"] != self._last:
                self.gaps += 1
            self._last = message["position"]
            for event in message["batch"]["events"]:
                if "step" in event:
                    self.steps[event["step_id"]] += 1

    def stop(self) -> dict[str, int | None]:
        """End it. What it saw: steps, those that came more than once, gaps, resets, and the code with which the socket was closed."""
        self._stopping.set()
        self.join()
        twice = sum(1 for count in self.steps.values() if count > 1)
        return {"steps": len(self.steps), "twice": twice, "gaps": self.gaps, "resets": self.resets, "closed": self.closed}
