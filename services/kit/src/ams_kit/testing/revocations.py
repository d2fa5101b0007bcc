"""Keeps the revocation list of a Redis complete, as identity does, for tests of services without identity."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from ams_kit.auth.revocation import CURRENT_FIELD, REVOCATIONS_KEY, SERVER_FIELD, microseconds_of

RENEW_SECONDS = 0.5


async def declare_complete(redis: Redis) -> None:
    """State that the list is complete now; that is valid for 3 s."""
    run_id = (await redis.info("server"))["run_id"]
    current: dict[Any, Any] = {SERVER_FIELD: run_id, CURRENT_FIELD: str(microseconds_of(await redis.time()))}
    await redis.hset(REVOCATIONS_KEY, mapping=current)  # pyright: ignore[reportGeneralTypeIssues]  redis-py types its async client as sync or async


@contextlib.asynccontextmanager
async def kept_complete(redis: Redis) -> AsyncGenerator[None]:
    """The list stays complete until the end of the block."""
    stopped = asyncio.Event()

    async def renew() -> None:
        while not stopped.is_set():
            await declare_complete(redis)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), RENEW_SECONDS)

    await declare_complete(redis)
    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        stopped.set()
        await asyncio.gather(task, return_exceptions=True)
