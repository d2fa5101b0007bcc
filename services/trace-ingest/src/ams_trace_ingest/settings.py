"""Settings of the processes of trace-ingest."""

from typing import Annotated

from msgspec import Meta, Struct

from ams_kit.kafka_settings import KafkaEnvironment
from ams_kit.otel_settings import ServiceEnvironment

RETENTION_DAYS_MAX = 3_650


class IntakeSettings(ServiceEnvironment, frozen=True, kw_only=True):
    """Settings of the process that takes telemetry.

    Attributes:
        host: The address to listen on.
        port: The port; 0 picks a free one.
        public_url: The issuer of access tokens.
        kafka_bootstrap: ``host:port`` of the log.
        database_url: The traces database, role ``ams_writer``: read for what people change.
        redis_url: Revocations.
        service_secret: Of tokens between services.
        identity_url: Internal base address of identity.
        log_level: A name of the standard library's levels.
        intake_bytes_max: Bytes of requests that the process holds at once.
        grpc_port: Where the process takes OTLP over gRPC; 0: nowhere.
        kafka_inbound: Whether the process takes the records of ``ams.inbound.v1``, which SDKs publish.
        trusted_proxies: Networks of the proxies whose ``X-Forwarded-For`` is believed, with commas between: for API keys that are restricted to addresses.
        cors_origins: Origins whose pages may send telemetry to ``/v1/*``, separated by commas.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str
    database_url: str
    redis_url: str
    service_secret: str
    identity_url: str
    log_level: str = "INFO"
    intake_bytes_max: int = 96 * 1024 * 1024
    grpc_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    kafka_inbound: bool = True
    cors_origins: str = ""
    trusted_proxies: str = ""


class ProjectorSettings(ServiceEnvironment, frozen=True, kw_only=True):
    """Settings of the process that turns the log into rows.

    Attributes:
        host: The address to listen on, for health and metrics.
        port: The port; 0 picks a free one.
        public_url: The URL of the platform for people. It marks the telemetry of the process itself.
        kafka_bootstrap: ``host:port`` of the log.
        database_url: The traces database, role ``ams_writer``.
        log_level: A name of the standard library's levels.
        projector_instance: A name that no other running projector has and that a restart keeps (a StatefulSet's ordinal): it takes its
            partitions up at once instead of after the session. Empty where there is none.
        database_connections_max: Of this process.
        records_max: Records of one transaction.
        retention_days: Whole UTC days before today that tasks are kept; at least 1, at most what the log keeps.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""
    database_url: str
    log_level: str = "INFO"
    projector_instance: str = ""
    database_connections_max: int = 8
    records_max: int = 2_000
    retention_days: Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)] = 30


class MigrateSettings(Struct, frozen=True, kw_only=True):
    """Settings of the migration.

    Attributes:
        database_url: The traces database, as its owner.
    """

    database_url: str


class DeadSettings(KafkaEnvironment, frozen=True, kw_only=True):
    """Settings of the dead letters' commands.

    Attributes:
        database_url: The traces database, role ``ams_writer``.
        kafka_bootstrap: Needed to replay.
    """

    database_url: str
    kafka_bootstrap: str = ""


class ReplaySettings(KafkaEnvironment, frozen=True, kw_only=True):
    """Settings of the replay's command.

    Attributes:
        database_url: The traces database, role ``ams_writer``.
        owner_database_url: The same as its owner, who makes tables and says which serve.
        kafka_bootstrap: ``host:port`` of the log.
        log_level: A name of the standard library's levels.
    """

    database_url: str
    owner_database_url: str
    log_level: str = "WARNING"
