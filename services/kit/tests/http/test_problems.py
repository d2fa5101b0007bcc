"""Each error maps to a status, headers and a problem document."""

import pytest

from ams_kit import errors
from ams_kit.bus import LogUnavailableError, RecordTooLargeError
from ams_kit.http.problems import (
    BodyTooLargeError,
    MethodNotAllowedError,
    MisdirectedError,
    RequestTimeoutError,
    UriTooLongError,
    headers_of,
    problem_of,
    status_of,
)


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (errors.AmsError(), 500, {}),
        (errors.BadRequestError("?"), 400, {}),
        (errors.UnauthenticatedError("?"), 401, {}),
        (errors.BearerRequiredError("?"), 401, {"WWW-Authenticate": "Bearer"}),
        (errors.InvalidTokenError("?"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}),
        (errors.ForbiddenError("?"), 403, {}),
        (errors.NotFoundError("?"), 404, {}),
        (errors.ConflictError("?"), 409, {}),
        (errors.TooLargeError("?"), 413, {}),
        (errors.UnsupportedError("?"), 415, {}),
        (errors.InvalidError("?"), 422, {}),
        (errors.TooManyError("?", retry_after_seconds=7), 429, {"Retry-After": "7"}),
        (errors.UnavailableError("?"), 503, {"Retry-After": "1"}),
        (errors.QueryTimeoutError("?"), 504, {}),
        (LogUnavailableError("?"), 503, {"Retry-After": "1"}),
        (RecordTooLargeError("?"), 413, {}),
        (MethodNotAllowedError("?", allow="GET", upgrade="websocket"), 405, {"Allow": "GET", "Upgrade": "websocket"}),
        (RequestTimeoutError("?"), 408, {"Connection": "close"}),
        (BodyTooLargeError("?"), 413, {"Connection": "close"}),
        (UriTooLongError("?"), 414, {}),
        (MisdirectedError("?"), 421, {}),
    ],
)
def test_an_error_has_a_status_and_headers(error: errors.AmsError, status: int, headers: dict[str, str]) -> None:
    assert (status_of(error), headers_of(error), problem_of(error).status) == (status, headers, status)


def test_a_problem_document_has_the_code_the_detail_and_further_fields() -> None:
    problem = problem_of(errors.BadRequestError("Unknown field: colour", code="unknown_field", column=3, suggestion="color"))

    assert (problem.code, problem.detail, problem.column, problem.suggestion) == ("unknown_field", "Unknown field: colour", 3, "color")
    assert problem_of(LogUnavailableError("no broker")).code == "log_unavailable"
