"""Declares the problem documents of routes in the OpenAPI document, by what a route is and not one by one."""

from collections.abc import Iterable
from typing import Any, TypeVar

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIResponse, Operation

from ams_kit.http.problems import PROBLEM_MEDIA_TYPE, Problem

DESCRIPTIONS = {
    400: "The request cannot be read: a header, a parameter, a cursor or the body.",
    401: "The credential is missing or not valid.",
    403: "The caller is not allowed to do this.",
    404: "It does not exist, or is another person's.",
    408: "The body did not arrive in time.",
    409: "The state of the account or project does not allow this, or a name is taken.",
    413: "The body is too large.",
    415: "The body is not uncompressed JSON.",
    422: "The body does not have the expected fields, or a value is not acceptable.",
    429: "Too many attempts. Retry after Retry-After.",
    503: "A required server is unavailable. Retry after Retry-After.",
}
_EVERY = {400, 503}
_WITH_CREDENTIAL = {401, 403}
_CHANGE = {401, 403, 404, 409, 415, 429}
_WITH_BODY = {408, 413, 422}


class NoContentOperation(Operation):
    """The ``operation_class`` of a route that answers 204 by a ``Response``, for which Litestar declares a body."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        if self.responses is not None and isinstance(answer := self.responses.get("204"), OpenAPIResponse):
            answer.content = None


Handler = TypeVar("Handler", bound=HTTPRouteHandler)


def with_problems(handlers: Iterable[Handler], *, also: Iterable[int] = ()) -> list[Handler]:
    """Declare the problem documents that each route can answer with.

    Args:
        handlers: The routes.
        also: Further statuses of all of them.

    Returns:
        The handlers.
    """
    declared, more = list(handlers), set(also)
    for handler in declared:
        handler.responses = {**_specs(_statuses(handler) | more), **(handler.responses or {})}
    return declared


def _statuses(handler: HTTPRouteHandler) -> set[int]:
    statuses = set(_EVERY)
    if not handler.opt.get("public"):
        statuses |= _WITH_CREDENTIAL
    if any("{" in path for path in handler.paths):
        statuses.add(404)
    if "GET" not in handler.http_methods:
        statuses |= _CHANGE
    if handler.operation_class().request_body is not None:
        statuses |= _WITH_BODY
    return statuses


def _specs(statuses: set[int]) -> dict[int, ResponseSpec]:
    media_type: Any = PROBLEM_MEDIA_TYPE  # Litestar types an enumeration here and passes any text through
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=DESCRIPTIONS[status], media_type=media_type)
        for status in sorted(statuses)
    }
