"""The one definition of what is retriable: errors that mean "not now, maybe later", whichever client raised them.

Routes answer them with 503, background tasks retry them with a short back-off. Everything else is a fault of the platform.
"""

import asyncpg
import httpx
from redis.exceptions import RedisError

from ams_kit.errors import UnavailableError

CONNECTION_LOST: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # derives from Exception alone; raised when a connection ends in the middle of a message
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # Postgres starts, stops, or cancelled the query
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a query raises when its connection is gone. The connection is of no use any more."""

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
"""What a query raises when Postgres cannot answer now."""

SERVER_UNAVAILABLE: tuple[type[Exception], ...] = (*DATABASE_UNAVAILABLE, RedisError, httpx.TransportError)
"""What the clients of all servers raise when their server cannot answer now."""

UNAVAILABLE: tuple[type[Exception], ...] = (*SERVER_UNAVAILABLE, UnavailableError)
"""All of them. Errors of Kafka are among them as ``LogUnavailableError``: ``ams_kit.bus`` translates them."""


def is_retriable(error: BaseException) -> bool:
    """Whether the same call may succeed later, without any change of the platform.

    A group of errors is retriable when each of its members is.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_retriable(member) for member in error.exceptions)
    return isinstance(error, UNAVAILABLE)
