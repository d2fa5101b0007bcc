"""Errors by what the caller does about them, and how they look over HTTP (RFC 9457, ``application/problem+json``).

This is the only module that knows HTTP numbers. ``code`` is stable; ``detail`` is a sentence for a person and never echoes a secret.
"""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, Struct, UnsetType

PROBLEM_MEDIA_TYPE = "application/problem+json"
logger = structlog.get_logger(__name__)


class Problem(Struct, kw_only=True, omit_defaults=True):
    """A problem document. ``column`` (from 1) and ``suggestion`` come with queries that do not parse."""

    title: str
    status: int
    code: str
    detail: str = ""
    type: str = "about:blank"
    column: int | UnsetType = UNSET
    suggestion: str | UnsetType = UNSET
    errors: list[dict[str, Any]] | UnsetType = UNSET


class AmsError(Exception):
    """An answer that is not a success. Subclasses say what the caller should do."""

    status = 500
    code = "internal"
    title = "Something went wrong here"

    def __init__(self, detail: str = "", *, code: str | None = None, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.headers = headers or {}
        self.more = more


class BadRequestError(AmsError):
    """Give up: it cannot be decoded, or a query does not parse."""

    status, code, title = 400, "bad_request", "The request cannot be read"


class UnauthenticatedError(AmsError):
    """Sign in again."""

    status, code, title = 401, "unauthenticated", "Sign in first"


class ForbiddenError(AmsError):
    """You are known, and may not."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFoundError(AmsError):
    """Not there, or not yours: the same answer."""

    status, code, title = 404, "not_found", "Not found"


class RequestTimeoutError(AmsError):
    """Send faster, or not at all."""

    status, code, title = 408, "request_timeout", "The request did not arrive in time"


class MethodNotAllowedError(AmsError):
    """Ask in another way."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class MisdirectedError(AmsError):
    """Asked under a name that is not served here."""

    status, code, title = 421, "misdirected", "Not served here"


class ConflictError(AmsError):
    """Somebody was faster, or the name is taken."""

    status, code, title = 409, "conflict", "Conflict"


class TooLargeError(AmsError):
    """Send less."""

    status, code, title = 413, "too_large", "Too large"


class UnsupportedError(AmsError):
    """Another content type or encoding is needed."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class InvalidError(AmsError):
    """It decodes and means nothing."""

    status, code, title = 422, "invalid", "Invalid"


class TooManyError(AmsError):
    """Come back later (``Retry-After``)."""

    status, code, title = 429, "too_many_requests", "Too many requests"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, **more: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **more)


class UnavailableError(AmsError):
    """A part that this needs is away. Retry (``Retry-After``)."""

    status, code, title = 503, "unavailable", "Unavailable right now"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, **more: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)}, **more)


class QueryTimeoutError(AmsError):
    """The question took too long. Narrow it."""

    status, code, title = 504, "query_timeout", "The query took too long"


_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response[Problem]:
    """A problem as a Litestar response."""
    return Response(problem, status_code=problem.status, media_type=PROBLEM_MEDIA_TYPE, headers=headers or {})


def answer_ams_error(_: Request[Any, Any, Any], error: AmsError) -> Response[Problem]:
    """Litestar exception handler for our own errors."""
    problem = Problem(title=error.title, status=error.status, code=error.code, detail=error.detail, **error.more)
    return problem_response(problem, error.headers)


def answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Litestar exception handler for what the drivers raise when a server cannot answer now."""
    logger.warning("a server is away", path=request.url.path, error_type=type(error).__name__)
    return answer_ams_error(request, UnavailableError("A server that this needs is away. Try again."))


def answer_http_exception(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Litestar exception handler for the framework's errors: the reason goes into ``detail``, never the body that was sent."""
    extra = error.extra if isinstance(error.extra, list) else None
    errors = (
        [{key: item[key] for key in ("message", "key", "source") if key in item} for item in extra if isinstance(item, dict)]
        if extra
        else UNSET
    )
    code = _CODES.get(error.status_code, "http_error")
    detail = error.detail.split(" for POST")[0].split(" for GET")[0]
    return problem_response(
        Problem(title=code.replace("_", " ").capitalize(), status=error.status_code, code=code, detail=detail, errors=errors),
        dict(error.headers or {}),
    )


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Litestar exception handler for everything else: logged by type and place, answered without its text."""
    logger.error("unexpected error", path=request.url.path, method=request.method, error_type=type(error).__name__, exc_info=error)
    return problem_response(Problem(title=AmsError.title, status=500, code="internal"))


EXCEPTION_HANDLERS: dict[Any, Any] = {AmsError: answer_ams_error, HTTPException: answer_http_exception, Exception: answer_unexpected}
