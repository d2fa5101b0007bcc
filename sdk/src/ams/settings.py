"""The settings of the SDK: one struct, from which environment names, options of ``ams.init`` and the table of docs/sdk.md derive."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

ENDPOINT_DEFAULT = "http://localhost:8080"
CAPTURES = ("all", "metadata", "none")
SPOOLS = ("on-failure", "always", "off")
TRANSPORTS = ("https", "kafka", "file", "console", "memory")
REMOTE_TRANSPORTS = frozenset({"https", "kafka"})
"""Those that need an API key and an endpoint, and whose tasks have an address."""


def _option(default: Any, text: str, *, choices: tuple[str, ...] = (), secret: bool = False) -> Any:
    """A setting.

    Args:
        default: When no source names another value.
        text: For the table of the documentation.
        choices: The allowed words; empty: any.
        secret: It must not be in a file that is committed.
    """
    return field(default=default, metadata={"text": text, "choices": choices, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSettings:
    """What the SDK traces and how it sends. The limits bound the memory that it uses in the agent; what exceeds them is dropped and counted."""

    api_key: str = _option("", "The project's API key. Without one there is one warning and tracing stays off", secret=True)
    endpoint: str = _option(ENDPOINT_DEFAULT, "The address of AMS, as in the browser")
    transport: str = _option("https", "Where events go: `https`, `kafka`, `file`, `console` or `memory`", choices=TRANSPORTS)
    transport_file: str = _option("ams-events.jsonl", "The file of the transport `file`")
    kafka_bootstrap: str = _option("", "Of the transport `kafka`: the brokers, `host:port`, instead of those that the platform names")
    kafka_sasl_user: str = _option("", "The user at a broker with SASL")
    kafka_sasl_password: str = _option("", "That user's password", secret=True)
    kafka_tls_ca_file: str = _option("", "Trusted CA certificates of a broker with TLS, PEM; default those of the system")
    kafka_tls_cert_file: str = _option("", "The client's certificate for mutual TLS, PEM")
    kafka_tls_key_file: str = _option("", "That certificate's private key, PEM")
    agent: str | None = _option(None, "The agent of tasks in which no agent step runs")
    user_id: str | None = _option(None, "The user of tasks that name none")
    environment: str | None = _option(None, "Of every task, for example `prod`")
    tags: Mapping[str, str] | None = _option(None, "Searchable names and values of every task; in the environment `name=value,name=value`")
    capture: str = _option(
        "all", "`all`, `metadata` (names, types, times, tokens and models, but no contents) or `none` (nothing is traced)", choices=CAPTURES
    )
    capture_input: bool = _option(default=True, text="False excludes every input")
    capture_output: bool = _option(default=True, text="False excludes every output")
    masking: bool = _option(default=True, text="Replace obvious secrets before anything is sent")
    sample_rate: float = _option(1.0, "The share of tasks that are traced, decided at their start: 1 all, 0.1 one of ten")
    tail_sample_rate: float = _option(
        1.0, "The share of tasks that are sent when they ended without error, quickly and cheaply, decided at their end: 1 all"
    )
    tail_slow_seconds: float = _option(10.0, "With `tail_sample_rate`: a task of this length is always sent")
    tail_cost_usd: float = _option(
        0.1, "With `tail_sample_rate`: a task whose reported cost reaches this is always sent; 0: cost does not matter"
    )
    tail_waiting_bytes_max: int = _option(
        16 * 1024 * 1024, "With `tail_sample_rate`: memory of undecided tasks; beyond it the oldest are decided early"
    )
    follow_threads: bool = _option(default=False, text="Threads and pools join the step in which they are started")
    join_opentelemetry: bool = _option(default=True, text="Use an active recording span as the parent of a step")
    announce: bool = _option(default=True, text="Print the address of the first task to stderr")
    flush_interval_seconds: float = _option(0.05, "Between two sendings")
    heartbeat_seconds: float = _option(5.0, "Between two heartbeats of open steps; AMS reports a step as lost after 30 s without one")
    exit_seconds: float = _option(3.0, "How long the end of the program waits for the delivery")
    waiting_items_max: int = _option(50_000, "Items in the queue; a step is one or two")
    waiting_bytes_max: int = _option(32 * 1024 * 1024, "Memory of the queue, and again of encoded events")
    request_timeout_seconds: float = _option(10.0, "Of one request; AMS answers within 4 s")
    backoff_first_seconds: float = _option(0.2, "The first wait after a failure; it doubles")
    backoff_max_seconds: float = _option(10.0, "The longest wait after a failure")
    refused_backoff_seconds: float = _option(30.0, "The wait after a wrong key or address")
    spool: str = _option(
        "on-failure", "When events are written to disk: `on-failure`, `always` (before a step's call returns) or `off`", choices=SPOOLS
    )
    spool_dir: str = _option("", "Of the spool; else `ams/spool` in the user's state directory")
    spool_bytes_max: int = _option(256 * 1024 * 1024, "Of all processes with this endpoint and key; the oldest segments are dropped first")
    spool_fsync: bool = _option(default=False, text='Survive a power cut too; only with `spool="always"`, milliseconds per step')
    handle_sigterm: bool = _option(default=True, text="End open steps as cancelled and send on SIGTERM")

    @property
    def remote(self) -> bool:
        """Whether events leave this machine to a server that has a page for each task."""
        return self.transport in REMOTE_TRANSPORTS

    @property
    def spools(self) -> bool:
        """Whether there is a spool."""
        return self.remote and self.spool != "off"


SETTINGS: tuple[Field[Any], ...] = fields(SdkSettings)
NAMES = frozenset(setting.name for setting in SETTINGS)


def environment_name(name: str) -> str:
    """``flush_interval_seconds`` -> ``AMS_FLUSH_INTERVAL_SECONDS``."""
    return f"AMS_{name.upper()}"


def table() -> list[tuple[str, str, str, str]]:
    """Rows of the documentation: option of ``ams.init``, environment variable, default, meaning."""
    return [(setting.name, environment_name(setting.name), _shown(setting.default), setting.metadata["text"]) for setting in SETTINGS]


def _shown(default: object) -> str:
    if default is None or default == "":
        return ""
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def is_loopback(endpoint: str) -> bool:
    """Whether it is this machine, which no proxy can reach."""
    host = urlsplit(endpoint).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
