"""Reads a JSON body: checks size, encoding, type and UTF-8, then decodes strictly, with a deadline for the body.

Litestar's own ``data`` argument accepts a body without a content type, responds with 500 to bytes that are not UTF-8, and uses one status for
malformed JSON and invalid values.
"""

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

from ams_contracts.codec import MalformedError, decode
from ams_kit.errors import BadRequestError, InvalidError, UnsupportedError
from ams_kit.http.problems import BodyTooLargeError, RequestTimeoutError

DISCARDED_BYTES_MAX = 1_048_576
READ_SECONDS = 8  # so that a slow body is refused with 408 within 10 s

T = TypeVar("T")

_anything = msgspec.json.Decoder()
_NOT_DECODED = {"empty": "malformed_json", "not_json": "malformed_json", "not_utf8": "not_utf8", "too_deep": "too_deep"}


async def read_json(
    request: Request[Any, Any, Any], decoder: msgspec.json.Decoder[T], *, bytes_max: int, seconds_max: float = READ_SECONDS
) -> T:
    """Read and decode the body of a request.

    Args:
        request: The request; its body is not read yet.
        decoder: A strict decoder, which coerces nothing. Unknown fields are ignored.
        bytes_max: The limit of the body.
        seconds_max: The time for the complete body to arrive.

    Raises:
        BodyTooLargeError: The body is larger; the connection is closed.
        UnsupportedError: The body is compressed, or its content type is not JSON.
        RequestTimeoutError: The body did not arrive in time.
        BadRequestError: The body is not JSON in UTF-8.
        InvalidError: The body is JSON but does not match the struct.
    """
    await _refuse_too_large(request, bytes_max, seconds_max)
    check_content_headers(request)
    data = await _read(request, bytes_max, seconds_max)
    try:
        # the first call rejects malformed JSON, including trailing garbage; the second rejects invalid values
        decode(_anything, data, bytes_max=bytes_max)
        return decode(decoder, data, bytes_max=bytes_max)
    except MalformedError as error:
        code = _NOT_DECODED.get(error.code)
        if code is not None:
            raise BadRequestError("The body is not JSON in UTF-8.", code=code) from error
        raise InvalidError(error.detail or "The body does not have the expected fields.") from error


async def read_body(request: Request[Any, Any, Any], *, bytes_max: int, seconds_max: float = READ_SECONDS) -> bytes:
    """Read the body of a request that another library decodes, also where the route is a bare ASGI application.

    Args:
        request: The request; its body is not read yet.
        bytes_max: The limit of the body.
        seconds_max: The time for the complete body to arrive.

    Raises:
        BodyTooLargeError: The body is larger; the connection is closed.
        RequestTimeoutError: The body did not arrive in time.
    """
    await _refuse_too_large(request, bytes_max, seconds_max)
    data = bytearray()
    try:
        async with asyncio.timeout(seconds_max):
            message = await request.receive()
            while message["type"] == "http.request":
                data += message["body"]
                if len(data) > bytes_max:
                    raise _too_large(bytes_max)
                if not message["more_body"]:
                    break
                message = await request.receive()
    except TimeoutError as error:
        raise RequestTimeoutError(f"The body did not arrive within {seconds_max:.0f} s.") from error
    return bytes(data)


async def _refuse_too_large(request: Request[Any, Any, Any], bytes_max: int, seconds_max: float) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and (declared := int(length[:19])) > bytes_max:
        if declared <= DISCARDED_BYTES_MAX and not waits_for_continue(request):
            await discard_body(request, bytes_max=DISCARDED_BYTES_MAX, seconds_max=seconds_max)
        raise _too_large(bytes_max)


def check_content_headers(request: Request[Any, Any, Any]) -> None:
    """Check that the headers declare uncompressed JSON.

    Raises:
        UnsupportedError: The body is compressed, or its content type is missing or another one.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedError("Send the body uncompressed.", code="unsupported_content_encoding")
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedError("Send Content-Type: application/json.")
    check_charset(content_type)


def check_charset(content_type: str) -> None:
    """Check that a content type declares no other charset than UTF-8.

    Raises:
        UnsupportedError: It does.
    """
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedError("Send the body in UTF-8.", code="unsupported_charset")


def waits_for_continue(request: Request[Any, Any, Any]) -> bool:
    """Whether the client sends no body before it is asked to (``Expect: 100-continue``), so that nothing has to be discarded."""
    return request.headers.get("expect", "").strip().lower() == "100-continue"


def _too_large(bytes_max: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is too large. The limit is {bytes_max} bytes.")


async def discard_body(request: Request[Any, Any, Any], *, bytes_max: int, seconds_max: float) -> None:
    """Receive and discard the rest of a body that is refused.

    Without this the client sees a broken connection instead of the answer, and a gateway responds with 503.
    """
    left = bytes_max
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            message = await request.receive()  # request.stream() refuses a declared length over Litestar's limit
            while left >= 0 and message["type"] == "http.request" and message["more_body"]:
                left -= len(message["body"])
                message = await request.receive()


async def _read(request: Request[Any, Any, Any], bytes_max: int, seconds_max: float) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.stream():
                data += chunk
                if len(data) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as error:
        raise RequestTimeoutError(f"The body did not arrive within {seconds_max:.0f} s.") from error
    except HTTPException as error:  # Litestar's own limit
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise _too_large(bytes_max) from error
        raise
    return bytes(data)


def with_json_body(body: type[msgspec.Struct]) -> type[Operation]:
    """Build the ``operation_class`` of a route that uses ``read_json``. It adds the struct's JSON Schema to the OpenAPI document."""
    (reference,), components = msgspec.json.schema_components([body], ref_template="{name}")
    schema: Any = _inlined(reference, components)  # Litestar types its own Schema here and passes a dict through
    request_body = RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=schema)})

    class WithJsonBody(Operation):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            self.request_body = request_body

    return WithJsonBody


def _inlined(value: Any, components: dict[str, Any]) -> Any:
    """Replace the references of a JSON Schema by their targets. Bodies are small and not recursive."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(components[value["$ref"]], components)
        return {key: _inlined(item, components) for key, item in value.items()}
    return [_inlined(item, components) for item in value] if isinstance(value, list) else value
