"""Two stages: the next batch is decoded by a task while the caller writes the one before. Knows no database."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

BatchT = TypeVar("BatchT")
DecodedT = TypeVar("DecodedT")


async def decode_ahead(
    batches: Sequence[BatchT], decode: Callable[[BatchT], Awaitable[DecodedT]]
) -> AsyncGenerator[tuple[BatchT, DecodedT]]:
    """Each batch with what it was decoded into, in order; at most one is decoded ahead.

    Args:
        batches: To decode.
        decode: Gives way to other tasks now and then, so that it uses the time in which the caller waits for Postgres.

    Yields:
        Close the generator (``contextlib.aclosing``): that cancels the decoding that nobody waits for any more.
    """
    following: asyncio.Future[DecodedT] | None = None
    try:
        for place, batch in enumerate(batches):
            decoded = await (following or asyncio.ensure_future(decode(batch)))
            following = asyncio.ensure_future(decode(batches[place + 1])) if place + 1 < len(batches) else None
            yield batch, decoded
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
