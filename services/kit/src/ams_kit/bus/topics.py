"""Creates missing topics and configures all of them as declared. It does not add partitions, because that would move keys."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ams_contracts.topics import INBOUND, PAYLOADS, STEPS, TOPICS, Topic
from ams_kit.bus.alarms import Alarm
from ams_kit.bus.clients import Kafka, make_admin
from ams_kit.bus.cluster import deadline, partition_counts, retry_retriable, stop_quietly
from ams_kit.bus.errors import LogUnavailableError

TIMEOUT_SECONDS = 20.0
APPEND_TIME = frozenset({STEPS.name, PAYLOADS.name, INBOUND.name})
"""Topics whose records carry the broker's clock: a projection stores it to detect a recreated topic, and intake compares it with a token's expiry."""

logger = structlog.get_logger(__name__)


def topic_config(topic: Topic, *, min_isr: int, append_time: bool | None = None) -> dict[str, str]:
    """Return the broker's configuration for a topic.

    Args:
        topic: The declaration.
        min_isr: In-sync replicas that must have a record before it counts as durable.
        append_time: Whether records carry the broker's clock; by default as ``APPEND_TIME`` says.
    """
    config = {
        "min.insync.replicas": str(min_isr),
        "max.message.bytes": str(topic.record_bytes_max),
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime" if (topic.name in APPEND_TIME if append_time is None else append_time) else "CreateTime",
    }
    if topic.compacted:
        config |= {"min.cleanable.dirty.ratio": "0.2", "max.compaction.lag.ms": "3600000", "segment.ms": "3600000"}
    else:
        config |= {"retention.ms": str(topic.retention_ms)}
    return config


async def create_topics(
    kafka: Kafka,
    *,
    replication: int = 1,
    min_isr: int = 1,
    topics: Sequence[Topic] = TOPICS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Alarm]:
    """Create the missing topics and set the configuration of all of them. Running it again changes nothing.

    Args:
        kafka: How to reach Kafka.
        replication: Replicas of a new topic. An existing topic keeps its own number.
        min_isr: In-sync replicas that must have a record before it counts as durable.
        topics: The declaration.
        timeout_seconds: The limit for the entire call.

    Returns:
        Alarms for topics whose number of partitions is not the declared one.

    Raises:
        LogUnavailableError: The broker does not answer, or refuses.
    """
    admin: AIOKafkaAdminClient | None = None
    try:
        async with deadline(timeout_seconds, "create its topics"):
            admin = make_admin(kafka, "ams-topics")
            await admin.start()
            found = await partition_counts(kafka, [topic.name for topic in topics])
            configs = {topic.name: topic_config(topic, min_isr=min_isr) for topic in topics}
            existing = await _create(admin, [topic for topic in topics if topic.name not in found], configs, replication)
            await _configure(admin, {name: configs[name] for name in [*found, *existing]})
    finally:
        if admin is not None:
            await stop_quietly(admin.close(), "admin")
    alarms = [
        partition_count_alarm(topic, found[topic.name]) for topic in topics if found.get(topic.name, topic.partitions) != topic.partitions
    ]
    for alarm in alarms:
        logger.critical("topic differs from its declaration", topic=alarm.topic, detail=alarm.detail)
    return alarms


def partition_count_alarm(topic: Topic, found: int) -> Alarm:
    """Build the alarm for a changed number of partitions.

    Keys have moved to other partitions: the order of a task's records across the change is lost, and stored positions refer to other keys.
    """
    return Alarm(
        kind="partition_count_changed",
        topic=topic.name,
        detail=f"The topic has {found} partitions instead of {topic.partitions}. Declare a new version and replay.",
    )


async def _create(
    admin: AIOKafkaAdminClient, missing: Sequence[Topic], configs: Mapping[str, dict[str, str]], replication: int
) -> list[str]:
    """Create topics. Returns those that exist already: metadata does not list a topic at once after its creation."""
    existing: list[str] = []
    if not missing:
        return existing
    new = [NewTopic(topic.name, topic.partitions, replication, topic_configs=configs[topic.name]) for topic in missing]
    answer: Any = await retry_retriable(lambda: admin.create_topics(new))
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            logger.info("topic created", topic=name)
        elif error is TopicAlreadyExistsError:
            existing.append(name)
        else:
            raise LogUnavailableError(f"The log did not create {name}: {error.__name__} {rest[0] if rest and rest[0] else ''}".rstrip())
    return existing


async def _configure(admin: AIOKafkaAdminClient, configs: Mapping[str, dict[str, str]]) -> None:
    if not configs:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=config) for name, config in configs.items()]
    answers: list[Any] = await retry_retriable(lambda: admin.alter_configs(resources))
    for answer in answers:
        for code, message, _, name in answer.resources:
            if code != 0:
                error: type[KafkaError] = for_code(code)
                raise LogUnavailableError(f"The log did not configure {name}: {error.__name__} {message or ''}".rstrip())
