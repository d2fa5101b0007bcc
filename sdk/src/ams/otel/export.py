"""Spans of OpenTelemetry's SDK to AMS: when they end, and by ``AmsSpanProcessor`` also while they run."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, Status
from requests import PreparedRequest, Session

from ams.masking import Masker
from ams.sending.client import current_client
from ams.setting_sources import read_settings
from ams.settings import SdkSettings, is_loopback
from ams.tracing.runtime import logger, runtime

PATH = "/v1/traces"
DELAY_MS = 500  # between two exports; a span that ends within it is sent once
QUEUE_SPANS_MAX = 8_192  # a span is in it twice: when it started and when it ended
_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-type", "content-encoding", "content-length", "user-agent"}
)


class AmsSpanExporter(OTLPSpanExporter):
    """OTLP over HTTP to AMS, with the endpoint and key of ``ams.init``, else of ``AMS_ENDPOINT``, ``AMS_API_KEY`` and pyproject.toml.

    ``OTEL_TRACES_EXPORTER=ams`` names it. Secrets are masked as in native steps. Without a key there is one warning, and nothing is sent.
    """

    def __init__(self, settings: SdkSettings | None = None) -> None:
        """An exporter.

        Args:
            settings: Default those of ``ams.init`` or of the environment.
        """
        self.settings = settings or _settings()
        """None: nothing is sent."""
        self._masker = Masker(obvious=self.settings is None or self.settings.masking)
        endpoint = self.settings.endpoint if self.settings is not None else "http://localhost"
        super().__init__(endpoint=endpoint + PATH, compression=Compression.Gzip, session=_session(self.settings))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans without their secrets. Without a key they are dropped."""
        if self.settings is None:
            return SpanExportResult.SUCCESS
        masker = runtime.masker if runtime.endpoint else self._masker  # ams.init may come later, with functions of the agent
        return super().export([masked(span, masker) for span in spans])


def _settings() -> SdkSettings | None:
    client = current_client()
    settings = client.settings if client is not None and client.settings.remote and not client.closed else read_settings(transport="https")
    if settings is not None and not (settings.capture == "all" and settings.capture_input and settings.capture_output):
        logger.warning(
            "AMS: capture levels apply to native steps. Exclude contents of instrumented calls by the setting of their instrumentation, "
            "such as OPENINFERENCE_HIDE_INPUTS=true or TRACELOOP_TRACE_CONTENT=false."
        )
    return settings


def _session(settings: SdkSettings | None) -> Session:
    """With the headers of AMS alone: OTEL_EXPORTER_OTLP_HEADERS and .netrc may hold keys of somebody else."""
    session = Session()
    if settings is None:
        return session

    def authorize(request: PreparedRequest) -> PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in _HEADERS]:
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {settings.api_key}"
        return request

    session.auth = authorize
    session.trust_env = not is_loopback(settings.endpoint)  # no proxy reaches this machine
    return session


def masked(span: ReadableSpan, masker: Masker) -> ReadableSpan:
    """A copy of a span, as it is now, without its secrets.

    Args:
        span: It may still run.
        masker: What it replaces in attributes, events, links, the name and the description of the status.
    """
    events = [Event(event.name, _attributes(event.attributes, event.dropped_attributes, masker), event.timestamp) for event in span.events]
    links = [Link(link.context, _attributes(link.attributes, link.dropped_attributes, masker)) for link in span.links]
    status = span.status
    return ReadableSpan(
        name=masker.text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes, span.dropped_attributes, masker),
        events=_bounded(events, span.dropped_events),
        links=_bounded(links, span.dropped_links),
        kind=span.kind,
        status=Status(status.status_code, masker.text(status.description)) if status.description else status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(attributes: Mapping[str, Any] | None, dropped: int, masker: Masker) -> BoundedAttributes:
    # a running span may get attributes at the same time; copy() is atomic
    taken = attributes.copy() if isinstance(attributes, MappingProxyType) else dict(attributes or {})
    left = BoundedAttributes(attributes=masker.attributes(taken))
    left.dropped = dropped
    return left


def _bounded(items: list[Any], dropped: int) -> Sequence[Any]:
    left = BoundedList.from_seq(len(items), items)
    left.dropped = dropped
    return left


class _Started:
    """A span that has started, in the queue of a batch. It has as much of a span as that needs."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.context: SpanContext | None = span.context


class _StartedExporter(SpanExporter):
    """Exports started spans without an end, and leaves out those that have ended: they follow complete."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        known = [span.span if isinstance(span, _Started) else span for span in spans]
        left = [span for span, sent in zip(known, spans, strict=True) if span.end_time is None or span is sent]
        return self._exporter.export(left) if left else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class StartedSpanProcessor(BatchSpanProcessor):
    """Reports spans that run for longer than half a second, beside a processor that exports them when they end."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        super().__init__(_StartedExporter(exporter or AmsSpanExporter()), max_queue_size=QUEUE_SPANS_MAX, schedule_delay_millis=DELAY_MS)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Put the span into the batch; the exporter decides later whether it still runs."""
        super().on_start(span, parent_context)
        super().on_end(_Started(span))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the queue reads its context alone

    def on_end(self, span: ReadableSpan) -> None:
        """Another processor exports it."""


class AmsSpanProcessor(StartedSpanProcessor):
    """Sends the spans of a ``TracerProvider`` to AMS, so that they are visible while they run.

    provider.add_span_processor(AmsSpanProcessor())
    """

    def on_end(self, span: ReadableSpan) -> None:
        """Put the complete span into the batch."""
        BatchSpanProcessor.on_end(self, span)
