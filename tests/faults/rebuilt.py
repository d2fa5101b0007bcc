"""The tables once more, from the log alone, in a database beside: what a replay from the beginning gives."""

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord
from ams_trace_ingest.migrations.upgrade import upgrade
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store.connections import open_writer

# what a task and a step are, without what only the sweeps or a moment's place in the log say
COMPARED = {"tasks": {"seen_at_us"}, "steps": {"seen_at_us"}}
Rows = dict[str, list[dict[str, object]]]


async def rows_of(url: str, project_id: str) -> Rows:
    """Tasks and steps of a project."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table: sorted(
                (
                    {name: value for name, value in dict(row).items() if name not in left_out}
                    for row in await connection.fetch(f"SELECT * FROM g1.{table} WHERE project_id = $1", project_id)
                ),
                key=repr,
            )
            for table, left_out in COMPARED.items()
        }
    finally:
        await connection.close()


async def rebuild(bootstrap: str, admin_url: str, database: str) -> str:
    """Project the whole steps topic into a new database.

    Returns:
        Its URL.
    """
    connection = await asyncpg.connect(admin_url)
    await connection.execute(f"CREATE DATABASE {database}")
    await connection.close()
    url = f"{admin_url.rpartition('/')[0]}/{database}"
    await upgrade(url)
    pool = await open_writer(f"{url}?role=ams_writer", application="rebuild", size_max=1)
    try:
        projection = StepsProjection(pool)
        for partition, records in (await _records(bootstrap)).items():
            if records:
                await projection.apply(STEPS.name, partition, records, 0)
    finally:
        await pool.close()
    return url


async def _records(bootstrap: str) -> dict[int, list[LogRecord]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(STEPS.name, number) for number in range(STEPS.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        found: dict[int, list[LogRecord]] = {tp.partition: [] for tp in places}
        left = {tp: end for tp, end in (await consumer.end_offsets(places)).items() if end}
        while left:
            for tp, batch in (await consumer.getmany(timeout_ms=1_000)).items():
                found[tp.partition] += [
                    LogRecord(
                        topic=one.topic, partition=one.partition, offset=one.offset, key=one.key, value=one.value, headers=one.headers,
                        timestamp_ms=one.timestamp,
                    )
                    for one in batch
                ]  # fmt: skip
                if tp in left and batch[-1].offset + 1 >= left[tp]:
                    del left[tp]
        return found
    finally:
        await consumer.stop()
