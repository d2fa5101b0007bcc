"""Settings of trace-query, ``AMS_<FIELD>``."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of the process.

    Attributes:
        host: The address to listen on.
        port: 0 picks a free one.
        public_url: Where people find the platform: the issuer of tokens.
        log_level: A name of the standard library's levels.
        database_url: The traces database, as the role ams_reader.
        redis_url: Revocations and changes of access.
        service_secret: Signs requests between services, and cursors.
        identity_url: Internal base address of identity.
        health_urls: ``name=http://host:port`` with commas between: the services whose readiness ``/api/health`` reports.
        database_connections_max: Of this process.
        statement_timeout_ms: A longer query gets the response 504.
        search_ms_max: After this time a search returns what it found, and how far back it searched.
        heavy_queries_max: Searches and large skeletons that run at once; others wait for up to 2 s, then get 503.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str
    log_level: str = "INFO"
    database_url: str
    redis_url: str
    service_secret: str
    identity_url: str
    health_urls: str = ""
    database_connections_max: int = 16
    statement_timeout_ms: int = 5_000
    search_ms_max: int = 1_000
    heavy_queries_max: int = 4
