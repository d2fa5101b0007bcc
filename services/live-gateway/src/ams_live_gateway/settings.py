"""The settings of the live gateway."""

from ams_kit.otel_settings import ServiceEnvironment


class Settings(ServiceEnvironment, frozen=True, kw_only=True):
    """Settings of the process, each as ``AMS_<FIELD>``.

    Attributes:
        public_url: The URL of the platform for people. The handshake accepts only its Origin and Host.
        identity_url: Internal base URL of identity.
        trusted_proxies: Networks of the proxies whose ``X-Forwarded-For`` is believed, with commas between: for API keys that are restricted to addresses.
        live_ring_seconds: Maximum age of the records in memory, from which clients resume.
        live_ring_bytes: Maximum size of all records in memory.
        live_sockets_per_user: Maximum number of open sockets of one user.
        live_catch_up_records: How many records of a partition the gateway reads from the log for one client. A client further behind receives
            a reset and fetches the task again.
    """

    public_url: str
    redis_url: str
    identity_url: str
    service_secret: str
    host: str = "127.0.0.1"
    port: int = 0
    log_level: str = "INFO"
    trusted_proxies: str = ""
    live_ring_seconds: float = 300
    live_ring_bytes: int = 64 * 1024 * 1024
    live_sockets_per_user: int = 100
    live_catch_up_records: int = 200_000
