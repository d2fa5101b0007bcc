"""Reads the traces database: one project, one snapshot, the current generation; writes what people configure. Errors are classified by how the caller reacts."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from ams_kit.auth import is_uuid
from ams_kit.db import check_pool, open_pool
from ams_kit.errors import QueryTimeoutError, UnavailableError
from ams_kit.retriable import CONNECTION_LOST, DATABASE_UNAVAILABLE
from ams_kit.telemetry.metrics import QUERIES_FAILED, QUERY_SECONDS

ACQUIRE_SECONDS = 2
BEGIN_ATTEMPTS = 3
Statement = Select[*tuple[Any, ...]]
Change = Insert | Update | Delete
_DIALECT = dialect.dialect()

# One round trip. The project is part of the text because only the simple protocol takes several statements; it is a checked UUID.
_BEGIN = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT set_config('ams.project_id', '{project}', true),
       set_config('search_path', (SELECT quote_ident(name) FROM public.generations WHERE current), true)"""

_BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('ams.project_id', '{project}', true)"

_BEGIN_EVERYWHERE = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('ams.project_id', '', true)"

_INDEX_LOOKUPS_ONLY = "SET LOCAL enable_seqscan = {0}; SET LOCAL enable_hashjoin = {0}; SET LOCAL enable_mergejoin = {0}"


class SnapshotReader:
    """Runs the queries of one transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, statement: Statement) -> list[Any]:
        """All rows. The statement has a LIMIT, or its size is that of one task."""
        text, values = compile_statement(statement)
        return await self._connection.fetch(text, *values)

    async def row(self, statement: Statement) -> Any:
        """The first row, or null."""
        text, values = compile_statement(statement)
        return await self._connection.fetchrow(text, *values)

    async def row_within(self, statement: Statement, timeout_ms: int) -> Any:
        """The first row; null when there is none, or when the query exceeds the timeout. The transaction continues."""
        await self._connection.execute(f"SAVEPOINT in_time; SET LOCAL statement_timeout = {timeout_ms:d}")
        try:
            row = await self.row(statement)
        except asyncpg.QueryCanceledError:
            row = None
        await self._connection.execute("ROLLBACK TO SAVEPOINT in_time; RELEASE SAVEPOINT in_time")  # this restores the timeout, too
        return row

    @asynccontextmanager
    async def index_lookups_only(self) -> AsyncGenerator[None]:
        """Make the planner use index lookups by key for the following statements.

        For a few thousand keys in a partitioned table the planner assumes a lookup of each key in every partition, and chooses a scan of
        the complete table instead.
        """
        await self._connection.execute(_INDEX_LOOKUPS_ONLY.format("off"))
        yield
        await self._connection.execute(_INDEX_LOOKUPS_ONLY.format("on"))

    async def stream(self, statement: Statement, rows_at_once: int) -> AsyncIterator[list[Any]]:
        """All rows, in batches, so that the event loop serves other requests between them."""
        text, values = compile_statement(statement)
        cursor = await self._connection.cursor(text, *values)
        while rows := await cursor.fetch(rows_at_once):
            yield rows


class ProjectWriter(SnapshotReader):
    """Runs the statements of one transaction that changes rows of schema ``app``. Each statement sees what was committed before it."""

    async def change(self, statement: Change) -> int:
        """Run a statement; how many rows it changed.

        Raises:
            asyncpg.UniqueViolationError: Another row has these values.
        """
        text, values = compile_statement(statement)
        return int((await self._connection.execute(text, *values)).rpartition(" ")[2])


class EveryProjectWriter(ProjectWriter):
    """Runs the statements of one transaction for one project after another. Row-level security shows the rows of the one that was entered last."""

    async def enter(self, project_id: str) -> None:
        """Continue in a project."""
        await self._connection.execute("SELECT set_config('ams.project_id', $1, true)", project_id)


def compile_statement(statement: Statement | Change) -> tuple[str, Sequence[Any]]:
    """Compile a statement to text with ``$1`` ... and its values in order."""
    result = statement.compile(dialect=_DIALECT)
    return str(result), [result.params[name] for name in result.positiontup or ()]


class Database:
    """Access to the traces database, for one project at a time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, connections_max: int, statement_timeout_ms: int) -> "Database":
        """Create the pool. It opens no connection yet, so the service also starts while Postgres is unavailable."""
        server_settings = {
            "statement_timeout": str(statement_timeout_ms),
            "plan_cache_mode": "force_custom_plan",  # plans for the given day and project instead of generic ones
            "jit": "off",
            "work_mem": "32MB",  # a skeleton of 100,000 steps sorts 25 MB, which should not spill to disk
        }
        return cls(await open_pool(url, application="ams-trace-query", size_max=connections_max, server_settings=server_settings))

    async def check(self) -> None:
        """A readiness check."""
        await check_pool(self._pool)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def read(self, project_id: str) -> AsyncGenerator[SnapshotReader]:
        """Open a snapshot of one project's rows. Row-level security hides the rows of other projects, even without a WHERE.

        Raises:
            QueryTimeoutError: A query took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet.
        """
        async with self._transaction(_of_project(_BEGIN, project_id)) as connection:
            yield SnapshotReader(connection)

    @asynccontextmanager
    async def write(self, project_id: str) -> AsyncGenerator[ProjectWriter]:
        """Open a transaction that changes what people configured in one project. It is committed at the end, and rolled back by an exception.

        Raises:
            QueryTimeoutError: A statement took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet. The change may have been committed.
        """
        async with self._transaction(_of_project(_BEGIN_WRITE, project_id)) as connection:
            yield ProjectWriter(connection)

    @asynccontextmanager
    async def everywhere(self) -> AsyncGenerator[EveryProjectWriter]:
        """Open a transaction outside of projects, for the queue of alerts and the position of their projection, which belong to none.

        Raises:
            QueryTimeoutError: A statement took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet. The change may have been committed.
        """
        async with self._transaction(_BEGIN_EVERYWHERE) as connection:
            yield EveryProjectWriter(connection)

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncGenerator[Any]:
        connection = await self._begin(begin)
        try:
            with QUERY_SECONDS.time():
                yield connection
                await connection.execute("COMMIT")
        except (asyncpg.QueryCanceledError, asyncpg.TransactionTimeoutError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and error.errno is not None:  # a timeout of the network, not of a query
                raise _unavailable() from error
            QUERIES_FAILED.labels("timeout").inc()
            raise QueryTimeoutError("The query took too long. Narrow the time range or the query.") from error
        except DATABASE_UNAVAILABLE as error:
            raise _unavailable() from error
        finally:
            await self._release(connection)

    async def _begin(self, begin: str) -> Any:
        """A connection with an open transaction. A connection that was closed while it was idle in the pool is replaced: no query was lost."""
        for attempt in range(BEGIN_ATTEMPTS):
            try:
                connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
            except (*DATABASE_UNAVAILABLE, asyncpg.PostgresError) as error:
                raise _unavailable() from error
            try:
                await connection.execute(begin)
            except DATABASE_UNAVAILABLE as error:
                if isinstance(error, CONNECTION_LOST):
                    _terminate(connection)
                await self._release(connection)
                if attempt == BEGIN_ATTEMPTS - 1 or not isinstance(error, CONNECTION_LOST):
                    raise _unavailable() from error
            except BaseException:
                await self._release(connection)
                raise
            else:
                return connection
        raise AssertionError("the last attempt returns or raises")

    async def _release(self, connection: Any) -> None:
        """Release a connection, or terminate it. Suppresses errors of Postgres: the rows were read already, or another error is propagating."""
        try:
            if not connection.is_closed() and connection.is_in_transaction():  # an exception is propagating
                await connection.execute("ROLLBACK")
        except (*DATABASE_UNAVAILABLE, asyncpg.PostgresError):
            _terminate(connection)
        with suppress(*DATABASE_UNAVAILABLE, asyncpg.PostgresError):  # the pool itself terminates a connection that it cannot reset
            await self._pool.release(connection)


def _of_project(begin: str, project_id: str) -> str:
    if not is_uuid(project_id):
        raise ValueError("a project id is a UUID")
    return begin.format(project=project_id)


def _terminate(connection: Any) -> None:
    """Terminate a connection. When it was closed already, the pool has released it, and every call to it raises."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _unavailable() -> UnavailableError:
    QUERIES_FAILED.labels("unavailable").inc()
    return UnavailableError("The database is unavailable. Retry in a few seconds.")
