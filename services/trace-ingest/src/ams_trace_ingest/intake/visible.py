"""Waits until readers see a write of a person."""

import asyncio

import asyncpg

from ams_contracts.positions import Position
from ams_contracts.topics import STEPS
from ams_trace_ingest.store import positions
from ams_trace_ingest.store.connections import set_generation

VISIBLE_TIMEOUT_SECONDS = 5
VISIBLE_POLL_SECONDS = 0.02


async def becomes_visible(pool: asyncpg.Pool, position: Position) -> bool:
    """Wait until the steps projection has passed a position; ``False``: it did not within 5 s. The write is durable in both cases."""
    try:
        async with asyncio.timeout(VISIBLE_TIMEOUT_SECONDS):
            while True:
                async with pool.acquire() as connection, connection.transaction():
                    await set_generation(connection, may_sort=True)
                    stored = await positions.load(connection, "steps", STEPS.name, [position.partition])
                if position.partition in stored and stored[position.partition].next_offset >= position.offset:
                    return True
                await asyncio.sleep(VISIBLE_POLL_SECONDS)
    except TimeoutError:
        return False
