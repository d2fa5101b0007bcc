"""The less common options of ``ams.init``. Meanings and defaults: ``ams.settings.SdkSettings``, with which a test compares these."""

from typing import Literal, TypedDict


class Options(TypedDict, total=False):
    """Transport, limits and times; see ``SdkSettings``."""

    capture: Literal["all", "metadata", "none"]
    masking: bool
    sample_rate: float
    tail_sample_rate: float
    tail_slow_seconds: float
    tail_cost_usd: float
    tail_waiting_bytes_max: int
    follow_threads: bool
    spool: Literal["on-failure", "always", "off"]
    spool_dir: str
    spool_bytes_max: int
    spool_fsync: bool
    transport: Literal["https", "kafka", "file", "console", "memory"]
    transport_file: str
    kafka_bootstrap: str
    kafka_sasl_user: str
    kafka_sasl_password: str
    kafka_tls_ca_file: str
    kafka_tls_cert_file: str
    kafka_tls_key_file: str
    announce: bool
    flush_interval_seconds: float
    heartbeat_seconds: float
    exit_seconds: float
    waiting_items_max: int
    waiting_bytes_max: int
    request_timeout_seconds: float
    backoff_first_seconds: float
    backoff_max_seconds: float
    refused_backoff_seconds: float
    handle_sigterm: bool
