"""What each example needs to send its spans: OpenTelemetry's own SDK and exporter, and the instrumentors that are given.

``OTEL_EXPORTER_OTLP_ENDPOINT`` and ``OTEL_EXPORTER_OTLP_HEADERS`` name the platform and the key; docs/opentelemetry.md has the lines.
"""

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def trace_to_ams(service: str, *instrumentors: Any) -> TracerProvider:
    """Export every span of this process; call before the framework makes its first one."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    return provider
