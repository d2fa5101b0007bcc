"""The in-memory consumer behaves like aiokafka's consumer on a real broker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from ams_kit.bus import partition_of
from ams_kit.bus.clients import make_consumer
from ams_kit.testing.memory_log import MemoryConsumer, MemoryLog

PARTITION = partition_of(b"k", 3)


@pytest.fixture(params=["memory", "kafka"])
async def consumer(request: pytest.FixtureRequest, bus) -> AsyncIterator[Any]:
    """A consumer of a partition with ten records, of which the first three were deleted."""
    if request.param == "memory":
        log = MemoryLog(bus.topic.name, 3)
        log.append(PARTITION, *(str(number).encode() for number in range(10)))
        log.delete_before(PARTITION, 3)
        yield MemoryConsumer(log)
        return
    await bus.publish(*range(10))
    async with bus.admin() as admin:
        await admin.delete_records({TopicPartition(bus.topic.name, PARTITION): RecordsToDelete(before_offset=3)})
    consumer = make_consumer(bus.bootstrap, "behaviour", auto_offset_reset="earliest")
    await consumer.start()
    yield consumer
    await consumer.stop()


async def values(consumer: Any, count: int) -> list[int]:
    found: list[int] = []
    for _ in range(20):
        for records in (await consumer.getmany(timeout_ms=500, max_records=100)).values():
            found += [int(record.value) for record in records]
        if len(found) >= count:
            break
    return found


async def test_both_consumers_behave_alike(consumer: Any, bus) -> None:
    tp = TopicPartition(bus.topic.name, PARTITION)
    consumer.assign([tp])
    assert consumer.assignment() == {tp}
    assert await consumer.beginning_offsets([tp]) == {tp: 3}
    assert await consumer.end_offsets([tp]) == {tp: 10}
    assert await values(consumer, 7) == [3, 4, 5, 6, 7, 8, 9]
    assert await consumer.position(tp) == 10

    consumer.seek(tp, 8)
    consumer.pause(tp)
    assert await consumer.getmany(timeout_ms=200) == {}
    assert consumer.paused() == {tp}
    consumer.resume(tp)
    assert await values(consumer, 2) == [8, 9]

    consumer.seek(tp, 1)  # deleted: continues at the earliest record
    assert await values(consumer, 7) == [3, 4, 5, 6, 7, 8, 9]
    assert await consumer.offsets_for_times({tp: 99_999_999_999_999}) == {tp: None}
