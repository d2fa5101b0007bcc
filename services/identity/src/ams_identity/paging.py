"""Pagination of lists: ``?limit=1..500&cursor=``, parsed strictly. A cursor is the id of the last item."""

import re
from typing import Any

from litestar import Request
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema
from msgspec import Struct

from ams_kit.auth.encoding import decode_base64url, encode_base64url
from ams_kit.errors import BadRequestError

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


class Page(Struct, frozen=True):
    """The requested part of a list. ``after`` is the id of the last item that the caller has."""

    limit: int
    after: str | None


def page_of(request: Request[Any, Any, Any], id_pattern: str) -> Page:
    """Parse the page that a request asks for.

    Raises:
        BadRequestError: unknown_parameter | duplicate_parameter | invalid_limit | invalid_cursor.
    """
    parameters: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in {"limit", "cursor"}:
            raise BadRequestError("This parameter is unknown. Send limit and cursor only.", code="unknown_parameter")
        if name in parameters:
            raise BadRequestError(f"{name} is given twice. Send it once.", code="duplicate_parameter")
        parameters[name] = value
    limit = parameters.get("limit", str(LIMIT_DEFAULT))
    if _LIMIT.fullmatch(limit) is None or int(limit) > LIMIT_MAX:
        raise BadRequestError(f"limit must be a whole number from 1 to {LIMIT_MAX}.", code="invalid_limit")
    cursor = parameters.get("cursor")
    return Page(int(limit), None if cursor is None else _after(cursor, id_pattern))


def _after(cursor: str, id_pattern: str) -> str:
    try:
        after = decode_base64url(cursor).decode()
    except ValueError as error:
        raise BadRequestError("The cursor is not valid. Start again without it.", code="invalid_cursor") from error
    if re.fullmatch(id_pattern, after) is None:
        raise BadRequestError("The cursor is not valid. Start again without it.", code="invalid_cursor")
    return after


def cursor_after(ids: list[str], limit: int) -> str | None:
    """The cursor of the next page, ``None`` on the last one. ``ids`` has one more item than the page when another page follows."""
    return encode_base64url(ids[limit - 1].encode()) if len(ids) > limit else None


class PagedOperation(Operation):
    """The ``operation_class`` of a list: adds ``limit`` and ``cursor`` to the OpenAPI document."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        limit = Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=LIMIT_MAX, default=LIMIT_DEFAULT)
        self.parameters = [
            *(self.parameters or []),
            Parameter(name="limit", param_in="query", required=False, schema=limit),
            Parameter(name="cursor", param_in="query", required=False, schema=Schema(type=OpenAPIType.STRING)),
        ]
