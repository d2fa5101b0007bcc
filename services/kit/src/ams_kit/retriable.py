"""Defines which errors are retriable: the server is temporarily unavailable, whichever client raised the error.

Routes respond with 503, background tasks retry with a short back-off. Every other error is a fault of the platform.
"""

import asyncpg
import httpx
from redis.exceptions import RedisError

from ams_kit.errors import UnavailableError

CONNECTION_LOST: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # not an InterfaceError; raised when a connection ends in the middle of a message
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # Postgres starts, stops, or cancelled the query
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Errors of a query whose connection was lost. The connection can no longer be used."""

DATABASE_UNAVAILABLE: tuple[type[Exception], ...] = (
    *CONNECTION_LOST,
    asyncpg.InsufficientResourcesError,  # the disk is full, or there are too many connections
    asyncpg.PostgresSystemError,
    asyncpg.TransactionTimeoutError,
    asyncpg.TransactionRollbackError,  # a deadlock, or transactions that cannot be serialised
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,  # not migrated yet: a process may start before the migration that it needs
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    TimeoutError,
)
"""Errors of a query while Postgres is unavailable."""

SERVER_UNAVAILABLE: tuple[type[Exception], ...] = (*DATABASE_UNAVAILABLE, RedisError, httpx.TransportError)
"""Errors of all clients while their server is unavailable."""

UNAVAILABLE: tuple[type[Exception], ...] = (*SERVER_UNAVAILABLE, UnavailableError)
"""All retriable errors. Kafka's are included as ``LogUnavailableError``, into which ``ams_kit.bus`` translates them."""


def is_retriable(error: BaseException) -> bool:
    """Whether the same call may succeed later without a change of the platform.

    A group of errors is retriable when all of its members are.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_retriable(member) for member in error.exceptions)
    return isinstance(error, UNAVAILABLE)
