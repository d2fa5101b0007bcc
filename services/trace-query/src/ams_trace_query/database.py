"""Reads the traces database: one project, one snapshot, the current generation, from a replica if there is one; writes what people configure.

Errors are classified by how the caller reacts.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import asyncpg
import structlog
from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from ams_contracts.positions import Position
from ams_contracts.topics import STEPS
from ams_kit.auth import is_uuid
from ams_kit.db import check_pool, open_pool
from ams_kit.errors import QueryTimeoutError, UnavailableError
from ams_kit.retriable import CONNECTION_LOST, DATABASE_UNAVAILABLE
from ams_kit.telemetry.metrics import QUERIES_FAILED, QUERY_SECONDS, REPLICA_READS

ACQUIRE_SECONDS = 2
BEGIN_ATTEMPTS = 3
POSITION_POLL_SECONDS = 0.02
REPLICA_PAUSE_SECONDS = 5.0  # after a failure of the replica the primary serves alone: an address that does not answer costs 2 s a request
Statement = Select[*tuple[Any, ...]]
Change = Insert | Update | Delete
_DIALECT = dialect.dialect()

# One round trip. The project is part of the text because only the simple protocol takes several statements; it is a checked UUID.
_BEGIN = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT set_config('ams.project_id', '{project}', true),
       set_config('search_path', (SELECT quote_ident(name) FROM public.generations WHERE current), true)"""

_BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('ams.project_id', '{project}', true)"

_BEGIN_EVERYWHERE = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('ams.project_id', '', true)"

# how many of the wanted positions the snapshot has
_REACHED = """SELECT count(*) FROM unnest($1::integer[], $2::bigint[]) AS wanted (partition, next_offset)
JOIN positions p ON p.projection = 'steps' AND p.topic = $3 AND p.partition = wanted.partition AND p.next_offset >= wanted.next_offset"""

_INDEX_LOOKUPS_ONLY = "SET LOCAL enable_seqscan = {0}; SET LOCAL enable_hashjoin = {0}; SET LOCAL enable_mergejoin = {0}"


logger = structlog.get_logger(__name__)


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


class _Session(NamedTuple):
    """A connection with an open transaction, and the pool that it returns to."""

    pool: asyncpg.Pool
    connection: Any


class Replica:
    """A standby that serves reads."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self._paused_until = 0.0

    def is_paused(self) -> bool:
        """Whether it has failed a moment ago."""
        return time.monotonic() < self._paused_until

    def pause(self) -> None:
        """Let the primary serve for a while."""
        self._paused_until = time.monotonic() + REPLICA_PAUSE_SECONDS
        logger.warning("the replica is unavailable; the primary serves its reads")


class Database:
    """Access to the traces database, for one project at a time."""

    def __init__(
        self, pool: asyncpg.Pool, replica: Replica | None = None, *, wait_seconds: float = 1.0, at_least: Sequence[Position] = ()
    ) -> None:
        self._pool = pool
        self._replica = replica
        self._wait_seconds = wait_seconds
        self._at_least = at_least

    @classmethod
    async def open(
        cls, url: str, *, connections_max: int, statement_timeout_ms: int, read_url: str = "", read_wait_seconds: float = 1.0
    ) -> "Database":
        """Create the pools. They open no connection yet, so the service also starts while Postgres is unavailable.

        Args:
            url: Of the primary.
            connections_max: Of each pool.
            statement_timeout_ms: After which a query fails.
            read_url: Of a standby that serves reads; empty: the primary does.
            read_wait_seconds: The longest wait for a position.
        """
        server_settings = {
            "statement_timeout": str(statement_timeout_ms),
            "plan_cache_mode": "force_custom_plan",  # plans for the given day and project instead of generic ones
            "jit": "off",
            "work_mem": "32MB",  # a skeleton of 100,000 steps sorts 25 MB, which should not spill to disk
        }

        async def pool_of(address: str, setting: str) -> asyncpg.Pool:
            return await open_pool(
                address, application="ams-trace-query", size_max=connections_max, server_settings=server_settings, setting=setting
            )

        replica = Replica(await pool_of(read_url, "AMS_READ_DATABASE_URL")) if read_url else None
        return cls(await pool_of(url, "AMS_DATABASE_URL"), replica, wait_seconds=read_wait_seconds)

    def at_least(self, positions: Sequence[Position]) -> "Database":
        """The same database, whose snapshots have everything before these positions of the steps topic. Positions of another version are ignored."""
        wanted = [position for position in positions if position.version == STEPS.version]
        return Database(self._pool, self._replica, wait_seconds=self._wait_seconds, at_least=wanted)

    def on_primary(self) -> "Database":
        """The same database without its replica: for what has no position, and must be there as soon as it was written."""
        return Database(self._pool, wait_seconds=self._wait_seconds, at_least=self._at_least)

    async def check(self) -> None:
        """A readiness check, of the primary: without the replica it serves everything."""
        await check_pool(self._pool)

    async def close(self) -> None:
        if self._replica is not None:
            await self._replica.pool.close()
        await self._pool.close()

    @asynccontextmanager
    async def read(self, project_id: str) -> AsyncGenerator[SnapshotReader]:
        """Open a snapshot of one project's rows. Row-level security hides the rows of other projects, even without a WHERE.

        Raises:
            QueryTimeoutError: A query took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet; or it does not have the positions in time.
        """
        async with self._transaction(self._begin_read, _of_project(_BEGIN, project_id)) as connection:
            yield SnapshotReader(connection)

    @asynccontextmanager
    async def write(self, project_id: str) -> AsyncGenerator[ProjectWriter]:
        """Open a transaction that changes what people configured in one project. It is committed at the end, and rolled back by an exception.

        Raises:
            QueryTimeoutError: A statement took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet. The change may have been committed.
        """
        async with self._transaction(self._begin_on_primary, _of_project(_BEGIN_WRITE, project_id)) as connection:
            yield ProjectWriter(connection)

    @asynccontextmanager
    async def everywhere(self) -> AsyncGenerator[EveryProjectWriter]:
        """Open a transaction outside of projects, for the queue of alerts and the position of their projection, which belong to none.

        Raises:
            QueryTimeoutError: A statement took longer than the statement timeout.
            UnavailableError: Postgres is unavailable, out of resources, or not migrated yet. The change may have been committed.
        """
        async with self._transaction(self._begin_on_primary, _BEGIN_EVERYWHERE) as connection:
            yield EveryProjectWriter(connection)

    @asynccontextmanager
    async def _transaction(self, open_session: Callable[[str], Awaitable[_Session]], begin: str) -> AsyncGenerator[Any]:
        try:
            session = await open_session(begin)
        except UnavailableError:
            QUERIES_FAILED.labels("unavailable").inc()
            raise
        try:
            with QUERY_SECONDS.time():
                yield session.connection
                await session.connection.execute("COMMIT")
        except (asyncpg.QueryCanceledError, asyncpg.TransactionTimeoutError, TimeoutError) as error:
            if isinstance(error, TimeoutError) and error.errno is not None:  # a timeout of the network, not of a query
                QUERIES_FAILED.labels("unavailable").inc()
                raise _unavailable() from error
            QUERIES_FAILED.labels("timeout").inc()
            raise QueryTimeoutError("The query took too long. Narrow the time range or the query.") from error
        except DATABASE_UNAVAILABLE as error:
            if self._replica is not None and session.pool is self._replica.pool and isinstance(error, CONNECTION_LOST):
                self._replica.pause()  # the client asks again, and the primary answers
            QUERIES_FAILED.labels("unavailable").inc()
            raise _unavailable() from error
        finally:
            await self._release(session)

    async def _begin_on_primary(self, begin: str) -> _Session:
        return await self._begin(self._pool, begin)

    async def _begin_read(self, begin: str) -> _Session:
        """A snapshot with the wanted positions: of the replica if it has them in time, else of the primary."""
        wait_seconds = self._wait_seconds
        if self._replica is not None and not self._replica.is_paused():
            try:
                began = time.monotonic()
                session = await self._begin_at(self._replica.pool, begin, wait_seconds)
            except UnavailableError:
                self._replica.pause()
                REPLICA_READS.labels("unavailable").inc()
            else:
                if session is not None:
                    REPLICA_READS.labels("waited" if time.monotonic() - began > POSITION_POLL_SECONDS else "served").inc()
                    return session
                REPLICA_READS.labels("behind").inc()
                wait_seconds = 0
        session = await self._begin_at(self._pool, begin, wait_seconds)
        if session is None:
            raise UnavailableError("The tables do not have this position yet. Retry in a second.", code="position_ahead")
        return session

    async def _begin_at(self, pool: asyncpg.Pool, begin: str, wait_seconds: float) -> _Session | None:
        """A snapshot with the wanted positions; null when there is none in time."""
        deadline = time.monotonic() + wait_seconds
        while True:
            session = await self._begin(pool, begin)
            if not self._at_least:
                return session
            partitions, offsets = zip(*((position.partition, position.offset) for position in self._at_least), strict=True)
            reached = 0
            try:
                reached = await session.connection.fetchval(_REACHED, partitions, offsets, STEPS.name)
            except DATABASE_UNAVAILABLE as error:
                raise _unavailable() from error
            finally:
                if reached < len(self._at_least):
                    await self._release(session)
            if reached == len(self._at_least):
                return session
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def _begin(self, pool: asyncpg.Pool, begin: str) -> _Session:
        """A connection with an open transaction. A connection that was closed while it was idle in the pool is replaced: no query was lost."""
        for attempt in range(BEGIN_ATTEMPTS):
            try:
                session = _Session(pool, await pool.acquire(timeout=ACQUIRE_SECONDS))
            except (*DATABASE_UNAVAILABLE, asyncpg.PostgresError) as error:
                raise _unavailable() from error
            try:
                await session.connection.execute(begin)
            except DATABASE_UNAVAILABLE as error:
                if isinstance(error, CONNECTION_LOST):
                    _terminate(session.connection)
                await self._release(session)
                if attempt == BEGIN_ATTEMPTS - 1 or not isinstance(error, CONNECTION_LOST):
                    raise _unavailable() from error
            except BaseException:
                await self._release(session)
                raise
            else:
                return session
        raise AssertionError("the last attempt returns or raises")

    async def _release(self, session: _Session) -> None:
        """Release a connection, or terminate it. Suppresses errors of Postgres: the rows were read already, or another error is propagating."""
        connection = session.connection
        try:
            if not connection.is_closed() and connection.is_in_transaction():  # an exception is propagating
                await connection.execute("ROLLBACK")
        except (*DATABASE_UNAVAILABLE, asyncpg.PostgresError):
            _terminate(connection)
        with suppress(*DATABASE_UNAVAILABLE, asyncpg.PostgresError):  # the pool itself terminates a connection that it cannot reset
            await session.pool.release(connection)


def _of_project(begin: str, project_id: str) -> str:
    if not is_uuid(project_id):
        raise ValueError("a project id is a UUID")
    return begin.format(project=project_id)


def _terminate(connection: Any) -> None:
    """Terminate a connection. When it was closed already, the pool has released it, and every call to it raises."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


def _unavailable() -> UnavailableError:
    return UnavailableError("The database is unavailable. Retry in a few seconds.")
