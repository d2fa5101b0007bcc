"""The transport ``https``: ``POST /v1/batches``."""

import gzip
import logging
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec
from opentelemetry import context as otel_context
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  # the exporters of OpenTelemetry do the same
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage]  # the same
)

from ams.sending.transport import THREAD_NAME, Delivered, Later, Malformed, Outcome, Refused, TooLarge
from ams.settings import SdkSettings, is_loopback
from ams.version import __version__
from ams_contracts.native import NativeAnswer

PATH = "/v1/batches"
_GZIP_FROM_BYTES = 1_024
_RETRY_AFTER_SECONDS_MAX = 60.0
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _METHOD_NOT_ALLOWED, _TOO_LARGE = 200, 400, 401, 403, 404, 405, 413
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_NEEDED_BY_REQUESTS = ("encodings.idna", "stringprep")
"""What the first request would import in the sender's thread: a fork in the middle of it leaves a partially imported module in the child, permanently."""
_answer = msgspec.json.Decoder(NativeAnswer)


class HttpTransport:
    """HTTP with a persistent connection; proxies and certificates come from the environment, as httpx reads it."""

    def __init__(self, settings: SdkSettings) -> None:
        self._url = settings.endpoint + PATH
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.request_timeout_seconds, connect=min(5.0, settings.request_timeout_seconds)),
            headers={
                "authorization": f"Bearer {settings.api_key}",
                "content-type": "application/json",
                "user-agent": f"ams-tracing/{__version__}",
            },
            trust_env=not is_loopback(settings.endpoint),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=30),
        )
        hide_own_requests()
        for name in _NEEDED_BY_REQUESTS:
            import_module(name)

    def post(self, body: bytes) -> Outcome:
        headers: dict[str, str] = {}
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["content-encoding"] = "gzip"
        token = otel_context.attach(suppressed())
        try:
            response = self._client.post(self._url, content=body, headers=headers)
        except Exception as error:  # noqa: BLE001 - certificates, proxies, name resolution: the agent continues in any case
            return Later(reason_of(error, self._url))
        finally:
            otel_context.detach(token)
        return outcome_of(response, self._url)

    def close(self) -> None:
        self._client.close()


def _proxy_of(url: str) -> str:
    """``host:port`` of the proxy that the environment names for an address, empty without one. Never its user and password."""
    parts = urlsplit(url)
    proxies = getproxies()
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    proxy = urlsplit(proxies.get(parts.scheme) or proxies.get("all") or "")
    return f"{proxy.hostname}:{proxy.port}" if proxy.hostname else ""


def reason_of(error: Exception, url: str) -> str:
    """Why a request got no answer, and what to change where that is known."""
    text = f"{type(error).__name__}: {error}"[:200]
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError) and (proxy := _proxy_of(url)):
        return f"the proxy {proxy} does not answer or refuses the request ({text}); to connect without it, add the host to NO_PROXY"
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return f"{url} does not use TLS; use http:// in AMS_ENDPOINT"
    return text


def outcome_of(response: httpx.Response, url: str) -> Outcome:  # noqa: PLR0911 - a table
    """What an answer means for the events that were sent."""
    status = response.status_code
    if status == _OK:
        try:
            return Delivered(_answer.decode(response.content))
        except msgspec.DecodeError:
            return Refused(f"The server at {url} is not AMS. Set AMS_ENDPOINT to the address of the explorer.")
    if status in _RETRIED:
        return Later(f"HTTP {status}", _retry_after_seconds(response.headers.get("retry-after")))
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Refused(
            f"{url} does not accept the API key (HTTP {status}). Create a new key in the explorer under API keys and set AMS_API_KEY."
        )
    if status == _TOO_LARGE:
        return TooLarge()
    if status in {_NOT_FOUND, _METHOD_NOT_ALLOWED} or response.is_redirect:
        return Refused(
            f"{url} is not an address of AMS (HTTP {status}). Set AMS_ENDPOINT to the address of the explorer, for example http://localhost:8080."
        )
    if status == _BAD_REQUEST and "HTTPS server" in response.text[:200]:  # the words of Go's and nginx's servers differ but for these
        return Refused(f"{url} uses TLS; use https:// in AMS_ENDPOINT.")
    return Malformed(f"HTTP {status} {response.text[:200]}")


def _retry_after_seconds(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX)


def suppressed() -> otel_context.Context:
    """A context that instrumentations of httpx ignore: our requests are not steps of the agent."""
    return otel_context.Context({_SUPPRESS_INSTRUMENTATION_KEY: True, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True})


class NotOurs(logging.Filter):
    """Keeps our requests out of the agent's log: httpx logs each of them, 20 per second."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD_NAME


_hidden = threading.Event()


def hide_own_requests() -> None:
    """Keep the requests of this thread out of the agent's log."""
    if not _hidden.is_set():
        _hidden.set()
        for name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
            logging.getLogger(name).addFilter(NotOurs())
