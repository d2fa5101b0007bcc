"""Connections to Postgres: an asyncpg pool with timeouts."""

from collections.abc import Awaitable, Callable

import asyncpg

POOL_TIMEOUT_SECONDS = 5
COMMAND_TIMEOUT_SECONDS = 10
TRANSACTION_TIMEOUT = "8s"  # otherwise a process that freezes inside a transaction holds its locks without end


async def open_pool(
    url: str,
    *,
    application: str,
    size_max: int,
    server_settings: dict[str, str] | None = None,
    init: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
    reset: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> asyncpg.Pool:
    """Create a pool that connects on first use, so that a service starts while Postgres is unavailable.

    Args:
        url: ``postgresql://user:password@host:port/database``.
        application: Shown in ``pg_stat_activity``.
        size_max: The limit of connections.
        server_settings: Further settings of each connection, e.g. ``statement_timeout``.
        init: Runs once on every new connection.
        reset: Runs when a connection returns to the pool, instead of the driver's own round trip (RESET ALL and others).
    """
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size_max,
        timeout=POOL_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        init=init,
        reset=reset,
        server_settings={"application_name": application, "transaction_timeout": TRANSACTION_TIMEOUT, **(server_settings or {})},
    )


async def check_pool(pool: asyncpg.Pool) -> None:
    """Check readiness: Postgres answers within two seconds."""
    async with pool.acquire(timeout=2) as connection:
        await connection.fetchval("select 1", timeout=2)
