"""Errors of the platform, by what the caller does about them. ``ams_kit.http.problems`` maps them to HTTP responses.

``code`` is stable and machine-readable. ``detail`` is one sentence for a person and never contains a secret.
"""

from typing import Any


class AmsError(Exception):
    """The base class. An instance of the class itself means a fault of the platform.

    Attributes:
        detail: One sentence for a person, possibly empty.
        code: A stable name; each subclass has a default.
        more: Further fields of the problem document, by name, e.g. the column of a query that does not parse.
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
    """Sign in again: the caller is not signed in, or the user name or password is wrong."""

    code = "unauthenticated"


class BearerRequiredError(UnauthenticatedError):
    """Send another bearer credential: it is missing, has another scheme, or is an invalid API key."""


class InvalidTokenError(UnauthenticatedError):
    """Get another access token: this one is malformed, expired or revoked."""

    code = "invalid_token"


class ForbiddenError(AmsError):
    """Give up: the caller is authenticated and not allowed to do this."""

    code = "forbidden"


class NotFoundError(AmsError):
    """Give up: the resource does not exist, or belongs to another project or user. Both cases give the same response."""

    code = "not_found"


class ConflictError(AmsError):
    """Read again and decide: another request changed the resource first, or the name is taken."""

    code = "conflict"


class TooLargeError(AmsError):
    """Send or request less."""

    code = "too_large"


class UnsupportedError(AmsError):
    """Send another content type, encoding or version."""

    code = "unsupported_media_type"


class InvalidError(AmsError):
    """Give up: the request decodes, but its values are not acceptable."""

    code = "invalid"


class _RetryLaterError(AmsError):
    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, code: str | None = None, **more: Any) -> None:
        super().__init__(detail, code=code, **more)
        self.retry_after_seconds = retry_after_seconds


class TooManyError(_RetryLaterError):
    """Retry after ``retry_after_seconds``: the caller exceeded a rate limit."""

    code = "too_many_requests"


class UnavailableError(_RetryLaterError):
    """Retry after ``retry_after_seconds``: a server that the request needs is unavailable."""

    code = "unavailable"


class QueryTimeoutError(AmsError):
    """Narrow the query: it took too long."""

    code = "query_timeout"
