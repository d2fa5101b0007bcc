"""The producer: positions, order, sizes and deadlines."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ams_contracts.positions import Position
from ams_kit.bus import Log, LogUnavailableError, Record, RecordTooLargeError, partition_of, ping


async def read(bus, partition: int, count: int) -> list:
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, group_id=None)
    await consumer.start()
    consumer.assign([TopicPartition(bus.topic.name, partition)])
    consumer.seek(TopicPartition(bus.topic.name, partition), 0)
    records = [await consumer.getone() for _ in range(count)]
    await consumer.stop()
    return records


async def test_positions_are_after_their_records_and_in_the_given_order(bus) -> None:
    keys = [b"a", b"b", b"a", b"c", b"a"]
    positions = await bus.log.publish([Record(topic=bus.topic, key=key, value=b"v") for key in keys])

    assert [position.partition for position in positions] == [partition_of(key, 3) for key in keys]
    of_a = [position for position, key in zip(positions, keys, strict=True) if key == b"a"]
    assert of_a == sorted(of_a)
    assert positions[0] == Position(1, partition_of(b"a", 3), 1)


async def test_keys_headers_and_tombstones_arrive_unchanged(bus) -> None:
    await bus.log.publish(
        [
            Record(topic=bus.topic, key=b"k", value=b"\x00\xff", headers=[("v", b"1"), ("raw", b"\xff")]),
            Record(topic=bus.topic, key=b"k", value=None),
        ]
    )

    first, second = await read(bus, partition_of(b"k", 3), 2)

    assert (first.key, first.value, list(first.headers)) == (b"k", b"\x00\xff", [("v", b"1"), ("raw", b"\xff")])
    assert (second.key, second.value) == (b"k", None)


async def test_concurrent_publishes_of_one_key_keep_their_order_across_full_batches(bus) -> None:
    """Without the lock per key, records overtake each other in aiokafka when a partition's batch is full."""

    async def publish(number: int) -> None:
        await bus.log.publish(
            [Record(topic=bus.topic, key=b"k", value=f"{number}:{part}:{'x' * 30_000}".encode()) for part in range(3)], timeout_seconds=30
        )

    await asyncio.gather(*(publish(number) for number in range(150)))

    seen = [tuple(map(int, record.value.split(b":")[:2])) for record in await read(bus, partition_of(b"k", 3), 450)]
    assert seen == [(number, part) for number in range(150) for part in range(3)]


async def test_a_call_with_a_record_over_the_size_limit_publishes_nothing(bus) -> None:
    with pytest.raises(RecordTooLargeError):
        await bus.log.publish(
            [Record(topic=bus.topic, key=b"k", value=b"small"), Record(topic=bus.topic, key=b"k", value=b"x" * bus.topic.record_bytes_max)]
        )

    positions = await bus.log.publish([Record(topic=bus.topic, key=b"k", value=b"x" * 1_048_576)])
    assert positions[0].offset == 1


async def test_every_call_fails_within_its_deadline_while_the_broker_is_down(topic) -> None:
    log = await Log.open("127.0.0.1:1", "down")
    started_at = time.monotonic()
    with pytest.raises(LogUnavailableError) as caught:
        await log.publish([Record(topic=topic, key=b"k", value=b"v")], timeout_seconds=1)
    with pytest.raises(LogUnavailableError):
        await log.check()
    with pytest.raises(LogUnavailableError):
        await ping("127.0.0.1:1")
    await log.close()

    assert time.monotonic() - started_at < 5
    assert caught.value.retry_after_seconds == 1


async def test_a_missing_topic_fails_within_the_deadline(kafka_bootstrap: str, topic) -> None:
    log = await Log.open(kafka_bootstrap, "missing")
    with pytest.raises(LogUnavailableError):
        await log.publish([Record(topic=topic, key=b"k", value=b"v")], timeout_seconds=1)
    await log.close()


async def test_a_cancelled_caller_does_not_block_others(bus) -> None:
    cancelled = asyncio.create_task(bus.log.publish([Record(topic=bus.topic, key=b"k", value=b"1")]))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)

    assert await bus.log.publish([Record(topic=bus.topic, key=b"k", value=b"2")])
    assert not bus.log._locks
