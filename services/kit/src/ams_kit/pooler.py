"""Detects a connection pooler between a service and Postgres that breaks what the service relies on.

Services prepare statements, set parameters when they connect, and hold advisory locks of a session. A pooler that gives every transaction another session
(PgBouncer's ``pool_mode = transaction``) breaks all three, some of them without an error.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

ADVICE = "Connect to Postgres itself, or to a pooler in session mode that passes on parameters."
_UNSUPPORTED = "unsupported startup parameter"
_ATTEMPTS = 5

Connect = Callable[[], Awaitable[Any]]


class PoolerError(Exception):
    """There is a pooler that cannot be used. The text continues the name of the setting that has the address."""


async def check_pooler(connection: Any, expected: dict[str, str], another: Connect) -> None:
    """Raise if a new connection leads to an unusable pooler. Costs one statement where there is no pooler.

    Args:
        connection: A new connection of asyncpg, without an open transaction.
        expected: Parameters that it was opened with.
        another: Opens one more connection to the same address.

    Raises:
        PoolerError: It does.
    """
    try:
        # a pooler speaks the protocol itself: the number of the process that it announced to the client is its own invention
        if await _process(connection) == connection.get_server_pid():
            return
        for name, value in expected.items():
            if await connection.fetchval("SELECT current_setting($1, true)", name) != value:
                raise PoolerError(f"leads to a connection pooler that does not pass on the parameter {name}. {ADVICE}")
        shared = await _shares_sessions(connection, another)
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        shared = True  # a statement was prepared in one session and executed in another one
    if shared:
        raise PoolerError(f"leads to a connection pooler in transaction mode. {ADVICE}")


def refused_parameter(error: Exception) -> PoolerError | None:
    """The reason, if it is a pooler that has refused a connection because of its parameters."""
    if isinstance(error, asyncpg.PostgresError) and _UNSUPPORTED in str(error):
        return PoolerError(f"leads to a connection pooler that refuses parameters ({error}). {ADVICE}")
    return None


async def _process(connection: Any) -> int:
    return await connection.fetchval("SELECT pg_backend_pid()")


async def _shares_sessions(connection: Any, another: Connect) -> bool:
    """Whether another client's transaction gets the session of this connection while it is idle."""
    other = await another()
    try:
        for _ in range(_ATTEMPTS):  # other clients of the pooler may take the session first
            mine = await _process(connection)
            async with other.transaction():
                if await _process(other) == mine or await _process(connection) != mine:
                    return True
    finally:
        with suppress(Exception):
            await other.close(timeout=2)
    return False
