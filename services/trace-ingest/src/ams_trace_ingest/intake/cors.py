"""Cross-origin requests of browsers to ``/v1/*``: allowed for the origins of one setting, otherwise refused with the reason.

A middleware of its own, because the framework's answers for every path of an application and refuses without a problem document.
"""

import re
from collections.abc import Iterable

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ams_kit.http.problems import PROBLEM_MEDIA_TYPE, Problem
from ams_kit.settings import SettingsError

PREFLIGHT_SECONDS = 600
METHODS = "POST"
HEADERS = "authorization, content-encoding, content-type, traceparent, tracestate, x-api-key"
ORIGINS_MAX = 100
_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:]{2,45}\](:[0-9]{1,5})?")
_REFUSAL = msgspec.json.encode(
    Problem(
        title="Not allowed", status=403, code="foreign_origin",
        detail="Pages of this origin may not send telemetry. Add the origin to AMS_CORS_ORIGINS and restart.",
    )
)  # fmt: skip


def parse_origins(text: str) -> frozenset[str]:
    """Read ``AMS_CORS_ORIGINS``: origins such as ``https://app.example.com``, separated by commas; empty: none.

    Raises:
        SettingsError: An entry is no origin (scheme, host and port, without a path), or there are more than ``ORIGINS_MAX``.
    """
    origins = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    if len(origins) > ORIGINS_MAX or not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise SettingsError(
            f"AMS_CORS_ORIGINS is a list of at most {ORIGINS_MAX} origins such as https://app.example.com, separated by commas"
        )
    return frozenset(origins)


class CorsMiddleware:
    """Answers preflight requests to ``/v1/*``, and names the origin in the answers that its pages may read."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if scope["method"] == "OPTIONS" and origin and b"access-control-request-method" in headers:
            await self._answer_preflight(send, origin)
            return
        if origin not in self._origins:
            await self._app(scope, receive, send)
            return

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableScopeHeaders.from_message(message).update({"access-control-allow-origin": origin, "vary": "Origin"})
            await send(message)

        await self._app(scope, receive, send_named)

    async def _answer_preflight(self, send: Send, origin: str) -> None:
        if origin in self._origins:
            status, body = 204, b""
            answer = {
                "access-control-allow-origin": origin, "access-control-allow-methods": METHODS, "access-control-allow-headers": HEADERS,
                "access-control-max-age": str(PREFLIGHT_SECONDS), "vary": "Origin",
            }  # fmt: skip
        else:
            status, body = 403, _REFUSAL
            answer = {"content-type": PROBLEM_MEDIA_TYPE, "content-length": str(len(body)), "vary": "Origin"}
        headers = [(name.encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
