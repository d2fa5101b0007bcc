"""The embedded servers answer, and keep their data."""

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis


async def test_the_embedded_postgres_is_version_18(postgres_admin_url: str) -> None:
    connection = await asyncpg.connect(postgres_admin_url)

    version = await connection.fetchval("show server_version_num")

    await connection.close()
    assert version.startswith("18")


async def test_valkey_refuses_to_forget(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        policy = await client.config_get("maxmemory-policy")

    assert policy["maxmemory-policy"] == "noeviction"


@pytest.mark.timeout(90)
async def test_the_broker_makes_no_topic_by_itself(kafka_bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()

    topics = await admin.list_topics()

    await admin.close()
    assert "ams.never.made" not in topics
