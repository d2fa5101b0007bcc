"""The settings of the SDK: arguments of ``ams.init`` first, then ``AMS_ENDPOINT`` and ``AMS_API_KEY``."""

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from urllib.parse import urlsplit

from ams.tracing.runtime import logger

ENDPOINT_DEFAULT = "http://localhost:8080"
OWN_NAMES = frozenset({"AMS_ENDPOINT", "AMS_API_KEY"})
PLATFORM_NAMES = frozenset(
    f"AMS_{name}"
    for name in (
        *(
            "PUBLIC_URL",
            "DATA_DIR",
            "KAFKA_BOOTSTRAP",
            "DATABASE_URL",
            "REDIS_URL",
            "SECRET_KEY",
            "SERVICE_SECRET",
            "SPOOL_DIR",
            "REQUIRE_ALL",
            "ALLOWED_HOSTS",
            "RETENTION_DAYS",
        ),
        *("HOST", "PORT", "LOG_LEVEL", "IDENTITY_URL", "HEALTH_URLS", "TOPIC_REPLICATION", "TOPIC_MIN_ISR"),
    )
)
"""Settings of the platform's own processes, which may be in the same environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSettings:
    """How the SDK sends. The limits bound the memory that it uses in the agent: beyond them, updates are dropped and counted."""

    api_key: str
    endpoint: str = ENDPOINT_DEFAULT
    announce: bool = True
    flush_interval_seconds: float = 0.05
    heartbeat_seconds: float = 5.0  # the platform reports a step as lost after 30 s without one
    exit_seconds: float = 3.0
    waiting_items_max: int = 50_000
    waiting_bytes_max: int = 32 * 1024 * 1024
    request_timeout_seconds: float = 10.0  # intake answers within 4 s, or with 503
    backoff_first_seconds: float = 0.2
    backoff_max_seconds: float = 10.0
    refused_backoff_seconds: float = 30.0
    handle_sigterm: bool = True


def read_settings(api_key: str | None, endpoint: str | None, **options: object) -> SdkSettings | None:
    """The settings, or None when tracing stays off; then one warning says why."""
    key = (api_key if api_key is not None else os.environ.get("AMS_API_KEY", "")).strip()
    base = (endpoint if endpoint is not None else os.environ.get("AMS_ENDPOINT", "")).strip().rstrip("/") or ENDPOINT_DEFAULT
    _warn_of_unknown_names()
    if not key:
        logger.warning(
            "AMS: no API key, so nothing is traced. Set AMS_API_KEY (or call ams.init(api_key=...)). Create a key at %s under API keys.",
            base,
        )
        return None
    if "..." in key:
        logger.warning(
            "AMS: the API key %r is the placeholder of the documentation, so nothing is traced. Create a key at %s under API keys.",
            "ams_...",
            base,
        )
        return None
    if not _is_url(base):
        logger.warning(
            "AMS: %r is not the address of a server, so nothing is traced. Set AMS_ENDPOINT to an address such as %s.",
            base,
            ENDPOINT_DEFAULT,
        )
        return None
    if not (key.isascii() and key.isprintable()):
        logger.warning("AMS: the API key contains characters that no key has, so nothing is traced. Copy the key again.")
        return None
    return replace(SdkSettings(api_key=key, endpoint=base), **options)  # type: ignore[arg-type]  # names and types are checked by ams.init


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _warn_of_unknown_names() -> None:
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith("AMS_") and name not in OWN_NAMES | PLATFORM_NAMES and not name.startswith("AMS_TEST_")
    )
    if unknown:
        meant = [close for name in unknown for close in get_close_matches(name, OWN_NAMES, n=1)]
        hint = f" Did you mean {meant[0]}?" if meant else ""
        logger.warning("AMS: %s in the environment is not a setting of the SDK.%s", ", ".join(unknown), hint)


def is_loopback(endpoint: str) -> bool:
    """Whether it is this machine, which no proxy can reach."""
    host = urlsplit(endpoint).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
