"""A topic of a real broker for one test, and the answer of the platform that names it."""

import asyncio
import secrets
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from ams_contracts.claims import InboundGrant, KafkaAddress, KafkaSecurity
from ams_contracts.topics import INBOUND, Topic
from ams_kit.bus import create_topics

PROJECT = "01890000-0000-7000-8000-000000000000"
PARTITIONS = 3
EXPIRES_IN = 3_600


def offer_kafka(intake: Any, bootstrap: str, *, expires_in: int = EXPIRES_IN) -> str:
    """Let ``POST /api/auth/token`` of the fake intake name a new topic; its name."""
    name = f"sdk.{secrets.token_hex(8)}.v1"
    topic = Topic(name=name, version=1, partitions=PARTITIONS, record_bytes_max=INBOUND.record_bytes_max)
    asyncio.run(create_topics(bootstrap, topics=[topic]))
    answer_with(intake, bootstrap, name, KafkaSecurity(protocol="PLAINTEXT"), expires_in=expires_in)
    return name


def answer_with(intake: Any, bootstrap: str, topic: str, security: KafkaSecurity, *, expires_in: int = EXPIRES_IN) -> None:
    """Let ``POST /api/auth/token`` of the fake intake name a broker."""
    grant = InboundGrant(
        access_token="signed.by.identity",
        expires_in=expires_in,
        project_id=PROJECT,
        key_id="k" * 16,
        kafka=KafkaAddress(bootstrap=bootstrap, topic=topic, security=security),
    )
    answer = type(intake).Answer(200, {}, msgspec.json.encode(grant))
    intake.grant = lambda _: answer


def read_topic(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic, by partition and offset."""
    return asyncio.run(_read(bootstrap, topic))


async def _read(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    # by a subscription: a topic that is assigned by hand right after its creation stays unknown to the client for minutes
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        records: list[ConsumerRecord] = []
        while len(records) < sum(ends.values()):
            for found in (await consumer.getmany(timeout_ms=500)).values():
                records += found
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()
