"""The spans of one process: its requests, what they ask of other services, Postgres and Valkey, and the records of the log that they cause."""

import os
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ams_contracts.topics import INBOUND
from ams_kit.otel_settings import OtelSettings
from ams_kit.telemetry.otel.exporter import Exporter
from ams_kit.telemetry.tracing import Headers

os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")  # the instrumentations read it when they are imported

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.metrics import NoOpMeterProvider

VERSION = "0.1.0"
LINKS_MAX = 64
TRACEPARENT = "traceparent"
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate", b"baggage"})
INTERNAL = "/internal/"
UNTRACED = frozenset({"/livez", "/readyz", "/readyz/local", "/metrics"})
OPERATIONS = frozenset({"select", "insert", "update", "delete", "with", "begin", "commit", "rollback", "copy", "set", "lock", "merge"})

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
_propagator = TraceContextTextMapPropagator()


class OwnTelemetry:
    """Makes the spans of a process, and sends them. Implements ``ams_kit.telemetry.tracing.Tracing``.

    Args:
        service: The name of the service.
        settings: Where to, and which share.
        exporter: Sends the spans; by default to the receiver of the settings.
    """

    def __init__(self, service: str, settings: OtelSettings, *, exporter: Exporter | None = None) -> None:
        resource = {"service.name": f"ams-{service}", "service.version": VERSION, "service.instance.id": uuid.uuid4().hex}
        self.exporter = exporter or Exporter(settings, resource)
        sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
        self._provider = TracerProvider(sampler=sampler, resource=Resource.create(resource), shutdown_on_exit=False)
        self._provider.add_span_processor(self.exporter)
        self._tracer = self._provider.get_tracer("ams", VERSION)
        self._redis = RedisInstrumentor()
        self._redis.instrument(tracer_provider=self._provider)

    def close(self) -> None:
        """Watch Valkey no more. For tests: a process keeps it until it ends."""
        self._redis.uninstrument()

    # -- requests --------------------------------------------------------------------------------------------------

    def traced(self, app: AsgiApp) -> AsgiApp:
        """Wrap an application: a span of each HTTP request, named by its method and route.

        Websockets have none: they are open for hours. The trace context of a request counts on routes between services alone; a stranger must not
        decide what is recorded.
        """

        async def named(scope: Any, receive: Any, send: Any) -> None:
            span = get_current_span()

            async def name_and_send(message: Any) -> None:
                if message["type"] == "http.response.start" and (route := scope.get("path_template")):
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
                await send(message)

            await app(scope, receive, name_and_send)

        watched = OpenTelemetryMiddleware(
            named,
            default_span_details=_method,
            tracer_provider=self._provider,
            meter_provider=NoOpMeterProvider(),
            exclude_spans=["receive", "send"],
        )

        async def handle(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] in UNTRACED:
                await app(scope, receive, send)
                return
            if not scope["path"].startswith(INTERNAL):
                scope["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in TRACE_HEADERS]
            await watched(scope, receive, send)

        return handle

    def watch_http(self, client: Any) -> None:
        HTTPXClientInstrumentor.instrument_client(client, tracer_provider=self._provider, meter_provider=NoOpMeterProvider())

    # -- Postgres --------------------------------------------------------------------------------------------------

    def watch_postgres(self, connection: Any) -> None:
        """Use asyncpg's own hook. OpenTelemetry's instrumentation replaces methods of the driver, and keeps the text of each statement."""
        connection.add_query_logger(self._statement)

    def _statement(self, record: Any) -> None:
        if not get_current_span().get_span_context().trace_flags.sampled:
            return
        now_ns = time.time_ns()
        operation = (record.query.lstrip()[:16].split(None, 1) or [""])[0].rstrip(";").lower()
        operation = operation.upper() if operation in OPERATIONS else "STATEMENT"
        span = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            start_time=now_ns - int(record.elapsed * 1_000_000_000),
            attributes={
                "db.system.name": "postgresql",
                "db.operation.name": operation,
                "db.namespace": str(record.conn_params.database or ""),
            },
        )
        if record.exception is not None:
            span.set_attribute("error.type", type(record.exception).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end(now_ns)

    # -- the log ---------------------------------------------------------------------------------------------------

    @contextmanager
    def publishing(self, count: int) -> Generator[Headers]:
        if not get_current_span().is_recording():
            yield []
            return
        attributes = {"messaging.system": "kafka", "messaging.operation.name": "publish", "messaging.batch.message_count": count}
        with self._tracer.start_as_current_span("publish", kind=SpanKind.PRODUCER, attributes=attributes) as span:
            carrier: dict[str, str] = {}
            _propagator.inject(carrier, set_span_in_context(span))
            yield [(TRACEPARENT, carrier[TRACEPARENT].encode())]

    @contextmanager
    def consuming(self, topic: str, group: str, headers: Sequence[Sequence[tuple[str, bytes]]]) -> Generator[None]:
        contexts = [] if topic == INBOUND.name else _contexts(headers)  # others than services write to it
        if not contexts:
            yield
            return
        parent, *others = contexts
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": group,
            "messaging.batch.message_count": len(headers),
        }
        with self._tracer.start_as_current_span(
            f"process {topic}",
            context=set_span_in_context(NonRecordingSpan(parent)),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(context) for context in others],
        ):
            yield


def _method(scope: Any) -> tuple[str, dict[str, str]]:
    """The name of a span until its route is known; the path may be a secret."""
    return scope["method"], {}


def _contexts(headers: Sequence[Sequence[tuple[str, bytes]]]) -> list[SpanContext]:
    """The different contexts in the headers of some records, at most ``LINKS_MAX``, in the order of the records."""
    texts = dict.fromkeys(value for record in headers for name, value in record if name == TRACEPARENT and value)
    found: list[SpanContext] = []
    for text in texts:
        context = get_current_span(_propagator.extract({TRACEPARENT: text.decode("latin-1")})).get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            found.append(context)
        if len(found) == LINKS_MAX:
            break
    return found
