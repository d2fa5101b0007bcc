"""Settings of the processes of trace-ingest."""

from msgspec import Struct


class IntakeSettings(Struct, frozen=True, kw_only=True):
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
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str
    kafka_bootstrap: str
    database_url: str
    redis_url: str
    service_secret: str
    identity_url: str
    log_level: str = "INFO"
    intake_bytes_max: int = 96 * 1024 * 1024
