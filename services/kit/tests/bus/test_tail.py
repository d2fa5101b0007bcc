"""The tail reads every partition from a given time without a group and misses no record; the backlog reader reads older records."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.new_partitions import NewPartitions

from ams_contracts.topics import Topic
from ams_kit.bus import BacklogDeletedError, BacklogReader, Log, LogRecord, LogUnavailableError, Record, Tail, create_topics, partition_of


async def until(condition, seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def values(records: list[LogRecord], key: str = "k") -> list[int]:
    return [int(record.value or b"") for record in records if record.key == key.encode()]


async def test_records_written_right_after_ready_are_read_in_every_partition(bus) -> None:
    """On a topic that was never read, 24 of 96 records were missed when readiness did not wait for positions."""
    for _ in range(3):
        got: list[LogRecord] = []
        tail = Tail(bus.bootstrap, [bus.topic])
        await tail.start(got.extend)
        await tail.ready()
        await asyncio.gather(*(bus.publish(number, key=f"key-{number}") for number in range(96)))

        await until(lambda got=got: len(got) >= 96)
        await tail.stop()
        assert sorted(int(record.value or b"") for record in got) == list(range(96))


async def test_a_tail_starts_in_the_past_and_is_ready_when_it_has_caught_up(bus) -> None:
    await bus.publish(*range(50))
    got: list[LogRecord] = []
    tail = Tail(bus.bootstrap, [bus.topic], back_seconds=60)
    await tail.start(got.extend)
    await tail.ready()

    assert values(got) == list(range(50))
    assert tail.next_offset(bus.topic.name, partition_of(b"k", 3)) == 50
    assert await tail.end_offset(bus.topic.name, partition_of(b"k", 3)) == 50
    assert tail.is_caught_up
    await tail.stop()


async def test_two_tails_each_read_everything(bus) -> None:
    both: tuple[list[LogRecord], list[LogRecord]] = ([], [])
    tails = [Tail(bus.bootstrap, [bus.topic]) for _ in both]
    for tail, got in zip(tails, both, strict=True):
        await tail.start(got.extend)
        await tail.ready()
    await bus.publish(*range(20))

    await until(lambda: all(len(got) == 20 for got in both))
    for tail in tails:
        await tail.stop()


async def test_a_tail_waits_for_its_topic(kafka_bootstrap: str, topic: Topic) -> None:
    got: list[LogRecord] = []
    tail = Tail(kafka_bootstrap, [topic])
    await tail.start(got.extend)
    with pytest.raises(LogUnavailableError):
        await tail.check()

    await create_topics(kafka_bootstrap, topics=[topic])
    await tail.ready()
    log = await Log.open(kafka_bootstrap, "late")
    await log.publish([Record(topic=topic, key=b"k", value=b"1")])
    await until(lambda: values(got) == [1])
    await tail.stop()
    await log.close()


async def test_new_partitions_are_read_too(bus) -> None:
    got: list[LogRecord] = []
    tail = Tail(bus.bootstrap, [bus.topic], back_seconds=60)
    await tail.start(got.extend)
    await tail.ready()
    async with bus.admin() as admin:
        await admin.create_partitions({bus.topic.name: NewPartitions(6)})
    keys = [f"key-{number}" for number in range(40)]

    async def has_read_new_partition() -> bool:
        for key in keys:
            await bus.publish(1, key=key)
        return any(record.partition >= 3 for record in got)

    async with asyncio.timeout(60):
        while not await has_read_new_partition():
            await asyncio.sleep(0.2)
    assert tail.partitions(bus.topic.name) == 6
    await tail.stop()


async def test_a_recreated_log_resets_the_tail(bus) -> None:
    resets: list[tuple[int, int]] = []
    got: list[LogRecord] = []
    tail = Tail(bus.bootstrap, [bus.topic])
    await tail.start(got.extend, on_reset=lambda _topic, partition, offset: resets.append((partition, offset)))
    await tail.ready()
    assert sorted(resets) == [(0, 0), (1, 0), (2, 0)]
    await bus.publish(*range(10))
    await until(lambda: len(got) == 10)

    await bus.recreate()
    await bus.publish(*range(100, 103))

    await until(lambda: values(got)[10:] == [100, 101, 102])
    assert (partition_of(b"k", 3), 0) in resets[3:]
    await tail.stop()


async def test_the_backlog_reader_returns_the_requested_records_to_each_caller(bus) -> None:
    for first in range(0, 400, 20):
        await asyncio.gather(bus.publish(*range(first, first + 20), key="k"), bus.publish(*range(first, first + 20), key="other"))
    partition, end = partition_of(b"k", 3), 0
    tail = Tail(bus.bootstrap, [bus.topic])
    await tail.start(lambda _: None)
    await tail.ready()
    end = tail.next_offset(bus.topic.name, partition)
    await tail.stop()
    backlog = BacklogReader(bus.bootstrap, bus.topic)

    async def read(after: int) -> list[LogRecord]:
        records: list[LogRecord] = []
        while after < end:
            chunk = await backlog.read(partition, b"k", after, end)
            records += chunk.records
            after = chunk.next_offset
        return records

    everything = await read(0)
    assert values(everything) == list(range(400))
    found = await asyncio.gather(*(read(record.offset) for record in everything[::25]))
    assert [values(records) for records in found] == [list(range(first, 400)) for first in range(0, 400, 25)]
    assert len(backlog._readers) == 1
    await backlog.stop()


async def test_the_backlog_reader_reports_records_that_the_log_has_deleted(bus) -> None:
    partition = partition_of(b"k", 3)
    await bus.publish(*range(10))
    async with bus.admin() as admin:
        await admin.delete_records({TopicPartition(bus.topic.name, partition): RecordsToDelete(before_offset=6)})
    backlog = BacklogReader(bus.bootstrap, bus.topic)

    with pytest.raises(BacklogDeletedError):
        await backlog.read(partition, b"k", 3, 10)
    assert values((await backlog.read(partition, b"k", 6, 10)).records) == [6, 7, 8, 9]
    await backlog.stop()


async def test_the_backlog_reader_does_not_wait_without_a_limit(topic: Topic) -> None:
    backlog = BacklogReader("127.0.0.1:1", topic)
    started_at = time.monotonic()
    with pytest.raises(LogUnavailableError):
        await backlog.read(0, b"k", 0, 5)
    assert time.monotonic() - started_at < 12
    await backlog.stop()
