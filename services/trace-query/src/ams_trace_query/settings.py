"""Settings of trace-query, ``AMS_<FIELD>``."""

from ams_kit.otel_settings import ServiceEnvironment


class Settings(ServiceEnvironment, frozen=True, kw_only=True):
    """The settings of the process.

    Attributes:
        host: The address to listen on.
        port: 0 selects a free port.
        public_url: The URL of the platform for people, which is the issuer of tokens.
        log_level: A level name of Python's ``logging``.
        database_url: The traces database, as the role ams_reader.
        read_database_url: A standby of it that serves reads, as the same role. Empty: the primary serves them.
        read_wait_ms: The longest wait for a position that a request carries, after which the primary answers instead of the standby.
        redis_url: Holds revocations, and the channel for changes of access.
        kafka_bootstrap: ``host:port`` of the log, over which revocations arrive while Redis is unavailable. Empty: over Redis alone.
        service_secret: Signs requests between services, and cursors.
        identity_url: Internal base URL of identity.
        health_urls: Comma-separated ``name=http://host:port`` of the services whose readiness ``/api/health`` reports.
        database_connections_max: Maximum number of connections of this process.
        statement_timeout_ms: Timeout of a query, after which the response is 504.
        search_ms_max: Time limit of a search, after which it returns its matches so far, and how far back it searched.
        heavy_queries_max: Maximum number of concurrent searches and large skeletons; others wait for up to 2 s, then get 503.
        trusted_proxies: Networks of the proxies whose ``X-Forwarded-For`` is believed, with commas between: for API keys that are restricted to addresses.
        secret_key: Encrypts the webhooks of alert rules. Empty: none can be stored.
        secret_key_previous: The value before a change of ``secret_key``: webhooks are then encrypted again when their rules are evaluated.
        webhook_networks: Networks to which webhooks are sent although they are private, with commas between; to these also over http.
        alerts: Whether this process evaluates alert rules and sends webhooks. It needs ``kafka_bootstrap``.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str
    log_level: str = "INFO"
    database_url: str
    read_database_url: str = ""
    read_wait_ms: int = 1_000
    redis_url: str
    kafka_bootstrap: str = ""
    service_secret: str
    identity_url: str
    health_urls: str = ""
    database_connections_max: int = 16
    statement_timeout_ms: int = 5_000
    search_ms_max: int = 1_000
    heavy_queries_max: int = 4
    trusted_proxies: str = ""
    secret_key: str = ""
    secret_key_previous: str = ""
    webhook_networks: str = ""
    alerts: bool = True
