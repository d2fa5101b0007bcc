"""The rules of the consumer driver, on an in-memory log: what it applies, where it resumes, how it handles failures."""

import time

import pytest
from aiokafka import TopicPartition

from ams_kit.bus.alarms import Alarm
from ams_kit.bus.driver import Driver
from ams_kit.testing.memory_log import MemoryConsumer, MemoryLog, drive, poll
from ams_kit.testing.recording_projection import RecordingProjection

LATER = time.monotonic() + 3_600


class Bench:
    """A driver, its log, its projection and its alarms."""

    def __init__(self) -> None:
        self.log = MemoryLog("t", 2)
        self.projection = RecordingProjection()
        self.alarms: list[Alarm] = []
        self.driver = self.new_driver()

    def new_driver(self) -> Driver:
        return Driver(
            "memory:1", "t", self.projection, "g", raise_alarm=self.alarms.append, clear_alarm=lambda *_: None, failures_to_alarm=2
        )

    async def restart(self) -> MemoryConsumer:
        self.driver = self.new_driver()
        return await drive(self.driver, self.log)

    async def restart_and_poll(self) -> None:
        consumer = await self.restart()
        await poll(self.driver, consumer)

    def values(self) -> list[int]:
        return [int(value) for value in self.projection.values()]

    def append(self, *values: int, partition: int = 0) -> None:
        self.log.append(partition, *(str(value).encode() for value in values))


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_records_are_applied_once_across_a_restart(bench: Bench) -> None:
    bench.append(*range(5))
    await bench.restart_and_poll()
    bench.append(*range(5, 8))
    await bench.restart_and_poll()

    assert bench.values() == list(range(8))


async def test_a_failed_batch_pauses_its_partition_and_is_retried_after_the_backoff(bench: Bench) -> None:
    consumer = await bench.restart()
    bench.append(*range(3))
    bench.projection.failure = OSError("the database is unavailable")
    await poll(bench.driver, consumer)
    partition = TopicPartition("t", 0)

    assert consumer.paused() == {partition}
    assert bench.driver.is_known_stalled(partition, time.monotonic())
    await bench.driver.retry_due(time.monotonic() - 1)
    assert consumer.paused() == {partition}

    bench.projection.failure = None
    await bench.driver.retry_due(LATER)
    assert consumer.paused() == set()
    await poll(bench.driver, consumer)
    assert bench.values() == [0, 1, 2]


async def test_a_partition_that_fails_repeatedly_raises_an_alarm(bench: Bench) -> None:
    consumer = await bench.restart()
    bench.append(1)
    bench.projection.failure = ZeroDivisionError()
    await poll(bench.driver, consumer)
    await bench.driver.retry_due(LATER)

    assert [alarm.kind for alarm in bench.alarms] == ["partition_failing"]


async def test_the_driver_resumes_at_a_moved_position(bench: Bench) -> None:
    consumer = await bench.restart()
    bench.append(*range(4))
    await poll(bench.driver, consumer)
    bench.projection.set_position("t", 0, 2, 1_001)
    bench.append(4)

    await poll(bench.driver, consumer)
    await poll(bench.driver, consumer)

    assert bench.values() == [0, 1, 2, 3, 2, 3, 4]


async def test_records_deleted_before_they_were_applied_are_counted(bench: Bench) -> None:
    bench.append(*range(3))
    await bench.restart_and_poll()
    bench.append(*range(3, 10))
    bench.log.delete_before(0, 8)
    await bench.restart_and_poll()

    assert bench.values() == [0, 1, 2, 8, 9]
    assert [(alarm.kind, alarm.lost_records) for alarm in bench.alarms] == [("records_lost", 5)]


async def test_a_recreated_topic_halts_its_partition(bench: Bench) -> None:
    bench.append(*range(5))
    await bench.restart_and_poll()
    bench.log.recreate()
    bench.append(100)
    consumer = await bench.restart()

    await poll(bench.driver, consumer)

    assert bench.values() == list(range(5))
    assert [alarm.kind for alarm in bench.alarms] == ["topic_recreated"]
    assert consumer.paused() == {TopicPartition("t", 0)}


async def test_partitions_of_one_poll_are_applied_together(bench: Bench) -> None:
    consumer = await bench.restart()
    bench.append(1, partition=0)
    bench.append(2, partition=1)
    await poll(bench.driver, consumer)

    assert sorted(bench.values()) == [1, 2]


async def test_nothing_is_applied_after_draining(bench: Bench) -> None:
    consumer = await bench.restart()
    bench.append(1)
    await bench.driver.drain(1)
    await poll(bench.driver, consumer)

    assert bench.values() == []
