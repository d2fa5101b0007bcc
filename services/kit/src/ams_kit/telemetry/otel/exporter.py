"""Sends spans and metrics to the receiver: from a bounded queue, in a background task. A receiver that fails costs what it does not take, and nothing else.

The SDK's own processor and exporter run in threads of their own, retry for up to a minute and log each attempt; here they would be a second supervisor.
"""

import asyncio
import gzip
import time
from collections import deque
from collections.abc import Callable

import httpx
import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY

from ams_kit.otel_settings import OWN_HEADER, OtelSettings
from ams_kit.telemetry.metrics import TELEMETRY_DROPPED, TELEMETRY_SENT
from ams_kit.telemetry.otel.permitted import permitted
from ams_kit.telemetry.otel.registry_metrics import metrics_request

QUEUE_SPANS_MAX = 4_096
BATCH_SPANS_MAX = 512
SPANS_EVERY_SECONDS = 2.0
METRICS_EVERY_SECONDS = 30.0
SEND_SECONDS = 5.0
LAST_SEND_SECONDS = 1.0  # of a process that stops
MISDIRECTED = 421

logger = structlog.get_logger(__name__)


class Exporter(SpanProcessor):
    """Collects ended spans, and sends them and the metrics of the process.

    Args:
        settings: Where to, and with which headers.
        resource: The attributes of the process.
        transport: Of the HTTP client; by default the network.
        now_ns: The clock.
    """

    def __init__(
        self,
        settings: OtelSettings,
        resource: dict[str, str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._endpoint = settings.endpoint
        self._resource = resource
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._queue: deque[ReadableSpan] = deque()
        self._is_failing = False
        self._is_own_platform = False
        own = {OWN_HEADER: settings.public_url} if settings.public_url else {}
        self._http = httpx.AsyncClient(
            headers={**settings.headers, **own, "content-type": "application/x-protobuf", "content-encoding": "gzip"},
            timeout=SEND_SECONDS,
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span. A call of a client that belongs to no request and no batch is a loop's, and says nothing: thousands an hour."""
        if span.context is None or not span.context.trace_flags.sampled or (span.parent is None and span.kind is SpanKind.CLIENT):
            return
        if len(self._queue) >= QUEUE_SPANS_MAX or self._is_own_platform:
            TELEMETRY_DROPPED.labels("spans", "own_platform" if self._is_own_platform else "queue_full").inc()
            return
        self._queue.append(span)

    async def run(self) -> None:
        """Send what is queued, and the metrics every ``METRICS_EVERY_SECONDS``, until it is cancelled."""
        metrics_at = time.monotonic()
        while True:
            await asyncio.sleep(SPANS_EVERY_SECONDS)
            await self.send_spans()
            if time.monotonic() >= metrics_at:
                metrics_at = time.monotonic() + METRICS_EVERY_SECONDS
                await self.send_metrics()

    async def send_spans(self) -> None:
        """Send the spans that are queued now, in requests of at most ``BATCH_SPANS_MAX``."""
        for _ in range(-(-len(self._queue) // BATCH_SPANS_MAX)):
            spans = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_SPANS_MAX))]
            body = await asyncio.to_thread(_encode, spans)
            await self._post("/v1/traces", body, "spans", len(spans))

    async def send_metrics(self) -> None:
        """Send what ``/metrics`` shows."""
        request = metrics_request(REGISTRY.collect(), self._resource, self._began_ns, self._now_ns())
        points = sum(len(scope.metrics) for one in request.resource_metrics for scope in one.scope_metrics)
        await self._post("/v1/metrics", gzip.compress(request.SerializeToString(), 1), "metrics", points)

    async def close(self) -> None:
        """Send the rest for at most ``LAST_SEND_SECONDS``, and close the connections."""
        try:
            async with asyncio.timeout(LAST_SEND_SECONDS):
                await self.send_spans()
                await self.send_metrics()
        except TimeoutError:
            TELEMETRY_DROPPED.labels("spans", "receiver").inc(len(self._queue))
        await self._http.aclose()

    async def _post(self, path: str, body: bytes, signal: str, count: int) -> None:
        if self._is_own_platform:
            TELEMETRY_DROPPED.labels(signal, "own_platform").inc(count)
            return
        reason = None
        try:
            async with asyncio.timeout(SEND_SECONDS), self._http.stream("POST", f"{self._endpoint}{path}", content=body) as response:
                status = response.status_code  # the body is not read
            if not response.is_success:
                reason = f"status {status}"
            if status == MISDIRECTED and OWN_HEADER in self._http.headers:
                self._is_own_platform = True
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            reason = type(error).__name__
        if reason is None:
            TELEMETRY_SENT.labels(signal).inc(count)
        else:
            TELEMETRY_DROPPED.labels(signal, "own_platform" if self._is_own_platform else "receiver").inc(count)
        self._report(reason)

    def _report(self, reason: str | None) -> None:
        """Log when the receiver begins to fail, and when it takes telemetry again."""
        if self._is_own_platform:
            logger.error("AMS_OTEL_ENDPOINT leads to this platform's own intake; no telemetry is sent until the next start")
        elif reason is not None and not self._is_failing:
            logger.warning("the receiver of telemetry does not take it; what it does not take is dropped", reason=reason)
        elif reason is None and self._is_failing:
            logger.info("the receiver of telemetry takes it again")
        self._is_failing = reason is not None


def _encode(spans: list[ReadableSpan]) -> bytes:
    return gzip.compress(encode_spans([permitted(span) for span in spans]).SerializeToString(), 1)
