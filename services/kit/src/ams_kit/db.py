"""Connections to Postgres: an asyncpg pool with timeouts."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

import asyncpg

from ams_kit.pooler import PoolerError, check_pooler, refused_parameter
from ams_kit.refusal import refuse_to_serve
from ams_kit.telemetry.tracing import watch_postgres

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
    setting: str = "AMS_DATABASE_URL",
    refuse: Callable[[str, str], NoReturn] = refuse_to_serve,
) -> asyncpg.Pool:
    """Create a pool that connects on first use, so that a service starts while Postgres is unavailable.

    Args:
        url: ``postgresql://user:password@host:port/database``.
        application: Shown in ``pg_stat_activity``.
        size_max: The limit of connections.
        server_settings: Further settings of each connection, e.g. ``statement_timeout``.
        init: Runs once on every new connection.
        reset: Runs when a connection returns to the pool, instead of the driver's own round trip (RESET ALL and others).
        setting: The name of the setting that has the address.
        refuse: Ends the process when the first connection leads to a pooler that cannot be used.
    """
    settings = {"application_name": application, "transaction_timeout": TRANSACTION_TIMEOUT, **(server_settings or {})}
    checked = False

    async def connect(*arguments: Any, **options: Any) -> asyncpg.Connection:
        nonlocal checked
        try:
            connection = await asyncpg.connect(*arguments, **options)
        except asyncpg.PostgresError as error:
            if (reason := refused_parameter(error)) is not None:
                refuse(application, f"{setting} {reason}")
            raise
        if not checked:
            try:
                await check_pooler(
                    connection, {"transaction_timeout": TRANSACTION_TIMEOUT}, partial(asyncpg.connect, *arguments, **options)
                )
            except BaseException as error:
                connection.terminate()
                if isinstance(error, PoolerError):
                    refuse(application, f"{setting} {error}")
                raise
            checked = True
        watch_postgres(connection)
        return connection

    return await asyncpg.create_pool(
        url,
        connect=connect,
        min_size=0,
        max_size=size_max,
        timeout=POOL_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        init=init,
        reset=reset,
        server_settings=settings,
    )


async def check_pool(pool: asyncpg.Pool) -> None:
    """Check readiness: Postgres answers within two seconds."""
    async with pool.acquire(timeout=2) as connection:
        await connection.fetchval("select 1", timeout=2)
