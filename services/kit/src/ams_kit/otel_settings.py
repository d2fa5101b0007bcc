"""The settings ``AMS_OTEL_*``: where a service sends traces and metrics of itself. Independent of OpenTelemetry's packages."""

import re
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Meta, Struct

from ams_kit.kafka_settings import KafkaEnvironment
from ams_kit.settings import SettingsError

OWN_HEADER = "ams-telemetry-of"
"""The public URL of the platform whose telemetry a request holds. Its own intake refuses it, whatever name led there."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}


class OtelSettings(Struct, frozen=True, kw_only=True):
    """Where a process sends its traces and metrics. Its ``repr`` omits the headers.

    Attributes:
        endpoint: The base address of an OTLP/HTTP receiver, without ``/v1/traces``.
        headers: Headers of each request, with their values.
        sample_ratio: The share of requests whose spans are recorded.
        public_url: Of this platform, so that its intake can refuse to receive its own telemetry. Empty: unknown.
    """

    endpoint: str
    headers: dict[str, str]
    sample_ratio: float
    public_url: str

    def __repr__(self) -> str:
        return f"OtelSettings(endpoint={self.endpoint!r}, sample_ratio={self.sample_ratio!r})"


class ServiceEnvironment(KafkaEnvironment, frozen=True, kw_only=True):
    """The settings that every service reads, a base class of its settings struct.

    Attributes:
        otel_endpoint: The base address of an OTLP/HTTP receiver for traces and metrics of the service itself. Empty: none are made.
        otel_headers: ``name=value`` of the headers that it requires, with commas between; values percent-encoded.
        otel_sample_ratio: The share of requests whose spans are recorded, from 0 to 1.
    """

    otel_endpoint: str = ""
    otel_headers: str = ""
    otel_sample_ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        """Refuse invalid values, and an endpoint that is this platform itself.

        Raises:
            SettingsError: A setting is invalid. The message names it, without any value.
        """
        KafkaEnvironment.__post_init__(self)
        if not self.otel_endpoint:
            if self.otel_headers:
                raise SettingsError("AMS_OTEL_HEADERS needs AMS_OTEL_ENDPOINT")
            return
        endpoint = _parse(self.otel_endpoint)
        parse_headers(self.otel_headers)
        public_url: str = getattr(self, "public_url", "")
        own = {_place(urlsplit(public_url))} if public_url else set[tuple[str, int]]()
        if port := getattr(self, "port", 0):
            own |= {("localhost", port), (getattr(self, "host", ""), port)}
        if _place(endpoint) in own:
            raise SettingsError(
                "AMS_OTEL_ENDPOINT is an address of this platform, which would report about its own reports. Use another receiver."
            )

    @property
    def otel(self) -> OtelSettings | None:
        """The settings as ``OtelSettings``; ``None`` when the service makes no telemetry of itself."""
        if not self.otel_endpoint:
            return None
        return OtelSettings(
            endpoint=self.otel_endpoint.rstrip("/"),
            headers=parse_headers(self.otel_headers),
            sample_ratio=self.otel_sample_ratio,
            public_url=getattr(self, "public_url", ""),
        )


def parse_headers(text: str) -> dict[str, str]:
    """Read ``name=value,name=value`` as OpenTelemetry writes it, values percent-encoded.

    Raises:
        SettingsError: The text has another form.
    """
    headers: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, equals, value = part.partition("=")
        decoded = unquote(value.strip())
        if not equals or not _HEADER.fullmatch(name.strip()) or not decoded.isascii() or not decoded.isprintable():
            raise SettingsError("AMS_OTEL_HEADERS must be name=value, several separated by commas, values percent-encoded")
        headers[name.strip().lower()] = decoded
    return headers


def _parse(endpoint: str) -> SplitResult:
    refused = SettingsError("AMS_OTEL_ENDPOINT must be an http or https address without user, query and fragment")
    try:
        parsed = urlsplit(endpoint)
        _ = parsed.port
    except ValueError:
        raise refused from None
    extra = parsed.query or parsed.fragment or parsed.username is not None or any(one.isspace() for one in endpoint)
    if parsed.scheme not in _PORTS or not parsed.hostname or extra:
        raise refused
    return parsed


def _place(address: SplitResult) -> tuple[str, int]:
    """The host and the port; every name of the loopback interface is the same host."""
    host = (address.hostname or "").rstrip(".").lower()
    return ("localhost" if host in _LOOPBACK else host, address.port or _PORTS.get(address.scheme, 0))
