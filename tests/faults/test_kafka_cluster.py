"""Three brokers with TLS, SCRAM and access control. Each is killed under load in turn, so the controllers' leader is, too."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError
from tests.client import Account
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.installation import Platform, until
from tests.kafka_cluster import NODES, Cluster

from ams_contracts.topics import INBOUND, STEPS
from ams_kit.bus import create_topics
from ams_kit.bus.clients import make_producer
from ams_kit.kafka_settings import KafkaSettings
from ams_local.kubernetes import render

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(900)]
PLATFORM = "platform"
CANARY_SECONDS = 120


def rights() -> dict[str, list[dict[str, Any]]]:
    """User -> access rights, as the chart gives them to the services and to agents."""
    users = [one for one in render("--set", "kafka.strimzi.enabled=true") if one["kind"] == "KafkaUser"]
    return {one["metadata"]["name"]: one["spec"]["authorization"]["acls"] for one in users}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with the chart's users, and one user with the rights of all services: ``ams up`` runs them as one."""
    given = rights()
    one = Cluster(tmp_path_factory.mktemp("kafka") / "cluster", [*given, PLATFORM])
    try:
        one.format()
        for node in NODES:
            one.start(node)

        async def prepare() -> None:
            await one.until_in_sync()
            for user, acls in given.items():
                await one.allow(user, acls)
                if user != "ams-agents":
                    await one.allow(PLATFORM, acls)
            await one.allow(PLATFORM, given["ams-agents"])

        asyncio.run(prepare())
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="module")
def on_cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = {
        "AMS_KAFKA_TLS": "true",
        "AMS_KAFKA_TLS_CA_FILE": str(cluster.ca_file),
        "AMS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "AMS_KAFKA_SASL_USER": PLATFORM,
        "AMS_KAFKA_SASL_PASSWORD": cluster.users[PLATFORM],
        "AMS_TOPIC_REPLICATION": "3",
        "AMS_TOPIC_MIN_ISR": "2",
    }
    one = Platform(tmp_path_factory.mktemp("platform") / "data", "--kafka", cluster.bootstrap, settings=settings)
    try:
        yield one.start()
    finally:
        one.stop()


def test_each_broker_dies_under_load_and_nothing_is_lost_or_doubled(cluster: Cluster, on_cluster: Platform) -> None:
    project = Account(on_cluster.url).project()
    asyncio.run(cluster.until_in_sync())
    with Load(project) as load:
        until(lambda: load.ledger.count > 100, CANARY_SECONDS, "some load")
        for node in NODES:
            cluster.kill(node)
            load.canary()
            before = load.ledger.count
            until(lambda before=before: load.ledger.count > before + 100, CANARY_SECONDS, "load with two brokers")
            cluster.start(node)
            asyncio.run(cluster.until_in_sync())
        load.canary()
    check_ledger(project, load)
    print(
        f"\n{load.ledger.count} spans acknowledged, sent again for {dict(load.ledger.again)}; longest refusal "
        f"{load.ledger.longest_refusal_seconds:.1f} s; load average {os.getloadavg()[0]:.1f}"
    )
    assert load.ledger.wrong == []
    assert "500" not in load.ledger.again


async def publish(settings: KafkaSettings, topic: str) -> None:
    producer = make_producer(settings, "test")
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"not a batch", key=b"nobody:nothing")
    finally:
        await producer.stop()


async def test_agents_may_write_the_inbound_topic_and_nothing_else(cluster: Cluster, on_cluster: Platform) -> None:
    agents = cluster.settings("ams-agents")
    await publish(agents, INBOUND.name)
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        await publish(agents, STEPS.name)


async def test_a_service_that_only_reads_may_not_write(cluster: Cluster, on_cluster: Platform) -> None:
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        await publish(cluster.settings("ams-live-gateway"), STEPS.name)


@pytest.mark.parametrize(
    "changes",
    [
        {"sasl_password": "wrong"},
        {"sasl_mechanism": "", "sasl_user": "", "sasl_password": ""},
        {"tls_ca_file": ""},
        {"tls": False, "tls_ca_file": ""},
    ],
    ids=["wrong password", "no password", "unknown CA", "no TLS"],
)
async def test_a_client_that_is_not_known_or_does_not_know_the_brokers_gets_no_connection(
    cluster: Cluster, changes: dict[str, Any]
) -> None:
    with pytest.raises((KafkaConnectionError, TimeoutError)):
        async with asyncio.timeout(20):
            await publish(cluster.settings(PLATFORM, **changes), STEPS.name)


@pytest.fixture(scope="module")
def topics(cluster: Cluster) -> None:
    """As the platform makes them, for tests that need nothing else of it."""
    asyncio.run(create_topics(cluster.settings(PLATFORM), replication=3, min_isr=2, timeout_seconds=CANARY_SECONDS))


async def test_a_client_with_a_token_has_the_rights_of_its_subject(cluster: Cluster, topics: None) -> None:
    with cluster.tokens as server:
        server.subject = "ams-agents"
        credentials = {"sasl_mechanism": "OAUTHBEARER", "sasl_user": server.client, "oauth_token_url": server.url}
        by_token = cluster.settings("ams-agents", **credentials, sasl_password=server.secret)
        await publish(by_token, INBOUND.name)
        with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
            await publish(by_token, STEPS.name)
        with pytest.raises((KafkaConnectionError, TimeoutError)):
            async with asyncio.timeout(20):
                await publish(cluster.settings("ams-agents", **credentials, sasl_password="wrong"), INBOUND.name)


async def test_a_client_with_a_certificate_has_the_rights_of_its_name(cluster: Cluster, topics: None) -> None:
    by_certificate = cluster.settings_by_certificate("ams-agents")
    await cluster.allow("CN=ams-agents", rights()["ams-agents"])
    await publish(by_certificate, INBOUND.name)
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        await publish(by_certificate, STEPS.name)
    with pytest.raises((KafkaConnectionError, TimeoutError)):
        async with asyncio.timeout(20):
            await publish(msgspec.structs.replace(by_certificate, tls_cert_file="", tls_key_file=""), INBOUND.name)
