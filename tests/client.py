"""A person with an account, as programs meet the platform: over REST alone."""

import secrets
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

PAGE_ITEMS = 500
WAIT_SECONDS = 30
POLL_SECONDS = 0.1
THROTTLED_SECONDS_MAX = 90

T = TypeVar("T")


class Account:
    """A freshly registered user, signed in."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        """``transport``: what sends the requests, where no gateway does."""
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=60, transport=transport)
        self.name, self.password = f"u{secrets.token_hex(6)}", secrets.token_urlsafe(24)
        account = {"username": self.name, "email": f"{self.name}@example.com", "password": self.password}
        patiently(lambda: self.http.post("/api/auth/register", json=account)).raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {sign_in(self.http, self.name, self.password)}"

    def project(self, name: str = "test") -> "Project":
        """A new project of this user."""
        project_id = self.http.post("/api/projects", json={"name": name}).raise_for_status().json()["project_id"]
        return Project(self.http, project_id)


class Project:
    """A project with a key of its own, and what its owner can read of it."""

    def __init__(self, http: httpx.Client, project_id: str) -> None:
        self.http = http
        self.id = project_id
        self.key: str = http.post(f"/api/projects/{project_id}/keys", json={"name": "test"}).raise_for_status().json()["key"]

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Post as an agent does, with the key."""
        return self.http.post(path, content=body, headers={"Authorization": f"Bearer {self.key}"} | headers)

    def get(self, path: str, **parameters: str | int) -> Any:
        """An answer of ``/api/traces/{project}/path``."""
        return self.http.get(f"/api/traces/{self.id}/{path}", params=parameters).raise_for_status().json()

    def items(self, path: str, **parameters: str | int) -> Iterator[dict[str, Any]]:
        """All pages of a list."""
        cursor = None
        while True:
            page = self.get(path, limit=PAGE_ITEMS, **parameters, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def sign_in(http: httpx.Client, login: str, password: str) -> str:
    """The access token of a new session."""
    answer = patiently(lambda: http.post("/api/auth/login", json={"login": login, "password": password})).raise_for_status()
    return answer.json()["access_token"]


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask again when Retry-After says so: all tests of a shared platform come from one address, whose attempts are limited."""
    deadline = time.monotonic() + THROTTLED_SECONDS_MAX
    while (answer := ask()).status_code == HTTPStatus.TOO_MANY_REQUESTS:
        wait = float(answer.headers["Retry-After"])
        if time.monotonic() + wait > deadline:
            break
        time.sleep(wait)
    return answer


def eventually(ask: Callable[[], T], enough: Callable[[T], bool], timeout_seconds: float = WAIT_SECONDS) -> T:
    """Ask until the answer is enough, or time is up; the last answer."""
    deadline = time.monotonic() + timeout_seconds
    while not enough(answer := ask()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return answer
