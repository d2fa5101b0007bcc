"""What the live gateway reads from its environment."""

from ams_kit.kafka_settings import KafkaEnvironment


class Settings(KafkaEnvironment, frozen=True, kw_only=True):
    """Settings of the process, each as ``AMS_<FIELD>``.

    Attributes:
        public_url: Where people reach the platform: the only Origin and Host that sockets come from.
        identity_url: Internal base address of identity.
        live_ring_seconds: How far back a client may resume from memory.
        live_ring_bytes: Of all records in memory.
        live_sockets_per_user: Open sockets of one user at most.
        live_catch_up_records: How many records of a partition the log is read back for a client; further back it is asked to fetch everything again.
    """

    public_url: str
    redis_url: str
    identity_url: str
    service_secret: str
    host: str = "127.0.0.1"
    port: int = 0
    log_level: str = "INFO"
    live_ring_seconds: float = 300
    live_ring_bytes: int = 64 * 1024 * 1024
    live_sockets_per_user: int = 100
    live_catch_up_records: int = 200_000
