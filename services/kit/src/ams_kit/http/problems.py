"""Maps errors to HTTP: status, headers and a problem document (RFC 9457, ``application/problem+json``)."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, Struct, UnsetType

from ams_kit.errors import (
    AmsError,
    BadRequestError,
    BearerRequiredError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    InvalidTokenError,
    NotFoundError,
    QueryTimeoutError,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
logger = structlog.get_logger(__name__)


class Problem(Struct, kw_only=True, omit_defaults=True):
    """A problem document. ``column`` (from 1) and ``suggestion`` come with queries that do not parse, ``methods`` with an action that requires a proof."""

    title: str
    status: int
    code: str
    detail: str = ""
    type: str = "about:blank"
    column: int | UnsetType = UNSET
    suggestion: str | UnsetType = UNSET
    errors: list[dict[str, Any]] | UnsetType = UNSET
    methods: list[str] | UnsetType = UNSET


class MethodNotAllowedError(AmsError):
    """Use another method, or upgrade to a websocket."""

    code = "method_not_allowed"

    def __init__(self, detail: str, *, allow: str, upgrade: str = "") -> None:
        super().__init__(detail)
        self.allow = allow
        self.upgrade = upgrade


class MisdirectedError(AmsError):
    """Use another host name: this server does not serve the given one."""

    code = "misdirected"


class UriTooLongError(AmsError):
    """Send a shorter address."""

    code = "uri_too_long"


class RequestTimeoutError(AmsError):
    """Send the body faster. The connection is closed."""

    code = "request_timeout"


class BodyTooLargeError(TooLargeError):
    """Send less. The rest of the body is not read, so the connection is closed."""


_STATUSES: dict[type[AmsError], tuple[int, str]] = {
    BadRequestError: (400, "The request cannot be read"),
    UnauthenticatedError: (401, "Sign in first"),
    ForbiddenError: (403, "Not allowed"),
    NotFoundError: (404, "Not found"),
    MethodNotAllowedError: (405, "Method not allowed"),
    RequestTimeoutError: (408, "The request did not arrive in time"),
    ConflictError: (409, "Conflict"),
    TooLargeError: (413, "Too large"),
    UriTooLongError: (414, "The address is too long"),
    UnsupportedError: (415, "Unsupported media type"),
    MisdirectedError: (421, "Not served here"),
    InvalidError: (422, "Invalid"),
    TooManyError: (429, "Too many requests"),
    AmsError: (500, "Something went wrong here"),
    UnavailableError: (503, "Unavailable right now"),
    QueryTimeoutError: (504, "The query took too long"),
}


def _status_and_title(error: AmsError) -> tuple[int, str]:
    return next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)


def status_of(error: AmsError) -> int:
    """Return the HTTP status of an error: that of its class, or of the nearest base class that has one."""
    return _status_and_title(error)[0]


def headers_of(error: AmsError) -> dict[str, str]:
    """Return the headers of the response: when to retry, how to authenticate, whether the connection closes."""
    match error:
        case TooManyError() | UnavailableError():
            return {"Retry-After": str(error.retry_after_seconds)}
        case BearerRequiredError():
            return {"WWW-Authenticate": "Bearer"}
        case InvalidTokenError():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case MethodNotAllowedError():
            return {"Allow": error.allow, **({"Upgrade": error.upgrade} if error.upgrade else {})}
        case RequestTimeoutError() | BodyTooLargeError():
            return {"Connection": "close"}
        case _:
            return {}


def problem_of(error: AmsError) -> Problem:
    """Build the problem document of an error."""
    status, title = _status_and_title(error)
    return Problem(title=title, status=status, code=error.code, detail=error.detail, **error.more)


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
    """Build the Litestar response of a problem document."""
    return Response(problem, status_code=problem.status, media_type=PROBLEM_MEDIA_TYPE, headers=headers or {})


def answer_ams_error(_: Request[Any, Any, Any], error: AmsError) -> Response[Problem]:
    """Handle our own errors (a Litestar exception handler)."""
    return problem_response(problem_of(error), headers_of(error))


def answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Handle errors of drivers whose server is unavailable (a Litestar exception handler)."""
    logger.warning("a server is unavailable", path=request.url.path, error_type=type(error).__name__)
    return answer_ams_error(request, UnavailableError("A server that this request needs is unavailable. Try again."))


def answer_http_exception(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Handle the framework's errors (a Litestar exception handler). ``detail`` has the reason without the request body."""
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
    """Handle all other errors (a Litestar exception handler). The log has type and stack; the response omits the error's text."""
    logger.error("unexpected error", path=request.url.path, method=request.method, error_type=type(error).__name__, exc_info=error)
    return problem_response(problem_of(AmsError()))


EXCEPTION_HANDLERS: dict[Any, Any] = {AmsError: answer_ams_error, HTTPException: answer_http_exception, Exception: answer_unexpected}
