"""Pins the internals of aiokafka that ADR 0060 relies on, so that a version that changes them fails here first."""

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator


async def test_the_coordinator_has_the_attributes_that_the_membership_reads(bus) -> None:
    consumer = AIOKafkaConsumer(bus.topic.name, bootstrap_servers=bus.bootstrap, group_id=bus.group, group_instance_id="0")
    await consumer.start()
    try:
        coordinator = consumer._coordinator
        assert isinstance(coordinator, GroupCoordinator)
        assert coordinator._group_instance_id == "0"
        assert isinstance(coordinator.member_id, str)
        assert coordinator.group_id == bus.group
        assert callable(coordinator.reset_generation)
    finally:
        await consumer.stop()
