"""OTLP over HTTP: ``/v1/traces``, ``/v1/logs``, ``/v1/metrics``. Errors are ``google.rpc.Status`` in the request's encoding.

Clients retry 429, 502, 503 and 504 only, so a retriable failure is answered 503 with ``Retry-After``.
"""

from typing import Any

from litestar import Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, RequestBody, Schema

from ams_contracts.claims import KeyGrant
from ams_kit.errors import AmsError, UnsupportedError
from ams_kit.http.json_body import check_charset
from ams_kit.http.problems import MisdirectedError, answer_unexpected, headers_of, status_of
from ams_kit.http.protocol import GRPC_ADVICE
from ams_kit.otel_settings import OWN_HEADER
from ams_kit.telemetry.metrics import EVENTS_IGNORED
from ams_trace_ingest.intake.body import read_body
from ams_trace_ingest.intake.budget import Lease
from ams_trace_ingest.intake.keys import grant_of
from ams_trace_ingest.intake.otlp import Encoding, Signal, encode_answer, encode_error, encoding_of
from ams_trace_ingest.intake.otlp_requests import INFLATED_BYTES_MAX, SENT_BYTES_MAX, OtlpOutcome, take_log_records, take_spans
from ams_trace_ingest.intake.publish import IntakeContext

AnyRequest = Request[Any, Any, Any]


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


_REFUSALS = {
    400: "The body is no OTLP request of this signal, or a header is ambiguous.",
    401: "The API key is missing or not valid.",
    403: "The API key may not write telemetry, or not from this address.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many spans.",
    415: "The content type or the encoding is not supported.",
    421: "The telemetry is that of this platform itself.",
    422: "A value is not acceptable.",
    429: "The project has used its quota. Retry after Retry-After.",
    503: "A required server is unavailable, or more telemetry is in flight than this process may hold. Retry after Retry-After.",
}
_CONTENT = {
    Encoding.PROTOBUF.value: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)),
    Encoding.JSON.value: OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT)),
}


class OtlpOperation(Operation):
    """Declares that requests and all answers are protobuf or JSON."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.request_body = RequestBody(required=True, content=_CONTENT)
        for answer in (self.responses or {}).values():
            if isinstance(answer, OpenAPIResponse):
                answer.content = _CONTENT


_OPTIONS: dict[str, Any] = {
    "responses": {
        status: ResponseSpec(bytes, generate_examples=False, description=f"{text} The body is a google.rpc.Status.")
        for status, text in _REFUSALS.items()
    },
    "status_code": 200,
    "operation_class": OtlpOperation,
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
        outcome = await take_spans(intake, grant, lease, await _body(request, lease), encoding)
    return _answer(Signal.TRACES, encoding, outcome)


@post("/v1/logs", summary="Take OpenTelemetry log records", **_OPTIONS)
async def take_logs(request: AnyRequest, state: State) -> Response[bytes]:
    """``ExportLogsServiceRequest``: GenAI events join their steps, other records are ignored and counted."""
    intake: IntakeContext = state.intake
    grant, encoding = await _open(request, intake)
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        outcome = await take_log_records(intake, grant, lease, await _body(request, lease), encoding)
    return _answer(Signal.LOGS, encoding, outcome)


@post("/v1/metrics", summary="Ignore OpenTelemetry metrics", **_OPTIONS)
async def ignore_metrics(request: AnyRequest, state: State) -> Response[bytes]:
    """Answered 200 and counted: an exporter that sends all signals to one address logs no errors."""
    intake: IntakeContext = state.intake
    grant, encoding = await _open(request, intake)
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        await read_body(request, lease, sent_bytes_max=SENT_BYTES_MAX, inflated_bytes_max=INFLATED_BYTES_MAX)
    EVENTS_IGNORED.labels("intake", "otlp_metrics").inc()
    return _answer(Signal.METRICS, encoding, OtlpOutcome())


async def _open(request: AnyRequest, intake: IntakeContext) -> tuple[KeyGrant, Encoding]:
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("application/grpc"):
        raise UnsupportedError(GRPC_ADVICE, code="grpc_unsupported")
    if request.headers.get(OWN_HEADER) == intake.public_url:  # each request would cause spans about it, without end
        raise MisdirectedError("This platform does not take its own telemetry. Set AMS_OTEL_ENDPOINT to another receiver.")
    grant = await grant_of(request, intake)
    encoding = encoding_of(content_type)
    if encoding is None:
        raise UnsupportedError("use Content-Type application/x-protobuf or application/json")
    if encoding is Encoding.JSON:
        check_charset(content_type)
    return grant, encoding


async def _body(request: AnyRequest, lease: Lease) -> bytes:
    return await read_body(request, lease, sent_bytes_max=SENT_BYTES_MAX, inflated_bytes_max=INFLATED_BYTES_MAX)


def _answer(signal: Signal, encoding: Encoding, outcome: OtlpOutcome) -> Response[bytes]:
    return Response(encode_answer(signal, encoding, rejected=outcome.rejected, message=outcome.message), media_type=encoding.value)
