"""The server, clock and user objects that the tests of identity share."""

import time
from typing import Any

import httpx
from litestar import Litestar
from msgspec import Struct

from ams_identity.settings import Settings

PASSWORD = "a long enough password"
SERVICE_SECRET = "between services"
NO_KAFKA = "127.0.0.1:9"


class Clock:
    """The clock of the server under test; ``offset`` moves it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


class Server(Struct):
    """The server under test."""

    url: str
    app: Litestar
    clock: Clock
    settings: Settings


class Person(Struct):
    """A user who has registered and signed in."""

    client: httpx.Client
    username: str
    email: str
    user_id: str
    token: str
    project_id: str

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, headers=self.headers, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(path, headers=self.headers, json=body, **more)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.client.patch(path, headers=self.headers, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.client.delete(path, headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}
