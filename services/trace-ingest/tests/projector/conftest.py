import asyncio
import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tests import configured

from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord
from ams_trace_ingest.migrations.upgrade import upgrade
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store.connections import open_writer

TABLES = (
    "positions",
    "task_days",
    "tasks",
    "steps",
    "step_payloads",
    "step_text",
    "media",
    "task_media",
    "task_producers",
    "scores",
    "step_logs",
    "step_log_counts",
    "hourly_rollups",
    "rollup_values",
    "agents",
    "response_claims",
    "response_claims_overflow",
    "remapped",
    "deleted_tasks",
    "dead_letters",
)
OUTSIDE = (  # of the generations
    "public.retention",
    "public.retention_runs",
    "public.backups",
    "app.project_settings",
    "app.deleted_projects",
    *configured.TABLES,
)
EMPTY = "; ".join(
    f"DELETE FROM {table}" for table in (*(f"g1.{table}" for table in TABLES), *OUTSIDE)
)  # TRUNCATE would recreate the files of every partition


@pytest.fixture(scope="session")
def traces_template(postgres_admin_url: str) -> Iterator[str]:
    """The URL of a migrated database of this run."""
    name = f"projector_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    url = f"{postgres_admin_url.rsplit('/', 1)[0]}/{name}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres_admin_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        await upgrade(url)

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_admin_url)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()

    asyncio.run(make())
    yield url
    asyncio.run(drop())


@pytest_asyncio.fixture
async def traces_url(traces_template: str) -> str:
    """The same with all tables empty."""
    connection = await asyncpg.connect(traces_template)
    await connection.execute(EMPTY)
    await connection.close()
    return traces_template


class Store:
    """What the tables hold."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rows(self, table: str, *, without: Sequence[str] = ()) -> list[dict[str, Any]]:
        found = [
            {key: value for key, value in dict(row).items() if key not in without}
            for row in await self.connection.fetch(f"SELECT * FROM {table if '.' in table else f'g1.{table}'}")
        ]
        return sorted(found, key=repr)

    async def task(self, task: str) -> dict[str, Any]:
        row = await self.connection.fetchrow("SELECT * FROM g1.tasks WHERE task_id = $1", task)
        assert row is not None
        return dict(row)

    async def step(self, step: str) -> dict[str, Any]:
        row = await self.connection.fetchrow("SELECT * FROM g1.steps WHERE step_id = $1", step)
        assert row is not None
        return dict(row)

    async def empty(self) -> None:
        await self.connection.execute(EMPTY)

    async def everything(self) -> dict[str, list[dict[str, Any]]]:
        """What must not depend on how the log was cut into batches."""
        found = {table: await self.rows(table) for table in TABLES}
        for row in found["positions"]:  # an event before its task's deletion was projected, unless one batch held both
            row["events"] = row.pop("projected") + row.pop("duplicate") + row.pop("dead") + sum(json.loads(row.pop("ignored")).values())
        return found

    async def account(self, projection: str = "steps") -> dict[str, int]:
        """What became of the events, all partitions together, as it is stored."""
        total: Counter[str] = Counter()
        for row in await self.rows("positions"):
            if row["projection"] == projection:
                total.update(projected=row["projected"], duplicate=row["duplicate"], dead=row["dead"])
                total.update({f"ignored {reason}": count for reason, count in json.loads(row["ignored"]).items()})
        return {outcome: count for outcome, count in total.items() if count}


@pytest_asyncio.fixture
async def store(traces_url: str) -> AsyncIterator[Store]:
    connection = await asyncpg.connect(traces_url)
    yield Store(connection)
    await connection.close()


@pytest_asyncio.fixture
async def pool(traces_url: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_writer(f"{traces_url}?role=ams_writer", application="test", size_max=4)
    yield pool
    await pool.close()


class Projector:
    """Applies records in order, each call where the one before ended."""

    def __init__(self, projection: StepsProjection) -> None:
        self.projection = projection
        self.position: dict[int, int] = {}

    async def apply(self, records: Sequence[LogRecord], *, expected: int | None = None) -> int:
        partition = records[0].partition
        at = self.position.get(partition, 0) if expected is None else expected
        self.position[partition] = await self.projection.apply(STEPS.name, partition, list(records), at)
        return self.position[partition]


@pytest_asyncio.fixture
async def projector(pool: asyncpg.Pool) -> Projector:
    return Projector(StepsProjection(pool))
