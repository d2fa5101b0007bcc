"""Runs the steps projection over a fixed history, from the position in the database. Tests kill it at failpoints."""

import asyncio
import random
import sys

from tests.builders import BASE_US, NATIVE, batch, beat, document, ended, llm, record, recorded, started

from ams_contracts.events import AgentRegistered, Batch, TaskDeleted
from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord, PartitionBatch
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store.connections import open_writer

CHUNK = 4
PARTITIONS = 3


def history() -> list[list[LogRecord]]:
    """Something of everything, always the same, by partition."""
    values = [
        batch(None, AgentRegistered(event_id="a" * 32, seq=0, at_us=BASE_US, name="planner", version="1")),
        *(batch(n % 5, recorded(n, llm(n, parent_step_id=max(1, n // 2), agent="planner", response_id=f"r{n % 5}"))) for n in range(1, 25)),
        *(batch(8, started(n, document(parent_step_id=n - 1 or None), seq=3 * n), producer=NATIVE) for n in range(1, 10)),
        *(batch(8, beat(n, seq=3 * n + 1, at_us=BASE_US + n), producer=NATIVE) for n in range(1, 10)),
        *(batch(8, ended(n, document(parent_step_id=n - 1 or None), seq=3 * n + 2), producer=NATIVE) for n in range(1, 7)),
        batch(4, TaskDeleted(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")),
        b"nonsense",
        b"more nonsense",
    ]
    random.Random(7).shuffle(values)
    log: list[list[LogRecord]] = [[] for _ in range(PARTITIONS)]
    for value in values:
        number = int(value.task_id[-1], 16) % PARTITIONS if isinstance(value, Batch) and value.task_id else 0
        log[number].append(record(len(log[number]), value, partition=number))
    return log


async def run(url: str) -> None:
    """To the end."""
    pool = await open_writer(url, application="runner", size_max=1)
    projection = StepsProjection(pool)
    stored = await projection.stored(STEPS.name, list(range(PARTITIONS)))
    at = {number: stored[number].next_offset if number in stored else 0 for number in range(PARTITIONS)}
    log = history()
    while slices := [
        PartitionBatch(number, log[number][position : position + CHUNK], position)
        for number, position in at.items()
        if position < len(log[number])
    ]:
        at.update(await projection.apply_together(STEPS.name, slices))
        for one in slices:
            if at[one.partition] == one.expected:
                at[one.partition] = await projection.apply(STEPS.name, one.partition, one.records, one.expected)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
