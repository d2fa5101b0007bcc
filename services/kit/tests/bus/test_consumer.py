"""A consumer applies every record once and in order, across restarts, outages, rebalances and moved positions."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from prometheus_client import REGISTRY
from tests.conditions import until

from ams_kit.bus import Consumer, LogRecord, PositionMovedError, StoredPosition, partition_of
from ams_kit.testing.recording_projection import RecordingProjection

CHILD = Path(__file__).parent / "consume_child.py"


async def test_records_of_a_key_are_applied_once_and_in_order(bus) -> None:
    async with bus.consumer():
        for first in range(0, 300, 10):
            await asyncio.gather(*(bus.publish(*range(first, first + 10), key=key) for key in ("a", "b", "c", "d")))
        await bus.applied(1_200)

    for key in (b"a", b"b", b"c", b"d"):
        assert [int(value) for value in bus.projection.values(key)] == list(range(300))


async def test_a_new_consumer_resumes_at_the_stored_position_and_not_at_the_committed_offset(bus) -> None:
    await bus.publish(*range(10))
    async with bus.consumer():
        await bus.applied(10)
        await bus.publish(*range(10, 15))
        await bus.applied(15)
    partition = partition_of(b"k", 3)
    bus.projection.set_position(bus.topic.name, partition, 12, 0)

    async with bus.consumer():
        await bus.applied(18)

    assert [int(value) for value in bus.projection.values()] == [*range(15), 12, 13, 14]


async def test_a_position_that_the_database_lost_is_noticed_without_new_records(bus) -> None:
    partition = partition_of(b"k", 3)
    async with bus.consumer():
        await bus.publish(*range(10))
        await bus.applied(10)

        bus.projection.set_position(bus.topic.name, partition, 6, 0)  # like a database that crashed and lost its last commits

        await bus.applied(14)

    assert [int(value) for value in bus.projection.values()] == [*range(10), 6, 7, 8, 9]


class SlowProjection(RecordingProjection):
    """Delays its stored positions until the test sets ``answers``."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Event()

    async def stored(self, topic: str, partitions: list[int]) -> dict[int, StoredPosition]:
        self.asked.set()
        await self.answers.wait()
        return await super().stored(topic, partitions)


@pytest.mark.parametrize("keys", [("k",), ("k", "other")], ids=["one-partition", "two-partitions"])
async def test_a_batch_fetched_before_the_position_moved_back_is_not_applied(bus, keys: tuple[str, ...]) -> None:
    projection = SlowProjection()
    assert len({partition_of(key.encode(), 3) for key in keys}) == len(keys)
    async with bus.consumer(projection) as consumer:
        for key in keys:
            await bus.publish(*range(10), key=key)
        await bus.applied(10 * len(keys), projection)
        client = consumer._driver.consumer
        assert client is not None
        for key in keys:
            projection.set_position(bus.topic.name, partition_of(key.encode(), 3), 6, 0)
        projection.answers.clear()
        projection.asked.clear()
        await projection.asked.wait()  # the consumer verifies its positions and applies no batch until that is done
        await asyncio.gather(*(bus.publish(*range(10, 15), key=key) for key in keys))
        async with asyncio.timeout(20):
            while 15 not in {await client.position(TopicPartition(bus.topic.name, partition_of(key.encode(), 3))) for key in keys}:
                await asyncio.sleep(0.01)
        projection.answers.set()
        await until(lambda: all(len(projection.values(key.encode())) == 19 for key in keys))

    for key in keys:
        assert [int(value) for value in projection.values(key.encode())] == [*range(10), *range(6, 15)]


async def test_lag_is_measured_and_offsets_are_committed_for_tools(bus) -> None:
    partition = partition_of(b"k", 3)
    async with bus.consumer() as consumer:
        await bus.publish(0)
        await bus.applied(1)
        bus.projection.failure = OSError("the database is unavailable")
        await bus.publish(*range(7))
        await until(lambda: consumer.lag().get(partition) is not None and consumer.lag()[partition].records == 7)
        await until(lambda: consumer.lag()[partition].seconds > 1)

        bus.projection.failure = None
        await bus.applied(8)
        await until(lambda: consumer.lag()[partition].records == 0 and consumer.lag()[partition].seconds == 0)

        async def committed() -> int:
            async with bus.admin() as admin:
                offsets = await admin.list_consumer_group_offsets(bus.group)
            return offsets[TopicPartition(bus.topic.name, partition)].offset

        async with asyncio.timeout(10):
            while await committed() != 8:
                await asyncio.sleep(0.05)


async def test_a_database_outage_only_delays_records(bus) -> None:
    async with bus.consumer():
        await bus.publish(*range(5))
        await bus.applied(5)
        bus.projection.failure = OSError("the database is unavailable")
        await bus.publish(*range(5, 10))
        await bus.publish(*range(100), key="other")
        calls = bus.projection.calls
        await until(lambda: bus.projection.calls > calls)
        bus.projection.failure = None
        await bus.applied(110)

    assert [int(value) for value in bus.projection.values(b"k")] == list(range(10))
    assert [int(value) for value in bus.projection.values(b"other")] == list(range(100))


class FailingPartition(RecordingProjection):
    """Fails on one partition until the test changes ``failing``."""

    failing = -1

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        if partition == self.failing:
            raise ZeroDivisionError
        return await super().apply(topic, partition, records, expected)


async def test_a_bug_stops_only_its_partition_and_raises_an_alarm(bus) -> None:
    projection = FailingPartition()
    projection.failing = partition_of(b"bad", 3)
    good = next(f"g{number}" for number in range(100) if partition_of(f"g{number}".encode(), 3) != projection.failing)
    async with bus.consumer(projection, failures_to_alarm=4) as consumer:
        await bus.publish(1, key="bad")
        for number in range(20):
            await bus.publish(number, key=good)
            await bus.applied(number + 1, projection)

        await until(lambda: any(alarm.kind == "partition_failing" for alarm in consumer.alarms), 60)
        projection.failing = -1
        await bus.applied(21, projection)
        await until(lambda: not consumer.alarms)


async def test_a_consumer_with_an_outdated_position_changes_nothing_and_resumes_at_the_stored_one(bus) -> None:
    """Another process moved the position while this consumer owned the partition."""
    partition = partition_of(b"k", 3)
    async with bus.consumer():
        await bus.publish(*range(5))
        await bus.applied(5)
        bus.projection.set_position(bus.topic.name, partition, 8, 0)
        await bus.publish(*range(5, 12))
        await bus.applied(9)

    assert [int(value) for value in bus.projection.values()] == [*range(5), 8, 9, 10, 11]


class FailsHalfWay(RecordingProjection):
    """Commits the first half of a batch and fails, like an interrupted bisection."""

    failures_left = 1

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        if self.failures_left and len(records) > 1:
            self.failures_left -= 1
            await super().apply(topic, partition, records[: len(records) // 2], expected)
            raise OSError
        return await super().apply(topic, partition, records, expected)


def assigned(consumer: Consumer) -> list[int]:
    return sorted(consumer.lag())


def positioned(bus) -> float | None:
    """How often the consumers of the group positioned a partition."""
    return REGISTRY.get_sample_value("ams_consumer_events_total", {"projection": bus.group, "kind": "positioned"})


async def test_two_members_with_one_instance_id_share_the_partitions_without_rebalancing(bus) -> None:
    async with bus.consumer(instance_id="0") as first:
        await bus.publish(*range(10))
        await bus.applied(10)
        async with bus.consumer(instance_id="0") as second:
            await until(lambda: sorted([*assigned(first), *assigned(second)]) == [0, 1, 2] and bool(assigned(first) and assigned(second)))
            shared, assignments = (assigned(first), assigned(second)), positioned(bus)

            for number in range(50):
                await asyncio.gather(*(bus.publish(number, key=key) for key in ("a", "b", "c", "d")))
            await bus.applied(210)
            await until(lambda: all(lag.records == 0 for lag in (*first.lag().values(), *second.lag().values())))

            assert (assigned(first), assigned(second)) == shared
            assert positioned(bus) == assignments
        await until(lambda: assigned(first) == [0, 1, 2])
    assert bus.projection.count() == 210


async def test_the_committed_half_of_a_batch_is_not_applied_again(bus) -> None:
    projection = FailsHalfWay()
    await bus.publish(*range(40))
    async with bus.consumer(projection):
        await bus.applied(40, projection)

    assert [int(value) for value in projection.values()] == list(range(40))


async def test_transaction_markers_and_aborted_records_do_not_stall(bus) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bus.bootstrap, transactional_id=f"t-{bus.topic.name}")
    await producer.start()

    async def transaction(value: int, *, abort: bool = False) -> None:
        await producer.begin_transaction()
        await producer.send_and_wait(bus.topic.name, key=b"k", value=str(value).encode())
        await (producer.abort_transaction() if abort else producer.commit_transaction())

    partition = partition_of(b"k", 3)
    async with bus.consumer() as consumer:
        for value in range(10):
            await transaction(value, abort=value % 3 == 1)
        await bus.applied(7)
        await transaction(99, abort=True)
        await until(lambda: partition in consumer.lag() and consumer.lag()[partition].records == 0)
    await bus.publish(10)
    async with bus.consumer():
        await bus.applied(8)
    await producer.stop()

    assert [int(value) for value in bus.projection.values()] == [0, 2, 3, 5, 6, 8, 9, 10]
    assert bus.alarms == []


@pytest.mark.timeout(180)
async def test_killed_consumers_neither_lose_nor_duplicate_records(bus, tmp_path: Path) -> None:
    """Repeated ``kill -9`` while records arrive."""
    path = tmp_path / "projection.sqlite"
    projection = RecordingProjection(path)
    sent = 0
    for round_number in range(6):
        child = subprocess.Popen([sys.executable, str(CHILD), bus.bootstrap, bus.group, bus.topic.name, str(path)])
        before = projection.count()
        async with asyncio.timeout(30):
            while projection.count() < before + 50 * (round_number < 5):
                await asyncio.gather(*(bus.publish(*range(sent, sent + 5), key=f"key-{key}") for key in range(4)))
                sent += 5
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    async with bus.consumer(projection):
        await bus.applied(sent * 4, projection)

    for key in range(4):
        assert [int(value) for value in projection.values(f"key-{key}".encode())] == list(range(sent))
    projection.close()


async def test_each_record_is_applied_once_while_consumers_join_and_leave_under_load(bus, tmp_path: Path) -> None:
    path = tmp_path / "projection.sqlite"
    projection, second = RecordingProjection(path), RecordingProjection(path)
    sent = 0

    async def load() -> None:
        nonlocal sent
        while True:
            await asyncio.gather(*(bus.publish(sent, key=f"key-{key}") for key in range(6)))
            sent += 1

    loading = asyncio.create_task(load())
    async with bus.consumer(projection):
        for _ in range(2):
            count = projection.count()
            async with bus.consumer(second):
                await until(lambda count=count: projection.count() > count + 100)
            await until(lambda: projection.count() > 0)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await bus.log.close()
        await until(lambda: all(len(projection.values(f"key-{key}".encode())) >= sent for key in range(6)))

    for key in range(6):
        values = [int(value) for value in projection.values(f"key-{key}".encode())]
        assert values == sorted(set(values))
        assert values[:sent] == list(range(sent))


class HangingProjection(RecordingProjection):
    """Does not return from ``apply``."""

    async def apply(self, topic: str, partition: int, records: list[LogRecord], expected: int) -> int:
        await asyncio.Event().wait()
        raise AssertionError


async def test_lag_without_progress_is_reported_as_a_stall(bus) -> None:
    stalled = asyncio.Event()
    async with bus.consumer(HangingProjection(), stalled_after_seconds=2, on_stalled=stalled.set):
        await bus.publish(1)
        async with asyncio.timeout(20):
            await stalled.wait()


async def test_idleness_is_not_a_stall(bus) -> None:
    stalled = asyncio.Event()
    await bus.publish(1)
    async with bus.consumer(stalled_after_seconds=0.5, on_stalled=stalled.set) as consumer:
        await bus.applied(1)
        partition = partition_of(b"k", 3)
        await until(lambda: partition in consumer.lag())
        for number in range(3):
            await bus.publish(number)
            await bus.applied(number + 2)
        assert not stalled.is_set()


def test_the_recording_projection_fulfils_the_ports_contract() -> None:
    """The other tests rely on this fake, so it must behave as ``Projection`` documents."""

    async def run() -> None:
        projection = RecordingProjection()
        record = LogRecord(topic="t", partition=0, offset=4, key=b"k", value=b"v", headers=(), timestamp_ms=9)
        assert await projection.stored("t", [0]) == {}
        with pytest.raises(PositionMovedError):
            await projection.apply("t", 0, [record], 3)
        assert projection.count() == 0
        assert await projection.apply("t", 0, [record], 0) == 5
        assert await projection.stored("t", [0]) == {0: StoredPosition(5, 9)}

    asyncio.run(run())
