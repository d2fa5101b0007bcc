"""Receives identity's changes over a Redis channel. A lost connection may lose messages; subscribers are then notified of the gap."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from ams_contracts.claims import IDENTITY_CHANNEL, IdentityChanged
from ams_kit.background import Background
from ams_kit.retriable import UNAVAILABLE

POLL_SECONDS = 5

logger = structlog.get_logger(__name__)
_changed = msgspec.json.Decoder(IdentityChanged)


class IdentityEvents:
    """Calls subscribers with every ``IdentityChanged`` of the channel.

    Callbacks run on the event loop and must not block. A message is delivered at most once. After the connection was lost, the
    ``on_missed_events`` callbacks run, so that caches can reload.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._callbacks: list[Callable[[IdentityChanged], None]] = []
        self._missed_callbacks: list[Callable[[], None]] = []
        self.connected = asyncio.Event()

    def subscribe(self, callback: Callable[[IdentityChanged], None]) -> None:
        """Register a callback for every further message."""
        self._callbacks.append(callback)

    def on_missed_events(self, callback: Callable[[], None]) -> None:
        """Register a callback for gaps: messages may have been missed at the first and at every later connection."""
        self._missed_callbacks.append(callback)

    def start(self, background: Background) -> None:
        """Listen until the background tasks stop."""
        background.spawn("identity-events", self._listen)

    async def _listen(self) -> None:
        """Listen over one connection. Raises when the connection is lost."""
        pubsub = self._redis.pubsub()
        try:
            await pubsub.subscribe(IDENTITY_CHANNEL)
            while True:
                message = await pubsub.get_message(timeout=POLL_SECONDS)
                if message is None:
                    await pubsub.ping()
                elif message["type"] == "subscribe":
                    self.connected.set()
                    self._notify_missed()
                elif message["type"] == "message":
                    self._notify(message)
        finally:
            self.connected.clear()
            with contextlib.suppress(*UNAVAILABLE):
                await pubsub.aclose()

    def _notify(self, message: dict[str, Any]) -> None:
        try:
            changed = _changed.decode(message["data"])
        except msgspec.MsgspecError:
            logger.warning("message of identity could not be decoded")  # a newer version may have sent it, and it may concern any cache
            self._notify_missed()
            return
        self.deliver(changed)

    def deliver(self, changed: IdentityChanged) -> None:
        """Call every subscriber with a change, also one that arrived over another path."""
        for callback in self._callbacks:
            try:
                callback(changed)
            except Exception as error:
                logger.exception("callback of the identity channel failed", exc_info=error)

    def _notify_missed(self) -> None:
        for callback in self._missed_callbacks:
            try:
                callback()
            except Exception as error:
                logger.exception("callback of the identity channel failed", exc_info=error)
