"""Reads how long the broker keeps the records of a topic, from the broker's configuration and not from our declaration."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError

from ams_contracts.topics import Topic
from ams_kit.bus.clients import Kafka, make_admin
from ams_kit.bus.cluster import deadline, retry_retriable, stop_quietly
from ams_kit.bus.errors import LogUnavailableError

TIMEOUT_SECONDS = 10.0
RETENTION = "retention.ms"
_NAME, _VALUE = 0, 1  # indexes into an entry of Kafka's DescribeConfigs response


async def describe_topics(admin: AIOKafkaAdminClient, resources: list[ConfigResource]) -> list[Any]:
    """Read configurations of topics.

    Raises:
        UnknownTopicOrPartitionError: The broker does not know a topic. It is retriable: a topic is not known everywhere right after its creation.
    """
    answers: list[Any] = await admin.describe_configs(resources)
    if any(code == UnknownTopicOrPartitionError.errno for answer in answers for code, *_ in answer.resources):
        raise UnknownTopicOrPartitionError
    return answers


async def shortest_retention_ms(kafka: Kafka, topics: Sequence[Topic], *, timeout_seconds: float = TIMEOUT_SECONDS) -> int | None:
    """Read the shortest retention of the topics.

    Args:
        kafka: How to reach Kafka.
        topics: Existing topics.
        timeout_seconds: The limit for the entire call.

    Returns:
        Milliseconds; ``None`` when all topics keep their records without a limit.

    Raises:
        LogUnavailableError: The broker does not answer, or does not know a topic.
    """
    admin: AIOKafkaAdminClient | None = None
    try:
        async with deadline(timeout_seconds, "describe its topics"):
            admin = make_admin(kafka, "ams-retention")
            await admin.start()
            resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, configs={RETENTION: None}) for topic in topics]
            answers = await retry_retriable(partial(describe_topics, admin, resources), seconds=timeout_seconds / 2)
    finally:
        if admin is not None:
            await stop_quietly(admin.close(), "admin")
    found: list[int] = []
    for answer in answers:
        for code, _, _, name, entries in answer.resources:
            value = next((entry[_VALUE] for entry in entries if entry[_NAME] == RETENTION), None)
            if code != 0 or value is None:
                raise LogUnavailableError(f"The log did not return the retention of {name}.")
            found.append(int(value))
    limited = [retention_ms for retention_ms in found if retention_ms >= 0]
    return min(limited, default=None)
