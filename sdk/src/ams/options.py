"""The less common options of ``ams.init``. Meanings and defaults: ``ams.settings.SdkSettings``."""

from typing import TypedDict


class Options(TypedDict, total=False):
    """Limits and times; see ``SdkSettings``."""

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
