"""Short requests to the brokers, each with a deadline: aiokafka's own calls may never return while a broker is frozen."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from ams_kit.bus.clients import Kafka, make_client
from ams_kit.bus.errors import LogUnavailableError

STOP_TIMEOUT_SECONDS = 2.0
RETRY_SECONDS = 10.0
RETRY_WAIT_SECONDS_MIN = 0.1
RETRY_WAIT_SECONDS_MAX = 1.0

T = TypeVar("T")

logger = structlog.get_logger(__name__)


@contextmanager
def log_errors() -> Generator[None]:
    """Translate every error of the client into ``LogUnavailableError``.

    Raises:
        LogUnavailableError: The broker refused or did not answer.
    """
    try:
        yield
    except KafkaError as error:
        raise LogUnavailableError(f"The log answered with {type(error).__name__}.") from error


async def retry_retriable(request: Callable[[], Awaitable[T]], *, seconds: float = RETRY_SECONDS) -> T:
    """Send a request, and retry it while the broker returns an error that Kafka calls retriable, such as a coordinator that moves.

    Args:
        request: Sends the request. It may be called several times.
        seconds: After this long the last error is raised.

    Raises:
        KafkaError: An error that is not retriable, or the last error when the time is over.
    """
    deadline_at, wait = time.monotonic() + seconds, RETRY_WAIT_SECONDS_MIN
    while True:
        try:
            return await request()
        except KafkaError as error:
            if not error.retriable or time.monotonic() + wait > deadline_at:
                raise
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  jitter, not a secret
            wait = min(2 * wait, RETRY_WAIT_SECONDS_MAX)


@asynccontextmanager
async def deadline(seconds: float, what: str) -> AsyncGenerator[None]:
    """Limit the duration of requests to the log, and translate their errors.

    Args:
        seconds: The limit.
        what: What the log is to do, as an infinitive for the error message.

    Raises:
        LogUnavailableError: The requests took longer, or the broker refused them.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, KafkaError, OSError) as error:
        raise LogUnavailableError(f"The log did not {what}: {type(error).__name__}.") from error


async def partition_counts(kafka: Kafka, topics: Sequence[str], *, timeout_seconds: float = 5.0) -> dict[str, int]:
    """Count the partitions of each topic. A topic that does not exist is absent.

    Raises:
        LogUnavailableError: No broker answered in time.
    """
    client: AIOKafkaClient | None = None
    try:
        async with deadline(timeout_seconds, "answer"):
            client = make_client(kafka, "ams-metadata")
            await client.bootstrap()
            cluster = await retry_retriable(client.fetch_all_metadata, seconds=timeout_seconds)
            counts = {topic: cluster.partitions_for_topic(topic) for topic in topics}
            return {topic: len(found) for topic, found in counts.items() if found}
    finally:
        if client is not None:
            await stop_quietly(client.close(), "metadata")


async def ping(kafka: Kafka, *, timeout_seconds: float = 2.0) -> None:
    """Ask a broker for its metadata.

    Raises:
        LogUnavailableError: No broker answered in time.
    """
    await partition_counts(kafka, (), timeout_seconds=timeout_seconds)


async def stop_quietly(stopping: Coroutine[Any, Any, object], what: str, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
    """Stop a client within a bounded time. A client that does not stop is abandoned and logged, and the process continues."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await stopping
    except (TimeoutError, KafkaError, OSError, AssertionError) as error:
        logger.info("a client of the log did not stop cleanly", client=what, error_type=type(error).__name__)
