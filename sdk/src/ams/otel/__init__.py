"""OpenTelemetry's SDK and AMS: exporter, span processor, and instrumentation of installed libraries. Needs the extra ``ams-tracing[otel]``."""
