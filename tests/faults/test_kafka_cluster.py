"""Three brokers with TLS, SCRAM and access control. Each is killed under load in turn, so the controllers' leader is, too; and all of them at once."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError
from tests.client import Account, Project, eventually
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
AGENT = """
import sys
import ams

ams.init(announce=False, exit_seconds=1, request_timeout_seconds=5, backoff_max_seconds=1)
for line in sys.stdin:  # how long to wait for the delivery
    with ams.task("over TLS") as task, ams.tool("search"):
        pass
    result = ams.flush(float(line))
    print(task.task_id, "sent" if result.complete else f"kept {result.pending + result.spooled}: {result.reason}", flush=True)
"""


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


def agent_settings(cluster: Cluster, project: Project, folder: Path) -> dict[str, str]:
    """The environment of a program that publishes as ``ams-agents``, with its spool in ``folder``."""
    return {
        "AMS_ENDPOINT": str(project.http.base_url),
        "AMS_API_KEY": project.key,
        "AMS_TRANSPORT": "kafka",
        "AMS_SPOOL_DIR": str(folder),
        "AMS_KAFKA_TLS_CA_FILE": str(cluster.ca_file),
        "AMS_KAFKA_SASL_USER": "ams-agents",
        "AMS_KAFKA_SASL_PASSWORD": cluster.users["ams-agents"],
    }


class Agent:
    """A running program with the SDK; each call traces a task."""

    def __init__(self, settings: dict[str, str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")} | settings
        self._process = subprocess.Popen(
            [sys.executable, "-c", AGENT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def trace(self, seconds: float) -> tuple[str, str]:
        """Trace a task and wait so long at most for its delivery: its id, and what became of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        task_id, _, outcome = self._process.stdout.readline().strip().partition(" ")
        return task_id, outcome

    def end(self) -> None:
        self._process.communicate(timeout=CANARY_SECONDS)


def test_programs_keep_their_steps_while_all_brokers_are_down(cluster: Cluster, on_cluster: Platform, tmp_path: Path) -> None:
    project = Account(on_cluster.url).project("over TLS")
    asyncio.run(cluster.until_in_sync())
    settings = agent_settings(cluster, project, tmp_path)
    living = Agent(settings)
    tasks = [living.trace(CANARY_SECONDS)]
    assert tasks[0][1] == "sent"

    for node in NODES:
        cluster.kill(node)
    ending = Agent(settings)
    kept = [living.trace(0.1), ending.trace(0.1)]
    ending.end()
    assert list(tmp_path.rglob("*.ams")) != []
    for node in NODES:
        cluster.start(node)
    asyncio.run(cluster.until_in_sync())
    tasks += [*kept, living.trace(CANARY_SECONDS)]
    living.end()
    next_one = Agent(settings)  # sends what the ended one left
    tasks.append(next_one.trace(CANARY_SECONDS))

    assert [outcome[:4] for _, outcome in tasks] == ["sent", "kept", "kept", "sent", "sent"]
    expected = {(task_id, "ok", 2) for task_id, _ in tasks}

    def found() -> set[tuple[str, str, int]]:
        return {(task["task_id"], task["status"], task["steps"]) for task in project.items("tasks")}

    assert eventually(found, lambda rows: rows == expected, CANARY_SECONDS) == expected
    assert eventually(lambda: list(tmp_path.rglob("*.ams")), lambda files: files == [], CANARY_SECONDS) == []
    next_one.end()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AMS_KAFKA_SASL_PASSWORD": "wrong"}, "does not accept the user or the password"),
        ({"AMS_KAFKA_TLS_CA_FILE": ""}, "Check AMS_KAFKA_TLS_CA_FILE"),
    ],
    ids=["wrong password", "unknown CA"],
)
def test_a_program_whose_settings_the_brokers_do_not_accept_says_which(
    cluster: Cluster, on_cluster: Platform, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    agent = Agent(agent_settings(cluster, Account(on_cluster.url).project(), tmp_path) | changes)

    # the reason is known after the first attempt
    outcome = eventually(lambda: agent.trace(1)[1], lambda text: words in text, CANARY_SECONDS)
    agent.end()

    assert words in outcome


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
