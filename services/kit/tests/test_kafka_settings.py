"""Every invalid combination of Kafka settings is reported at the start, and all clients receive the same settings."""

import ssl
import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from ams_contracts.topics import Topic
from ams_kit.bus import Log, LogUnavailableError, Record
from ams_kit.bus.clients import connection_options, make_admin, make_broker, make_client, make_consumer, make_producer
from ams_kit.kafka_settings import KafkaEnvironment, KafkaSettings
from ams_kit.settings import SettingsError, load

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("pem")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=kafka",
            "-days",
            "2",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def environment(**values: str) -> dict[str, str]:
    return {"AMS_KAFKA_BOOTSTRAP": "kafka-1:9092,[::1]:9093", **{f"AMS_KAFKA_{name.upper()}": value for name, value in values.items()}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bootstrap": "kafka"}, "AMS_KAFKA_BOOTSTRAP must be host:port"),
        ({"bootstrap": "kafka:9092,"}, "AMS_KAFKA_BOOTSTRAP must be host:port"),
        ({"tls_ca_file": "/nowhere"}, "needs AMS_KAFKA_TLS=true"),
        ({"tls": "true", "tls_ca_file": "/nowhere"}, "AMS_KAFKA_TLS_CA_FILE does not name a readable file"),
        ({"tls": "perhaps"}, "AMS_KAFKA_TLS"),
        ({"sasl_mechanism": "GSSAPI", "sasl_user": "u", "sasl_password": "p"}, "must be one of PLAIN"),
        ({"sasl_mechanism": "PLAIN", "sasl_user": "u"}, "needs AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD"),
        ({"sasl_password": "p"}, "need AMS_KAFKA_SASL_MECHANISM"),
        (
            {"sasl_mechanism": "OAUTHBEARER", "sasl_user": "u", "sasl_password": "p"},
            "AMS_KAFKA_SASL_MECHANISM=OAUTHBEARER must be set together",
        ),
        ({"sasl_mechanism": "PLAIN", "sasl_user": "u", "sasl_password": "p", "oauth_token_url": "https://id/t"}, "must be set together"),
        (
            {"sasl_mechanism": "OAUTHBEARER", "sasl_user": "u", "sasl_password": "p", "oauth_token_url": "http://id/t"},
            "must be an https address",
        ),
        ({"oauth_scope": "kafka"}, "AMS_KAFKA_OAUTH_SCOPE needs"),
    ],
)
def test_invalid_settings_are_reported_in_one_sentence(values: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(KafkaEnvironment, environment(**values))

    assert message in str(refused.value)


def test_a_certificate_requires_its_key_and_pem_files(pem: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be set together"):
        load(KafkaEnvironment, environment(tls="true", tls_cert_file=pem["cert"]))
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(SettingsError, match="cannot be used"):
        load(KafkaEnvironment, environment(tls="true", tls_ca_file=str(nonsense)))


@pytest.mark.parametrize(
    ("values", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"tls": "true"}, "SSL"),
        ({"sasl_mechanism": "SCRAM-SHA-512", "sasl_user": "ams", "sasl_password": PASSWORD}, "SASL_PLAINTEXT"),
        ({"tls": "true", "sasl_mechanism": "PLAIN", "sasl_user": "ams", "sasl_password": PASSWORD}, "SASL_SSL"),
    ],
)
async def test_all_clients_receive_the_same_settings(values: dict[str, str], protocol: str) -> None:
    kafka = load(KafkaEnvironment, environment(**values)).kafka

    options = connection_options(kafka)
    clients = (make_consumer(kafka, "c")._client, make_producer(kafka, "p").client, make_admin(kafka, "a")._client, make_client(kafka, "m"))

    assert options["security_protocol"] == protocol
    assert {client._security_protocol for client in clients} == {protocol}
    assert {client._sasl_plain_password for client in clients} == {values.get("sasl_password")}
    assert make_broker(kafka, "b")._connection_kwargs.get("security_protocol", "PLAINTEXT") == protocol
    if protocol.endswith("SSL"):
        assert options["ssl_context"].verify_mode == ssl.CERT_REQUIRED
        assert options["ssl_context"].check_hostname


async def test_every_client_knows_each_of_several_brokers() -> None:
    kafka = load(KafkaEnvironment, {"AMS_KAFKA_BOOTSTRAP": "one:9092, two:9093,three:9094"}).kafka
    expected = {("one", 9092), ("two", 9093), ("three", 9094)}
    clients = (make_consumer(kafka, "c")._client, make_producer(kafka, "p").client, make_admin(kafka, "a")._client, make_client(kafka, "m"))
    subscriber = AIOKafkaConsumer(bootstrap_servers=make_broker(kafka, "b")._connection_kwargs["bootstrap_servers"])

    for client in (*clients, subscriber._client):
        assert {(host, port) for host, port, *_ in client.hosts} == expected


def test_the_client_certificate_is_loaded(pem: dict[str, str]) -> None:
    kafka = load(
        KafkaEnvironment, environment(tls="true", tls_ca_file=pem["cert"], tls_cert_file=pem["cert"], tls_key_file=pem["key"])
    ).kafka

    context = kafka.ssl_context()

    assert context is not None
    assert [issuer["subject"] for issuer in context.get_ca_certs()] == [((("commonName", "kafka"),),)]


def test_the_password_is_never_printed() -> None:
    settings = load(KafkaEnvironment, environment(sasl_mechanism="PLAIN", sasl_user="ams", sasl_password=PASSWORD))

    assert PASSWORD not in repr(settings.kafka)
    assert PASSWORD not in f"{settings}"


async def test_a_broker_without_tls_is_unavailable_to_a_client_with_tls(kafka_bootstrap: str) -> None:
    log = await Log.open(KafkaSettings(bootstrap=kafka_bootstrap, tls=True), "tls")
    with pytest.raises((LogUnavailableError, KafkaError)):
        await log.publish([Record(topic=Topic(name="t", version=1, partitions=1), key=b"k", value=b"v")], timeout_seconds=2)
    await log.close()
