"""The connection of a command to the platform: which address, which key, which project, and what a refusal means for the person."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click
import httpx
import msgspec
from msgspec import Struct

from ams.cli.credentials import read_credentials
from ams.settings import ENDPOINT_DEFAULT, is_loopback
from ams.version import __version__

TIMEOUT_SECONDS = 20.0
FAILED = 1
WRONG_USAGE = 2

F = TypeVar("F", bound=Callable[..., Any])


class _Problem(Struct, kw_only=True):
    title: str = ""
    detail: str = ""
    code: str = ""
    column: int | None = None
    suggestion: str | None = None


class _Grant(Struct, kw_only=True):
    project_id: str
    scopes: list[str]


_problem = msgspec.json.Decoder(_Problem)
_grant = msgspec.json.Decoder(_Grant)


class PlatformError(Exception):
    """A command cannot continue. The text says what happened, why, and what to do.

    Attributes:
        code: Of the problem document; empty when no platform answered.
        status: Of the answer; 0 when there was none.
    """

    def __init__(self, sentence: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


def give_up(sentence: str, code: int = FAILED) -> NoReturn:
    """End the command: the sentence on stderr, and the exit code."""
    sys.stderr.write(f"ams: {sentence}\n")
    raise SystemExit(code)


def connection_options(command: F) -> F:
    """Add ``--endpoint`` and ``--api-key``."""
    key = click.option("--api-key", help="A key with the scope read. By default the one of 'ams login', else AMS_API_KEY.")
    endpoint = click.option(
        "--endpoint", help=f"The address of AMS. By default AMS_ENDPOINT, else that of 'ams login', else {ENDPOINT_DEFAULT}."
    )
    return endpoint(key(command))


class Platform:
    """A platform and the project of a key.

    Attributes:
        endpoint: Its address, without a slash at the end.
        api_key: The key; empty when there is none.
    """

    def __init__(self, endpoint: str, api_key: str) -> None:
        self.endpoint = endpoint
        self.api_key = api_key
        self._http = make_client(endpoint)
        self._project_id: str | None = None

    @classmethod
    def open(cls, endpoint: str | None = None, api_key: str | None = None) -> "Platform":
        """The platform of the options, the environment and the last login.

        Raises:
            PlatformError: There is no key.
        """
        address = endpoint_of(endpoint)
        login = read_credentials().logins.get(address)
        key = (api_key or (login.api_key if login else "") or os.environ.get("AMS_API_KEY", "")).strip()
        if not key:
            raise PlatformError(f"There is no API key for {address}. Run 'ams login', or pass a key with the scope read by --api-key.")
        return cls(address, key)

    @classmethod
    def open_to_send(cls, endpoint: str | None, api_key: str | None) -> "Platform":
        """The platform with the agent's key: that of the option, else ``AMS_API_KEY``; the key of a login cannot send.

        Raises:
            PlatformError: There is no key.
        """
        address = endpoint_of(endpoint)
        key = (api_key or os.environ.get("AMS_API_KEY", "")).strip()
        if not key:
            raise PlatformError(f"There is no API key for {address}. Set AMS_API_KEY, or pass a key with the scope ingest by --api-key.")
        return cls(address, key)

    @property
    def project_id(self) -> str:
        """The project of the key.

        Raises:
            PlatformError: The platform does not answer, or does not know the key, or it lacks the scope read.
        """
        if self._project_id is None:
            answer = self.request("POST", "/api/auth/token", content=msgspec.json.encode({"api_key": self.api_key}))
            grant = _grant.decode(answer.content)
            if "read" not in grant.scopes:
                raise PlatformError(
                    "This API key may send steps but not read tasks. Run 'ams login', or create a key with the scope read under API keys.",
                    code="scope_missing",
                )
            self._project_id = grant.project_id
        return self._project_id

    def get(self, path: str, **parameters: str | int | None) -> bytes:
        """The body of ``GET /api/traces/{project}/{path}``.

        Raises:
            PlatformError: The platform refused, or does not answer.
        """
        chosen = {name: value for name, value in parameters.items() if value not in {None, ""}}
        return self.request("GET", f"/api/traces/{self.project_id}/{path}", params=chosen).content

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request with the key.

        Raises:
            PlatformError: The answer is no success, or there is none.
        """
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json", **options.pop("headers", {})}
        return checked(lambda: self._http.request(method, path, headers=headers, **options), self.endpoint)

    def send_lines(self, lines: bytes, copy_as: str | None) -> httpx.Response:
        """Send lines of an exported file to ``POST /v1/import``.

        Raises:
            PlatformError: The platform refused all of them, or does not answer.
        """
        return self.request(
            "POST",
            "/v1/import",
            content=lines,
            params={} if copy_as is None else {"copy_as": copy_as},
            headers={"Content-Type": "application/x-ndjson"},
        )

    def task_url(self, task_id: str) -> str:
        """The page of a task."""
        return f"{self.endpoint}/t/{task_id}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def endpoint_of(option: str | None) -> str:
    """The address of the platform.

    Raises:
        PlatformError: It is no address of a server.
    """
    address = (option or os.environ.get("AMS_ENDPOINT") or read_credentials().endpoint or ENDPOINT_DEFAULT).strip().rstrip("/")
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise PlatformError(f"{address!r} is not the address of a server. Write one such as {ENDPOINT_DEFAULT}.")
    return address


def make_client(endpoint: str) -> httpx.Client:
    """A client for the platform. Loopback addresses go through no proxy."""
    return httpx.Client(
        base_url=endpoint,
        timeout=TIMEOUT_SECONDS,
        headers={"User-Agent": f"ams-cli/{__version__}"},
        trust_env=not is_loopback(endpoint),
    )


def checked(send: Callable[[], httpx.Response], endpoint: str) -> httpx.Response:
    """The answer of a request, when it is a success.

    Raises:
        PlatformError: With the reason of the problem document, or why there is no answer.
    """
    try:
        answer = send()
    except httpx.TimeoutException as error:
        raise PlatformError(f"{endpoint} did not answer within {TIMEOUT_SECONDS:g} s.") from error
    except httpx.HTTPError as error:
        raise PlatformError(f"{endpoint} cannot be reached: {error}. Start the platform (./ams up), or set AMS_ENDPOINT.") from error
    if answer.is_success:
        return answer
    try:
        problem = _problem.decode(answer.content)
    except msgspec.MsgspecError:
        raise PlatformError(f"{endpoint} is no AMS platform: it answered {answer.status_code}.", status=answer.status_code) from None
    sentence = problem.detail or problem.title or f"The platform answered {answer.status_code}."
    if problem.column is not None:
        sentence += f" (column {problem.column})"
    if problem.suggestion:
        sentence += f" Write: {problem.suggestion}"
    if problem.code in {"invalid_api_key", "unauthenticated"}:
        sentence += f" Run 'ams login', or create a key at {endpoint} under API keys."
    raise PlatformError(sentence, code=problem.code, status=answer.status_code)
