"""Builds every Kafka client, so that addresses, TLS and SASL apply to all of them."""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext, SASLScram256, SASLScram512

from ams_kit.bus.oauth import token_provider
from ams_kit.kafka_settings import OAUTHBEARER, KafkaSettings

METADATA_AGE_MS = 10_000  # the delay until a client notices a recreated topic, or one with more partitions
REQUEST_TIMEOUT_MS = 4_000
READ_TIMEOUT_MS = 10_000
FETCH_WAIT_MS = 500
PARTITION_BYTES_MAX = 1024 * 1024

Kafka = KafkaSettings | str
"""How to reach Kafka; a bare ``host:port`` is a broker without TLS and without authentication."""

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def make_consumer(kafka: Kafka, client_id: str, *, auto_offset_reset: str = "none") -> AIOKafkaConsumer:
    """Build a consumer without a group. It reads committed records, and by default raises an error for an offset that the log deleted."""
    return AIOKafkaConsumer(
        **connection_options(kafka),
        client_id=client_id,
        group_id=None,
        auto_offset_reset=auto_offset_reset,
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=PARTITION_BYTES_MAX,
        request_timeout_ms=READ_TIMEOUT_MS,
        retry_backoff_ms=200,
        metadata_max_age_ms=METADATA_AGE_MS,
    )


def make_producer(kafka: Kafka, client_id: str, **options: Any) -> AIOKafkaProducer:
    """Build an idempotent producer that waits for every in-sync replica."""
    return AIOKafkaProducer(**connection_options(kafka), client_id=client_id, acks="all", enable_idempotence=True, **options)


def make_admin(kafka: Kafka, client_id: str) -> AIOKafkaAdminClient:
    """Build a client that manages topics and their configuration."""
    return AIOKafkaAdminClient(**connection_options(kafka), client_id=client_id, request_timeout_ms=REQUEST_TIMEOUT_MS)


def make_client(kafka: Kafka, client_id: str) -> AIOKafkaClient:
    """Build a client that reads metadata."""
    return AIOKafkaClient(**connection_options(kafka), client_id=client_id, request_timeout_ms=REQUEST_TIMEOUT_MS)


def make_broker(kafka: Kafka, client_id: str, **options: Any) -> KafkaBroker:
    """Build FastStream's broker, for consumers in a group."""
    settings = kafka_settings(kafka)
    return KafkaBroker(
        [address.strip() for address in settings.bootstrap.split(",")],  # FastStream takes a string for one address
        client_id=client_id,
        security=_security(settings),
        sasl_oauth_token_provider=token_provider(settings) if settings.sasl_mechanism == OAUTHBEARER else None,
        request_timeout_ms=READ_TIMEOUT_MS,
        retry_backoff_ms=200,
        **options,
    )


def kafka_settings(kafka: Kafka) -> KafkaSettings:
    """Return the settings; a bare address becomes settings with defaults."""
    return KafkaSettings(bootstrap=kafka) if isinstance(kafka, str) else kafka


def connection_options(kafka: Kafka) -> dict[str, Any]:
    """Return the address and the credentials as keyword arguments of aiokafka's clients."""
    settings = kafka_settings(kafka)
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "ssl_context": settings.ssl_context(),
    }
    if settings.sasl_mechanism == OAUTHBEARER:
        options |= {"sasl_mechanism": OAUTHBEARER, "sasl_oauth_token_provider": token_provider(settings)}
    elif settings.sasl_mechanism:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_user,
            "sasl_plain_password": settings.sasl_password,
        }
    return options


def _security(settings: KafkaSettings) -> BaseSecurity | None:
    if settings.sasl_mechanism == OAUTHBEARER:
        return SASLOAuthBearer(ssl_context=settings.ssl_context(), use_ssl=settings.tls)
    if settings.sasl_mechanism:
        return _SASL[settings.sasl_mechanism](
            settings.sasl_user, settings.sasl_password, ssl_context=settings.ssl_context(), use_ssl=settings.tls
        )
    return BaseSecurity(ssl_context=settings.ssl_context(), use_ssl=True) if settings.tls else None
