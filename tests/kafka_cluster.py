"""Three brokers with TLS, SCRAM and access control, from the embedded broker's jars: what production has, on one machine.

Clients come by SASL over TLS, with a password or a token; brokers and controllers authenticate each other by certificates, and so may clients that use the
brokers' own listener.
"""

import asyncio
import base64
import datetime as dt
import ipaddress
import os
import secrets
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.own_broker import free_ports
from tests.token_server import AUDIENCE, ISSUER, TokenServer

from ams_kit.bus.clients import connection_options
from ams_kit.kafka_settings import KafkaSettings
from ams_local.servers.jars import ensure_jars, startup_cache
from ams_local.servers.kafka import java

NODES = (1, 2, 3)
NODE_NAME = "ams-node"
ADMIN = "admin"
READY_SECONDS = 240  # on a machine that does much else
RESOURCES = {"topic": 2, "group": 3, "cluster": 4}  # numbers of Kafka's protocol, also below
OPERATIONS = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
    "IdempotentWrite": 12,
}
PATTERNS = {"literal": 3, "prefix": 4}
ALLOW = 3

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.bootstrap.servers={controllers}
listeners=CLIENT://127.0.0.1:{client},BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://localhost:{client},BROKER://localhost:{broker},CONTROLLER://localhost:{controller}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:SASL_SSL,BROKER:SSL,CONTROLLER:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,OAUTHBEARER
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.client.oauthbearer.sasl.server.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.client.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{folder}/keys.json
listener.name.client.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
listener.name.client.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.client.ssl.client.auth=none
listener.name.broker.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/node.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:CN={node_name};User:{admin}
log.dirs={data}/logs
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=1
num.io.threads=2
background.threads=2
"""


def write_certificates(folder: Path, clients: Iterable[str]) -> None:
    """A CA (``ca.pem``), one key with its certificate for all nodes (``node.pem``), valid for localhost, and one of each client."""
    now = dt.datetime.now(dt.UTC)

    def certificate(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca_key = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate("ams-test-ca", ca_key, "ams-test-ca", ca_key, ca=True))
    for file, name in {"node": NODE_NAME, **{one: one for one in clients}}.items():
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{file}.pem").write_bytes(private + certificate(name, key, "ams-test-ca", ca_key, ca=False))


def _id() -> str:
    """16 random bytes as Kafka writes them; it begins with A, because a dash would be read as an option."""
    return base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")


class Cluster:
    """Three brokers that are their own controllers.

    Attributes:
        users: Name -> password of the SCRAM users, ``admin`` among them.
        ca_file: What clients must trust.
        tokens: Makes tokens that the brokers accept.
    """

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        self.folder = folder
        self.users = {name: secrets.token_urlsafe(16) for name in (ADMIN, *users)}
        self.ca_file = folder / "ca.pem"
        self.tokens = TokenServer()
        ports = free_ports(3 * len(NODES))
        self._ports = {node: ports[3 * index : 3 * index + 3] for index, node in enumerate(NODES)}  # client, broker, controller
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap(self) -> str:
        return ",".join(f"localhost:{client}" for client, _, _ in self._ports.values())

    def settings(self, user: str, **changes: Any) -> KafkaSettings:
        """How a user connects."""
        values = {"tls": True, "tls_ca_file": str(self.ca_file), "sasl_mechanism": "SCRAM-SHA-512", "sasl_user": user}
        return KafkaSettings(bootstrap=self.bootstrap, **{**values, "sasl_password": self.users[user], **changes})

    def settings_by_certificate(self, user: str) -> KafkaSettings:
        """How a user connects with a certificate in place of a password: its principal is ``User:CN=<user>``."""
        own = str(self.folder / f"{user}.pem")
        addresses = ",".join(f"localhost:{broker}" for _, broker, _ in self._ports.values())
        return KafkaSettings(bootstrap=addresses, tls=True, tls_ca_file=str(self.ca_file), tls_cert_file=own, tls_key_file=own)

    def _folder_of(self, node: int) -> Path:
        return self.folder / f"node-{node}"

    def format(self) -> None:
        """Write certificates, properties and the users, once."""
        ensure_jars()
        self.folder.mkdir(parents=True)
        write_certificates(self.folder, self.users)
        self.tokens.write_keys(self.folder / "keys.json")
        cluster, directories = _id(), {node: _id() for node in NODES}
        controllers = ",".join(f"localhost:{controller}" for _, _, controller in self._ports.values())
        initial = ",".join(f"{node}@localhost:{self._ports[node][2]}:{directories[node]}" for node in NODES)
        scram = [
            part for name, password in self.users.items() for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        formatting: list[subprocess.Popen[bytes]] = []
        for node in NODES:
            data = self._folder_of(node)
            data.mkdir()
            client, broker, controller = self._ports[node]
            text = PROPERTIES.format(
                node=node, controllers=controllers, client=client, broker=broker, controller=controller,
                folder=self.folder, data=data, node_name=NODE_NAME, admin=ADMIN, issuer=ISSUER, audience=AUDIENCE,
            )  # fmt: skip
            (data / "server.properties").write_text(text)
            argv = java(
                "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(data / "server.properties"),
                "--initial-controllers", initial, *scram,
            )  # fmt: skip
            with (data / "format.out").open("wb") as output:
                formatting.append(subprocess.Popen(argv, stdout=output, stderr=output))
        for node, process in zip(NODES, formatting, strict=True):
            assert process.wait(READY_SECONDS) == 0, (self._folder_of(node) / "format.out").read_text()[-2_000:]

    def start(self, node: int) -> None:
        options = (f"-XX:AOTCache={startup_cache()}", "-Xlog:aot*=off") if startup_cache().exists() else ()
        options += (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self.folder}/keys.json",)
        data = self._folder_of(node)
        with (data / "broker.out").open("ab") as output:
            argv = java("kafka.Kafka", str(data / "server.properties"), options=options)
            self._processes[node] = subprocess.Popen(argv, cwd=data, stdout=output, stderr=output)

    def kill(self, node: int) -> None:
        process = self._processes.pop(node)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for node in list(self._processes):
            self.kill(node)

    def output(self) -> str:
        """The last lines of each broker, for a test that fails."""
        return "\n".join((self._folder_of(node) / "broker.out").read_text(errors="replace")[-1_500:] for node in NODES)

    async def replicas_in_sync(self) -> set[int]:
        """For all partitions of all topics: the numbers of replicas in sync that occur. Empty when the cluster does not answer."""
        try:
            async with asyncio.timeout(10):
                admin = AIOKafkaAdminClient(**connection_options(self.settings(ADMIN)))
                await admin.start()
                try:
                    brokers = {one["node_id"] for one in (await admin.describe_cluster())["brokers"]}
                    topics = await admin.describe_topics()
                    counts = {len(partition["isr"]) for topic in topics for partition in topic["partitions"]}
                    return counts | {len(brokers)}
                finally:
                    await admin.close()
        except Exception:  # noqa: BLE001  any failure of the question: it does not answer yet
            return set()

    async def until_in_sync(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while await self.replicas_in_sync() != {len(NODES)}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the brokers are not in sync; load average {os.getloadavg()[0]:.1f}\n{self.output()}")
            await asyncio.sleep(0.3)

    async def allow(self, user: str, acls: Iterable[dict[str, Any]]) -> None:
        """Give a user rights, as the entries of a Strimzi ``KafkaUser`` state them."""
        admin = AIOKafkaAdminClient(**connection_options(self.settings(ADMIN)))
        await admin.start()
        try:
            for acl in acls:
                resource = acl["resource"]
                for operation in acl["operations"]:
                    request = CreateAclsRequest(
                        resource_type=RESOURCES[resource["type"]],
                        resource_name=resource.get("name", "kafka-cluster"),
                        resource_pattern_type_filter=PATTERNS[resource.get("patternType", "literal")],
                        principal=f"User:{user}",
                        host="*",
                        operation=OPERATIONS[operation],
                        permission_type=ALLOW,
                    )
                    answer = await admin._send_request(request)
                    [(code, message)] = answer.creation_responses
                    assert code == 0, message
        finally:
            await admin.close()
