"""OpenTelemetry of the services themselves (ADR 0098). Imported only when ``AMS_OTEL_ENDPOINT`` is set."""
