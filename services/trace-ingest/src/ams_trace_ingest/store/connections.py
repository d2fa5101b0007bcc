"""The writer's connections, and the generation of tables that a transaction works on."""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from ams_contracts.tables import step_payloads, steps, tasks
from ams_kit.db import open_pool
from ams_trace_ingest.store.columns import staging_ddl

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

STAGING = "; ".join(staging_ddl(table) for table in (steps, step_payloads, tasks))

# Everything a writer asks for has an index. A plan that was made while a day was empty prefers to read all of it, and is kept as the day
# grows, until autovacuum has come by: a minute at best, and then each batch of a large task costs more than the one before.
BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

# JIT never pays for statements of milliseconds
SERVER_SETTINGS = {"jit": "off", "idle_in_transaction_session_timeout": "15s", **BY_KEY}

# a replay's sessions name the generation that they build
GENERATION_SETTING = "ams.generation"
_SEARCH_PATH = f"set_config('search_path', coalesce(nullif(current_setting('{GENERATION_SETTING}', true), ''), name), true)"
SET_GENERATION = f"SELECT {_SEARCH_PATH} FROM public.generations WHERE current"
SET_GENERATION_BY_KEY = f"SELECT {_SEARCH_PATH}, set_config('enable_sort', 'off', true) FROM public.generations WHERE current"


# effect and position are one transaction and the log is the truth: a crash of Postgres takes back the last 0.6 s of both (ADR 0032)
REPEATABLE = {"synchronous_commit": "off"}


async def open_writer(
    url: str, *, application: str, size_max: int, repeatable: bool = False, generation: str | None = None
) -> asyncpg.Pool:
    """Open a pool whose connections have the staging tables.

    Args:
        url: As ``ams_writer``.
        application: Shown in ``pg_stat_activity``.
        size_max: Connections at most.
        repeatable: Everything that is written can be read from the log again, from a position in the same transaction: commits do not wait
            for the disk.
        generation: Work on this generation's tables; by default on the current one's.
    """
    settings = {**SERVER_SETTINGS, **(REPEATABLE if repeatable else {}), **({GENERATION_SETTING: generation} if generation else {})}
    return await open_pool(
        url, application=application, size_max=size_max, server_settings=settings, init=_prepare, reset=_nothing_to_reset
    )


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """What a transaction sets goes with it, so the driver's RESET ALL after each would be a round trip for nothing."""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.execute(STAGING)


async def set_generation(connection: Connection, *, may_sort: bool = False) -> str:
    """Set the search path of this transaction to the current generation, or to the one that the session names.

    Args:
        connection: In a transaction.
        may_sort: Otherwise everything in it is looked up by key: the order that a look-up asks for names its index (``store.steps``), and
            no plan may read something else and sort it.

    Returns:
        Its name.

    Raises:
        NotMigratedError: There is none.
    """
    name = await connection.fetchval(SET_GENERATION if may_sort else SET_GENERATION_BY_KEY)
    if name is None:
        raise NotMigratedError
    return name


async def copy_rows(connection: Connection, table: str, rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> None:
    """COPY rows into a table, in binary.

    Raises:
        UnencodableError: A value fits no column of its type; the driver's encoder raises bare TypeError, ValueError and the like.
    """
    try:
        await connection.copy_records_to_table(table, records=rows, columns=list(columns))
    except (TypeError, ValueError, OverflowError) as error:
        raise UnencodableError(f"{type(error).__name__}: {error}") from error


def affected(status: str) -> int:
    """How many rows a statement wrote, by what Postgres says of it: ``INSERT 0 12``."""
    return int(status.rpartition(" ")[2])


class UnencodableError(Exception):
    """A row that the driver cannot write: a data error."""


class NotMigratedError(Exception):
    """The database has no generation of tables: run the migrations."""

    def __init__(self) -> None:
        super().__init__("no current generation of tables: run the migrations")
