"""Replicas of intake exchange what log records say, so that a record and its span meet also at different ones (ADR 0037).

One Redis stream that each replica writes to and reads. What its reader cannot read is lost to it, and then a document stays as its span said:
nothing that is accepted depends on it.
"""

import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from ams_trace_ingest.intake.log_joiner import WAIT_SECONDS, Additions, LogJoiner, LogNews

STREAM = "ams:intake:logs"
ENTRIES_MAX = 5_000  # some 4 MB
NEWS_BYTES_MAX = 8_192  # longer ones are not sent: an exception with a message of thousands of characters beyond ASCII
AT_ONCE_MAX = 500
BLOCK_MS = 500  # how long news wait to be sent; the client gives up a call after a second

logger = structlog.get_logger(__name__)
_news = msgspec.json.Decoder(LogNews)
_encode = msgspec.json.Encoder().encode

Publish = Callable[[str, Additions], Awaitable[None]]
"""Publishes what was completed of a project. Raises a retriable error while the log is unavailable."""


class LogExchange:
    """Sends the news of a joiner, and gives it those of the other replicas."""

    def __init__(
        self, redis: Redis, joiner: LogJoiner, publish: Publish, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        """``redis`` holds the stream."""
        self._redis = redis
        self._joiner = joiner
        self._publish = publish
        self._now_us = now_us
        self._origin = uuid.uuid4().hex.encode()
        self._last_id: bytes | str = f"{now_us() // 1_000 - int(WAIT_SECONDS * 1_000)}-0"  # what waited when the process began
        self._completed: list[tuple[str, Additions]] = []  # not published yet

    async def run(self) -> None:
        """Send and receive, until it is cancelled.

        Raises:
            RedisError: Redis is unavailable. What was not sent is kept.
            UnavailableError: The log is unavailable. What was not published is kept.
        """
        while True:
            await self.send()
            await self.receive()

    async def send(self) -> None:
        """Send the news that there are."""
        while news := self._joiner.take_news(AT_ONCE_MAX):
            pipeline = self._redis.pipeline(transaction=False)
            for one in news:
                encoded = _encode(one)
                if len(encoded) <= NEWS_BYTES_MAX:
                    fields: dict[FieldT, EncodableT] = {b"from": self._origin, b"news": encoded}
                    pipeline.xadd(STREAM, fields, maxlen=ENTRIES_MAX, approximate=True)
            pipeline.expire(STREAM, int(WAIT_SECONDS))  # an hour after the last one nothing is left of what was said
            try:
                await pipeline.execute()
            except BaseException:
                self._joiner.return_news(news)
                raise

    async def receive(self) -> None:
        """Publish what the news of other replicas complete. Waits a moment for some."""
        await self._publish_completed()
        found: Any = await self._redis.xread({STREAM: self._last_id}, count=AT_ONCE_MAX, block=BLOCK_MS)
        for entry_id, fields in found[0][1] if found else ():
            if fields.get(b"from") != self._origin:
                self._receive_one(fields.get(b"news", b""))
            self._last_id = entry_id
        await self._publish_completed()

    def _receive_one(self, encoded: bytes) -> None:
        try:
            news = _news.decode(encoded)
        except msgspec.MsgspecError as error:  # of a replica of another version
            logger.warning("news of another replica cannot be read", error_type=type(error).__name__)
            return
        additions = self._joiner.receive(news, received_at_us=self._now_us())
        if additions.steps or additions.payloads:
            self._completed.append((news.project_id, additions))

    async def _publish_completed(self) -> None:
        while self._completed:
            await self._publish(*self._completed[0])
            self._completed.pop(0)
