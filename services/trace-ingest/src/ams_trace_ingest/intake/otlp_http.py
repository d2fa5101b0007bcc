"""OTLP over HTTP: ``/v1/traces``, ``/v1/logs``, ``/v1/metrics``. Errors are ``google.rpc.Status`` in the request's encoding.

Clients retry 429, 502, 503 and 504 only, so a retriable failure is answered 503 with ``Retry-After``.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from ams_contracts.claims import KeyGrant
from ams_contracts.topics import PAYLOADS, STEPS
from ams_kit.bus import Record
from ams_kit.errors import AmsError, BadRequestError, TooLargeError, UnsupportedError
from ams_kit.http.json_body import check_charset
from ams_kit.http.problems import answer_unexpected, headers_of, status_of
from ams_kit.http.protocol import GRPC_ADVICE
from ams_kit.telemetry.metrics import EVENTS_IGNORED
from ams_trace_ingest.intake.body import read_body
from ams_trace_ingest.intake.budget import Lease
from ams_trace_ingest.intake.keys import grant_of
from ams_trace_ingest.intake.log_joiner import LogOutcome
from ams_trace_ingest.intake.otlp import (
    Encoding,
    MalformedOtlpError,
    Signal,
    TooManySpansError,
    decode_logs,
    decode_traces,
    encode_answer,
    encode_error,
    encoding_of,
)
from ams_trace_ingest.intake.publish import IntakeContext, publish, refused
from ams_trace_ingest.intake.span_records import PackedSpans, pack_additions, pack_spans

SENT_BYTES_MAX = 16 * 1024 * 1024
INFLATED_BYTES_MAX = 64 * 1024 * 1024
INLINE_BYTES_MAX = 256 * 1024  # some 200 spans, 8 ms

AnyRequest = Request[Any, Any, Any]
T = TypeVar("T")


def _answer_error(request: AnyRequest, error: AmsError | HTTPException) -> Response[bytes]:
    status, headers = (
        (status_of(error), headers_of(error)) if isinstance(error, AmsError) else (error.status_code, dict(error.headers or {}))
    )
    encoding = encoding_of(request.headers.get("content-type")) or Encoding.JSON
    return Response(encode_error(encoding, status, error.detail), status_code=status, media_type=encoding.value, headers=headers)


def _answer_unexpected(request: AnyRequest, error: Exception) -> Response[bytes]:
    answer_unexpected(request, error)
    encoding = encoding_of(request.headers.get("content-type")) or Encoding.JSON
    return Response(encode_error(encoding, 500, "internal error"), status_code=500, media_type=encoding.value)


_OPTIONS: dict[str, Any] = {
    "status_code": 200,
    "opt": {"public": True},  # authenticated by API key, not by access token
    "request_max_body_size": None,  # read_body limits it, before and after inflating
    "exception_handlers": {AmsError: _answer_error, HTTPException: _answer_error, Exception: _answer_unexpected},
}


@post("/v1/traces", summary="Take OpenTelemetry spans", **_OPTIONS)
async def take_traces(request: AnyRequest, state: State) -> Response[bytes]:
    """``ExportTraceServiceRequest`` in protobuf or JSON, gzip allowed: 16 MiB as sent, 64 MiB inflated, 10,000 spans."""
    intake: IntakeContext = state.intake
    grant, encoding = await _open(request, intake)
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        body = await _body(request, lease)
        rejected, message, packed = await _decode_off_loop(intake, body, _read_spans, encoding, grant, intake)
        if rejected:
            refused("otlp", "bad_span", rejected)
        del body  # while the log is unavailable only the records stay in memory, and the lease counts them
        await publish(intake, lease, packed.payloads, packed.steps, source="otlp", events=packed.events)
    return _answer(Signal.TRACES, encoding, rejected=rejected, message=message)


@post("/v1/logs", summary="Take OpenTelemetry log records", **_OPTIONS)
async def take_logs(request: AnyRequest, state: State) -> Response[bytes]:
    """``ExportLogsServiceRequest``: GenAI events join their steps, other records are ignored and counted."""
    intake: IntakeContext = state.intake
    grant, encoding = await _open(request, intake)
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        body = await _body(request, lease)
        outcome, payloads, steps = await _decode_off_loop(intake, body, _read_logs, encoding, grant, intake)
        del body
        events = len(outcome.additions.payloads) + len(outcome.additions.steps)
        await publish(intake, lease, payloads, steps, source="otlp", events=events)
    EVENTS_IGNORED.labels("intake", "otlp_logs").inc(outcome.ignored)
    if not outcome.refused:
        return _answer(Signal.LOGS, encoding)
    refused("otlp", "log_of_nothing", outcome.refused)
    return _answer(Signal.LOGS, encoding, rejected=outcome.refused, message="GenAI events need trace and span ids, or gen_ai.response.id")


@post("/v1/metrics", summary="Ignore OpenTelemetry metrics", **_OPTIONS)
async def ignore_metrics(request: AnyRequest, state: State) -> Response[bytes]:
    """Answered 200 and counted: an exporter that sends all signals to one address logs no errors."""
    intake: IntakeContext = state.intake
    grant, encoding = await _open(request, intake)
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        await read_body(request, lease, sent_bytes_max=SENT_BYTES_MAX, inflated_bytes_max=INFLATED_BYTES_MAX)
    EVENTS_IGNORED.labels("intake", "otlp_metrics").inc()
    return _answer(Signal.METRICS, encoding)


def _read_spans(body: bytes, encoding: Encoding, grant: KeyGrant, intake: IntakeContext) -> tuple[int, str, PackedSpans]:
    try:
        decoded = decode_traces(body, encoding)
    except MalformedOtlpError as error:
        raise BadRequestError(str(error), code="malformed_otlp") from error
    except TooManySpansError as error:
        raise TooLargeError(str(error), code=error.code) from error
    received_at_us = time.time_ns() // 1_000
    packed = pack_spans(
        decoded, project_id=grant.project_id, key_id=grant.key_id, received_at_us=received_at_us, prices=intake.prices, logs=intake.logs
    )
    return decoded.rejected, decoded.message, packed


def _read_logs(body: bytes, encoding: Encoding, grant: KeyGrant, intake: IntakeContext) -> tuple[LogOutcome, list[Record], list[Record]]:
    try:
        records = decode_logs(body, encoding)
    except MalformedOtlpError as error:
        raise BadRequestError(str(error), code="malformed_otlp") from error
    except TooManySpansError as error:
        raise TooLargeError(str(error), code=error.code) from error
    outcome = intake.logs.add_logs(grant.project_id, records, received_at_us=time.time_ns() // 1_000)
    payloads = pack_additions(PAYLOADS, outcome.additions.payloads, project_id=grant.project_id, key_id=grant.key_id)
    return outcome, payloads, pack_additions(STEPS, outcome.additions.steps, project_id=grant.project_id, key_id=grant.key_id)


async def _decode_off_loop(intake: IntakeContext, body: bytes, read: Callable[..., T], *arguments: Any) -> T:
    """Decode a large body in a thread, one at a time, so that small requests and health checks are answered at the same time."""
    if len(body) <= INLINE_BYTES_MAX:
        return read(body, *arguments)
    async with intake.decoding:
        return await asyncio.to_thread(read, body, *arguments)


async def _open(request: AnyRequest, intake: IntakeContext) -> tuple[KeyGrant, Encoding]:
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("application/grpc"):
        raise UnsupportedError(GRPC_ADVICE, code="grpc_unsupported")
    grant = await grant_of(request, intake.auth)
    encoding = encoding_of(content_type)
    if encoding is None:
        raise UnsupportedError("use Content-Type application/x-protobuf or application/json")
    if encoding is Encoding.JSON:
        check_charset(content_type)
    return grant, encoding


async def _body(request: AnyRequest, lease: Lease) -> bytes:
    return await read_body(request, lease, sent_bytes_max=SENT_BYTES_MAX, inflated_bytes_max=INFLATED_BYTES_MAX)


def _answer(signal: Signal, encoding: Encoding, *, rejected: int = 0, message: str = "") -> Response[bytes]:
    return Response(encode_answer(signal, encoding, rejected=rejected, message=message), media_type=encoding.value)
