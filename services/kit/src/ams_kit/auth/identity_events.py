"""What identity says has changed, heard over the Redis channel. Messages may be lost with a connection; then everyone is told of a gap."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ams_contracts.claims import IDENTITY_CHANNEL, IdentityChanged

POLL_SECONDS = 5
RECONNECT_PAUSE_SECONDS = 0.5

logger = structlog.get_logger(__name__)
_changed = msgspec.json.Decoder(IdentityChanged)


class IdentityEvents:
    """Tells callbacks about every ``IdentityChanged`` of the channel.

    Callbacks run on the event loop and do not block. A message is heard at most once; after the connection was away, ``on_missed_events`` callbacks
    run, so that whoever caches asks again.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._callbacks: list[Callable[[IdentityChanged], None]] = []
        self._missed_callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    def subscribe(self, callback: Callable[[IdentityChanged], None]) -> None:
        """Call this with every message from now on."""
        self._callbacks.append(callback)

    def on_missed_events(self, callback: Callable[[], None]) -> None:
        """Call this whenever messages may have been missed: at the first connection and at every later one."""
        self._missed_callbacks.append(callback)

    def start(self) -> None:
        """Begin to listen, in the background."""
        self._task = asyncio.create_task(self._listen(), name="identity-changes")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
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
            except (RedisError, OSError) as error:
                if self.connected.is_set():
                    logger.warning("channel of identity lost", error_type=type(error).__name__)
                self.connected.clear()
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)

    def _notify(self, message: dict[str, Any]) -> None:
        try:
            changed = _changed.decode(message["data"])
        except msgspec.MsgspecError:
            logger.warning("message of identity not understood")  # a newer identity may say more: what cannot be read may concern anything
            self._notify_missed()
            return
        for callback in self._callbacks:
            try:
                callback(changed)
            except Exception as error:
                logger.exception("callback of identity's channel failed", exc_info=error)

    def _notify_missed(self) -> None:
        for callback in self._missed_callbacks:
            try:
                callback()
            except Exception as error:
                logger.exception("callback of identity's channel failed", exc_info=error)
