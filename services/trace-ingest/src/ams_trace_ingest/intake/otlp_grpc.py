"""OTLP over gRPC: the trace and log services of OTLP 1, with the checks, limits and keys of ``/v1/traces`` and ``/v1/logs``.

A handler takes the call as a stream of one message, so that it reads the metadata first: a call without a valid API key is refused before its message is
received. Messages arrive as they were sent, because grpc would inflate them before the byte budget is asked.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Never
from urllib.parse import unquote

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as Detail
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from ams_contracts.claims import KeyGrant
from ams_kit.auth import KeyUse
from ams_kit.errors import AmsError, BadRequestError, TooManyError, UnavailableError, UnsupportedError
from ams_kit.http.client_address import address_from
from ams_kit.http.problems import RequestTimeoutError, status_of
from ams_kit.telemetry.metrics import EVENTS_IGNORED
from ams_trace_ingest.intake.body import ARRIVAL_TIMEOUT_SECONDS, inflate
from ams_trace_ingest.intake.budget import OVER_BUDGET, RETRY_AFTER_SECONDS, Lease
from ams_trace_ingest.intake.keys import grant_of_headers
from ams_trace_ingest.intake.otlp import MESSAGE_CHARS_MAX, Encoding, Signal, encode_answer, rpc_code
from ams_trace_ingest.intake.otlp_requests import INFLATED_BYTES_MAX, SENT_BYTES_MAX, OtlpOutcome, take_log_records, take_spans
from ams_trace_ingest.intake.publish import IntakeContext

ARRIVING_BYTES = 4 * 1024 * 1024  # reserved while a message arrives: its size is unknown before, and few are larger
RESERVATION_TIMEOUT_SECONDS = 2.0
RESERVATION_POLL_SECONDS = 0.01
CALLS_MAX = 512
KEY_CALLS_MAX = CALLS_MAX // 4  # a call may wait for its client, and others must be served beside it
HANDSHAKE_TIMEOUT_MS = 10_000
STOP_GRACE_SECONDS = 2.0
CONNECTION_AGE_MAX_MS = 300_000  # then the client connects again, and may reach a replica that was added since
CONNECTION_AGE_GRACE_MS = 35_000
GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_HEAD = re.compile(rb"\x78[\x01\x5e\x9c\xda]")  # no first bytes of an OTLP request, which begins with the tag of its field 1

logger = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Take = Callable[[IntakeContext, KeyGrant, Lease, bytes, Encoding], Awaitable[OtlpOutcome]]
Export = Callable[[IntakeContext, Context], Awaitable[bytes]]

_PACKAGE = "opentelemetry.proto.collector"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = [
    ("grpc.max_receive_message_length", SENT_BYTES_MAX),
    ("grpc.per_message_decompression", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MAX_MS),
    ("grpc.max_connection_age_grace_ms", CONNECTION_AGE_GRACE_MS),
]


class GrpcListener:
    """The listener for OTLP over gRPC. Run it as a background task, and ``stop`` it before what it publishes to is closed.

    Args:
        intake: The objects that it shares with the routes of HTTP.
        host: The address to bind.
        port: The port to bind.
    """

    def __init__(self, intake: IntakeContext, host: str, port: int) -> None:
        self._intake = intake
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server: grpc.aio.Server | None = None
        self._stopping = False

    async def run(self) -> None:
        """Serve until ``stop``.

        Raises:
            RuntimeError: The port is in use.
        """
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        server.add_generic_rpc_handlers((_Services(self._intake),))
        server.add_insecure_port(self._address)
        await server.start()
        logger.info("listening", protocol="grpc", address=self._address)
        self._server = server
        try:
            await server.wait_for_termination()
        finally:
            self._server = None
            await server.stop(None)
        if not self._stopping:
            raise RuntimeError("the gRPC server ended by itself")

    async def check(self) -> None:
        """Check readiness.

        Raises:
            UnavailableError: It does not listen.
        """
        if self._server is None:
            raise UnavailableError("OTLP over gRPC does not listen; see the log.")

    async def stop(self) -> None:
        """Take no new calls, and wait up to 2 s for the calls in progress."""
        self._stopping = True
        if self._server is not None:
            await self._server.stop(STOP_GRACE_SECONDS)


class _Services(grpc.GenericRpcHandler):
    """The methods that are served. An unknown one is answered with those that are."""

    def __init__(self, intake: IntakeContext) -> None:
        calls = _Calls()
        self._handlers = {
            name: grpc.stream_unary_rpc_method_handler(_handler(export, intake))
            for name, export in {
                f"/{_PACKAGE}.trace.v1.TraceService/Export": _exporter(Signal.TRACES, take_spans, calls),
                f"/{_PACKAGE}.logs.v1.LogsService/Export": _exporter(Signal.LOGS, take_log_records, calls),
                f"/{_PACKAGE}.metrics.v1.MetricsService/Export": _refuse_metrics,
            }.items()
        }
        self._unknown = grpc.stream_unary_rpc_method_handler(_handler(_refuse_unknown, intake))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method, self._unknown)


def _handler(export: Export, intake: IntakeContext) -> Callable[[Any, Context], Awaitable[bytes]]:
    async def handle(_: Any, context: Context) -> bytes:
        try:
            return await export(intake, context)
        except AmsError as error:
            await _abort(context, error)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception as error:
            logger.exception("unexpected error", protocol="grpc", error_type=type(error).__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    return handle


class _Calls:
    """The calls in progress by key, so that one key leaves room for others."""

    def __init__(self) -> None:
        self._by_key: Counter[str] = Counter()  # of keys that have one

    @contextmanager
    def one(self, key_id: str) -> Generator[None]:
        """Count a call while the block runs.

        Raises:
            UnavailableError: The key has as many calls as it may have at a time.
        """
        if self._by_key[key_id] >= KEY_CALLS_MAX:
            reason = f"More than {KEY_CALLS_MAX} calls of this API key are in progress. Send it again."
            raise UnavailableError(reason, code=OVER_BUDGET, retry_after_seconds=RETRY_AFTER_SECONDS)
        self._by_key[key_id] += 1
        try:
            yield
        finally:
            self._by_key[key_id] -= 1
            if not self._by_key[key_id]:
                del self._by_key[key_id]


def _exporter(signal: Signal, take: Take, calls: _Calls) -> Export:
    async def export(intake: IntakeContext, context: Context) -> bytes:
        grant = await _grant_of(context, intake)
        with calls.one(grant.key_id), intake.budget.lease(grant.project_id, grant.key_id) as lease:
            outcome = await take(intake, grant, lease, await _receive(context, lease), Encoding.PROTOBUF)
        return encode_answer(signal, Encoding.PROTOBUF, rejected=outcome.rejected, message=outcome.message)

    return export


async def _refuse_metrics(intake: IntakeContext, context: Context) -> bytes:
    await _grant_of(context, intake)
    EVENTS_IGNORED.labels("intake", "otlp_metrics").inc()
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "AMS stores no metrics, only traces and logs. Set OTEL_METRICS_EXPORTER=none.")


async def _refuse_unknown(_: IntakeContext, context: Context) -> bytes:
    services = f"{_PACKAGE}.trace.v1.TraceService/Export and {_PACKAGE}.logs.v1.LogsService/Export"
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"There is no such method. This port serves {services}.")


async def _grant_of(context: Context, intake: IntakeContext) -> KeyGrant:
    metadata = context.invocation_metadata() or ()
    values: dict[str, list[str]] = {"authorization": [], "x-api-key": [], "user-agent": [], "x-forwarded-for": []}
    for key, value in metadata:
        if key in values:
            values[key].append(value if isinstance(value, str) else value.decode("latin-1"))
    address = address_from(_address_of_peer(context.peer()), values["x-forwarded-for"], intake.auth.trusted_proxies)
    use = KeyUse(str(address or ""), next(iter(values["user-agent"]), ""))
    return await grant_of_headers(values["authorization"], next(iter(values["x-api-key"]), ""), intake, use)


def _address_of_peer(peer: str) -> str:
    """The address in grpc's name of a peer, ``ipv4:192.0.2.7:5000`` or ``ipv6:%5B::1%5D:5000``."""
    host = unquote(peer).partition(":")[2].rpartition(":")[0]
    return host.strip("[]")


async def _receive(context: Context, lease: Lease) -> bytes:
    """The message of the call, inflated."""
    await _reserve(lease)
    try:
        async with asyncio.timeout(ARRIVAL_TIMEOUT_SECONDS):
            message = await context.read()
    except TimeoutError as error:
        raise RequestTimeoutError(f"A message must arrive within {ARRIVAL_TIMEOUT_SECONDS} s. Send fewer spans at a time.") from error
    if not isinstance(message, bytes):  # the end of the stream; grpc itself has answered a message that is too large
        raise BadRequestError("The call has no message.", code="no_message")
    lease.resize(len(message))
    if DEFLATE_HEAD.match(message):
        raise UnsupportedError("Use the compression gzip or none.", code="unsupported_encoding")
    return await inflate(message, lease, INFLATED_BYTES_MAX) if message.startswith(GZIP_MAGIC) else message


async def _reserve(lease: Lease) -> None:
    """Reserve room for a message, and wait a moment for it: agents that start together export together."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + RESERVATION_TIMEOUT_SECONDS
    while True:
        try:
            return lease.resize(ARRIVING_BYTES, arriving=True)
        except UnavailableError:
            if clock() >= deadline:
                raise
        await asyncio.sleep(RESERVATION_POLL_SECONDS)


async def _abort(context: Context, error: AmsError) -> Never:
    """Answer an error. One that the sender may repeat says when: in the standard status details, and where OpenTelemetry's exporter for Python looks."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if error.code == OVER_BUDGET else _CODES[rpc_code(status_of(error))]
    text = error.detail[:MESSAGE_CHARS_MAX]
    trailing: tuple[tuple[str, bytes], ...] = ()
    if isinstance(error, TooManyError | UnavailableError):
        retry = RetryInfo()
        retry.retry_delay.seconds = error.retry_after_seconds
        detail = Detail()
        detail.Pack(retry)
        status = Status(code=code.value[0], message=text, details=[detail])
        trailing = (("grpc-status-details-bin", status.SerializeToString()), ("google.rpc.retryinfo-bin", retry.SerializeToString()))
    await context.abort(code, text, trailing)
