"""Receives what is left of a request's body before a refusal is sent, for every route.

A route or the authentication may refuse a request before its body was read. A proxy that is still sending the body then loses the answer: Caddy
responds with 499 or 502 in its place.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

UNREAD_BYTES_MAX = 1_048_576
"""A body that is declared larger, or turns out to be, is refused at once: receiving it would cost more than the lost answer."""
UNREAD_SECONDS_MAX = 5.0

_LATE = frozenset({HTTPStatus.REQUEST_TIMEOUT})  # the client was too slow already


class _Body:
    """Follows how much of a body was received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = UNREAD_BYTES_MAX
        self.is_complete = False

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_complete = True
        else:
            self._left -= len(message.get("body", b""))
        return message

    async def discard(self) -> None:
        """Receive the rest, within limits."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNREAD_SECONDS_MAX):
                while not self.is_complete and self._left >= 0:
                    await self.receive()


def refuse_after_body(app: ASGIApp) -> ASGIApp:
    """Wrap an application: an answer with an error status is sent when the request's body was received.

    Args:
        app: The application. What it sends and receives stays the same.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_awaited(scope["headers"]):
            await app(scope, receive, send)
            return
        body = _Body(receive)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST and message["status"] not in _LATE:
                await body.discard()
            await send(message)

        await app(scope, body.receive, send_after_body)

    return wrapped


def _is_awaited(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body of a moderate length follows, without that the server asks for it."""
    given = dict(headers)
    if given.get(b"expect", b"").strip().lower() == b"100-continue":
        return False
    length = given.get(b"content-length")
    if length is None:
        return b"transfer-encoding" in given
    return length.isdigit() and 0 < int(length[:18]) <= UNREAD_BYTES_MAX
