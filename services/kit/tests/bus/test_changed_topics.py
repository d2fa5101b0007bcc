"""A topic that is truncated, recreated, repartitioned or missing raises an alarm, and the consumer skips no record silently."""

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.new_partitions import NewPartitions
from tests.conditions import until

from ams_contracts.topics import Topic
from ams_kit.bus import Consumer, Log, Record, create_topics, partition_of
from ams_kit.testing.recording_projection import RecordingProjection


async def test_records_deleted_before_they_were_applied_are_counted_and_raise_an_alarm(bus) -> None:
    partition = partition_of(b"k", 3)
    await bus.publish(*range(3))
    async with bus.consumer():
        await bus.applied(3)
    await bus.publish(*range(3, 10))
    async with bus.admin() as admin:
        await admin.delete_records({TopicPartition(bus.topic.name, partition): RecordsToDelete(before_offset=8)})

    async with bus.consumer():
        await bus.applied(5)

    alarm = await bus.alarm("records_lost")
    assert (alarm.partition, alarm.lost_records) == (partition, 5)
    assert [int(value) for value in bus.projection.values()] == [0, 1, 2, 8, 9]


async def test_a_recreated_shorter_topic_raises_an_alarm_and_nothing_is_skipped(bus) -> None:
    await bus.publish(*range(10))
    async with bus.consumer():
        await bus.applied(10)
    await bus.recreate()
    await bus.publish(*range(100, 103))

    async with bus.consumer() as consumer:
        alarm = await bus.alarm("topic_recreated")
        assert alarm.partition == partition_of(b"k", 3)
        assert bus.projection.count() == 10
        bus.projection.set_position(bus.topic.name, alarm.partition, 0, 0)  # the operator resets the position
        await bus.applied(13)
        await until(lambda: not consumer.alarms)


async def test_a_recreated_longer_topic_raises_an_alarm(bus) -> None:
    await bus.publish(*range(10))
    async with bus.consumer():
        await bus.applied(10)
    await bus.recreate()
    await bus.publish(*range(100, 130))

    async with bus.consumer():
        await bus.alarm("topic_recreated")
        assert bus.projection.count() == 10


async def test_a_running_consumer_notices_a_recreated_topic(bus) -> None:
    async with bus.consumer():
        await bus.publish(*range(10))
        await bus.applied(10)

        await bus.recreate()
        await bus.publish(*range(100, 103))

        await bus.alarm("topic_recreated")
        assert bus.projection.count() == 10


async def test_a_changed_number_of_partitions_raises_an_alarm(bus) -> None:
    async with bus.admin() as admin:
        await admin.create_partitions({bus.topic.name: NewPartitions(4)})

    async with bus.consumer():
        alarm = await bus.alarm("partition_count_changed")

    assert alarm.partition is None
    assert [alarm.kind for alarm in await create_topics(bus.bootstrap, topics=[bus.topic])] == ["partition_count_changed"]


async def test_a_consumer_waits_for_a_missing_topic(kafka_bootstrap: str, topic: Topic) -> None:
    projection, alarms = RecordingProjection(), []
    consumer = Consumer(kafka_bootstrap, f"g-{topic.name}", topic, projection, on_alarm=alarms.append)
    await consumer.start()
    await until(lambda: [alarm.kind for alarm in alarms] == ["topic_missing"])

    await create_topics(kafka_bootstrap, topics=[topic])
    log = await Log.open(kafka_bootstrap, "late")
    await log.publish([Record(topic=topic, key=b"k", value=b"1")])

    await until(lambda: projection.count() == 1)
    assert consumer.alarms == []
    await consumer.stop()
    await log.close()
