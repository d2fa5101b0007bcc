from typing import Any

import asyncpg
import pytest
from tests.builders import batch, llm, recorded, records, step_id

from ams_contracts.topics import STEPS
from ams_trace_ingest.projector.apply import StepsProjection

ROOM_EVENTS = 2


class Overloaded(StepsProjection):
    """A projection whose Postgres takes too long for more than two events at once."""

    slow_seconds = 0.1

    async def write(self, connection: Any, reader: Any, **options: Any) -> Any:
        if reader.tally.events > ROOM_EVENTS:
            await connection.execute("SELECT pg_sleep(0.2), pg_terminate_backend(pg_backend_pid())")  # what a transaction timeout does
        return await super().write(connection, reader, **options)


async def test_a_batch_that_postgres_cuts_off_comes_back_in_halves_until_it_fits(pool, store) -> None:
    projection = Overloaded(pool)
    waiting = records(*(batch(number, recorded(number, llm(100))) for number in range(1, 9)))

    for _ in range(2):
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)):
            await projection.apply(STEPS.name, 0, waiting, 0)
    position = await projection.apply(STEPS.name, 0, waiting, 0)

    assert position == 8
    assert {row["step_id"] for row in await store.rows("steps")} == {step_id(number) for number in range(1, 9)}
