"""Topics and their AsyncAPI document follow the declaration."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ams_contracts.topics import PAYLOADS, STEPS, TASKS, TOPICS, Topic
from ams_kit.bus import LogUnavailableError, create_topics, shortest_retention_ms
from ams_kit.bus.asyncapi import asyncapi_document, asyncapi_text
from ams_kit.bus.cluster import partition_counts, retry_retriable
from ams_kit.bus.retention import describe_topics
from ams_kit.bus.topics import topic_config

ROOT = Path(__file__).parents[4]


async def configuration(bootstrap: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    [answer] = await retry_retriable(partial(describe_topics, admin, [ConfigResource(ConfigResourceType.TOPIC, name)]))
    await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


async def test_a_topic_is_created_as_declared_and_a_second_call_changes_nothing(kafka_bootstrap: str, topic: Topic) -> None:
    assert await create_topics(kafka_bootstrap, topics=[topic]) == []
    assert await create_topics(kafka_bootstrap, topics=[topic]) == []

    found = await configuration(kafka_bootstrap, topic.name)
    assert await partition_counts(kafka_bootstrap, [topic.name]) == {topic.name: 3}
    assert (found["retention.ms"], found["max.message.bytes"], found["cleanup.policy"], found["min.insync.replicas"]) == (
        str(topic.retention_ms),
        "2097152",
        "delete",
        "1",
    )


async def test_a_changed_declaration_is_applied_to_an_existing_topic(kafka_bootstrap: str, topic: Topic) -> None:
    await create_topics(kafka_bootstrap, topics=[topic])
    await create_topics(kafka_bootstrap, topics=[Topic(name=topic.name, version=1, partitions=3, retention_ms=60_000)])

    assert (await configuration(kafka_bootstrap, topic.name))["retention.ms"] == "60000"


async def test_a_compacted_topic_has_the_compact_policy(kafka_bootstrap: str, topic: Topic) -> None:
    compacted = Topic(name=topic.name, version=1, partitions=1, compacted=True)
    await create_topics(kafka_bootstrap, topics=[compacted])

    assert (await configuration(kafka_bootstrap, topic.name))["cleanup.policy"] == "compact"


async def test_more_replicas_than_brokers_is_an_error(kafka_bootstrap: str, topic: Topic) -> None:
    with pytest.raises(LogUnavailableError, match="InvalidReplicationFactor"):
        await create_topics(kafka_bootstrap, topics=[topic], replication=7)


def test_topics_of_projections_use_the_brokers_clock() -> None:
    assert topic_config(STEPS, min_isr=1)["message.timestamp.type"] == "LogAppendTime"
    assert topic_config(PAYLOADS, min_isr=2)["min.insync.replicas"] == "2"
    assert topic_config(TASKS, min_isr=1)["message.timestamp.type"] == "CreateTime"


@pytest.mark.parametrize(
    ("environ", "code", "message"), [({}, 2, "AMS_KAFKA_BOOTSTRAP"), ({"AMS_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, 75, "KafkaConnectionError")]
)
def test_the_command_reports_an_error_and_exits_with_a_code(environ: dict[str, str], code: int, message: str) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}
    done = subprocess.run(
        [sys.executable, "-m", "ams_kit.bus", "topics"], env=others | environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == code
    assert message in done.stderr


def test_the_command_creates_the_topics(kafka_bootstrap: str) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")}
    done = subprocess.run(
        [sys.executable, "-m", "ams_kit.bus", "topics"],
        env=others | {"AMS_KAFKA_BOOTSTRAP": kafka_bootstrap},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0


def test_the_committed_asyncapi_document_is_current() -> None:
    """To update the file, run: python -m ams_kit.bus asyncapi."""
    assert (ROOT / "contracts" / "asyncapi.json").read_text(encoding="utf-8") == asyncapi_text()


def test_every_reference_in_the_asyncapi_document_resolves() -> None:
    document = asyncapi_document()

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    assert sorted(document["channels"]) == sorted(topic.name for topic in TOPICS)
    for reference in references(document):
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


async def test_the_shortest_retention_is_read_from_the_broker(kafka_bootstrap: str, topic: Topic) -> None:
    longer = Topic(name=f"{topic.name}-longer", version=1, partitions=1, retention_ms=-1)
    await create_topics(kafka_bootstrap, topics=[Topic(name=topic.name, version=1, partitions=3, retention_ms=86_400_000), longer])

    assert await shortest_retention_ms(kafka_bootstrap, [topic, longer]) == 86_400_000
    assert await shortest_retention_ms(kafka_bootstrap, [longer]) is None
    with pytest.raises(LogUnavailableError):
        await shortest_retention_ms(kafka_bootstrap, [Topic(name="no-such-topic", version=1, partitions=1)], timeout_seconds=2)
