"""Waiting for what must come true."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    """Ask until it is true.

    Raises:
        TimeoutError: It is not, in time.
    """
    async with asyncio.timeout(seconds):
        while not (answer if isinstance(answer := condition(), bool) else await answer):
            await asyncio.sleep(0.02)
