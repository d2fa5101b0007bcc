"""Errors of the platform, sorted by what the caller does about them. How they look over HTTP is the business of ``ams_kit.http.problems``.

``code`` is stable and machine-readable. ``detail`` is one sentence for a person and never contains a secret.
"""

from typing import Any


class AmsError(Exception):
    """The base class. Raised itself, it means a fault of the platform.

    Attributes:
        detail: One sentence for a person, possibly empty.
        code: A stable name; each subclass has a default.
        more: Further fields of the answer, by name, e.g. the column of a query that does not parse.
    """

    code = "internal"

    def __init__(self, detail: str = "", *, code: str | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.more = more


class BadRequestError(AmsError):
    """Give up: the request cannot be decoded, or a query does not parse."""

    code = "bad_request"


class UnauthenticatedError(AmsError):
    """Sign in again: nobody is signed in, or the user name or password is wrong."""

    code = "unauthenticated"


class BearerRequiredError(UnauthenticatedError):
    """Send another bearer credential: it is missing, of another scheme, or an API key that is not valid."""


class InvalidTokenError(UnauthenticatedError):
    """Get another access token: this one is malformed, expired or revoked."""

    code = "invalid_token"


class ForbiddenError(AmsError):
    """Give up: the caller is known and not allowed to do this."""

    code = "forbidden"


class NotFoundError(AmsError):
    """Give up: it does not exist, or belongs to somebody else. Both get the same answer."""

    code = "not_found"


class ConflictError(AmsError):
    """Read again and decide: somebody else changed it first, or the name is taken."""

    code = "conflict"


class TooLargeError(AmsError):
    """Send or ask for less."""

    code = "too_large"


class UnsupportedError(AmsError):
    """Send another content type, encoding or version."""

    code = "unsupported_media_type"


class InvalidError(AmsError):
    """Give up: the request decodes, and its values are not acceptable."""

    code = "invalid"


class _RetryLaterError(AmsError):
    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, code: str | None = None, **more: Any) -> None:
        super().__init__(detail, code=code, **more)
        self.retry_after_seconds = retry_after_seconds


class TooManyError(_RetryLaterError):
    """Retry after ``retry_after_seconds``: the caller exceeded a rate limit."""

    code = "too_many_requests"


class UnavailableError(_RetryLaterError):
    """Retry after ``retry_after_seconds``: a server that this needs is unavailable."""

    code = "unavailable"


class QueryTimeoutError(AmsError):
    """Narrow the query: it took too long."""

    code = "query_timeout"
