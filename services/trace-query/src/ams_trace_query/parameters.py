"""Query parameters, parsed strictly. One declaration both validates a request and describes the parameter in the OpenAPI document.

Litestar would read ``limit=1e3`` as 1000, take the last of two equal names, and replace bytes that are not UTF-8.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.openapi.spec import Operation, Schema
from litestar.openapi.spec import Parameter as OpenAPIParameter
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from msgspec import Struct

from ams_kit.auth import is_uuid
from ams_kit.errors import BadRequestError, NotFoundError
from ams_kit.http.problems import UriTooLongError
from ams_trace_query.search.parse import QUERY_BYTES_MAX, VALUES_MAX

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
RANGE_DAYS_MAX = 90
QUERY_STRING_BYTES_MAX = 16_384
TEXT_CHARS_MAX = 4_096
TIME_CHARS_MAX = 64

_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|z|[+-][0-9]{2}:[0-9]{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Parameter(Struct, frozen=True, kw_only=True):
    """A query parameter, and its description in the OpenAPI document."""

    name: str
    description: str
    schema: Mapping[str, Any]


LIMIT = Parameter(
    name="limit",
    description="The largest number of items in the response.",
    schema={"type": OpenAPIType.INTEGER, "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
)
CURSOR = Parameter(
    name="cursor",
    description="next_cursor of the previous page. All other parameters but limit stay the same.",
    schema={"type": OpenAPIType.STRING, "max_length": 1_024},
)
Q = Parameter(
    name="q",
    description='A query, such as status:error latency:>2s cost:>0.01 tag.env:prod "exact words" (agent:planner OR agent:critic) -name:retry.',
    schema={"type": OpenAPIType.STRING, "max_length": QUERY_BYTES_MAX},
)
FROM = Parameter(
    name="from",
    description=f"Only items that started at or after this time (RFC 3339 with a zone). The range has at most {RANGE_DAYS_MAX} days.",
    schema={"type": OpenAPIType.STRING, "format": OpenAPIFormat.DATE_TIME},
)
TO = Parameter(
    name="to",
    description="Only items that started before this time (RFC 3339 with a zone).",
    schema={"type": OpenAPIType.STRING, "format": OpenAPIFormat.DATE_TIME},
)
STATUS = Parameter(
    name="status",
    description="Only items with one of these statuses, comma-separated: running, waiting, ok, error, cancelled, lost.",
    schema={"type": OpenAPIType.STRING},
)
AGENT = Parameter(name="agent", description="Only items of this agent.", schema={"type": OpenAPIType.STRING, "max_length": 256})
STEP_IDS = Parameter(
    name="step_id",
    description=f"Only these steps: at most {VALUES_MAX} comma-separated step ids. Cannot be combined with cursor.",
    schema={"type": OpenAPIType.STRING},
)


def with_parameters(*parameters: Parameter) -> type[Operation]:
    """The ``operation_class`` of a route that reads these parameters."""
    described = [OpenAPIParameter(name=p.name, param_in="query", description=p.description, schema=Schema(**p.schema)) for p in parameters]

    @dataclass
    class WithParameters(Operation):
        def __post_init__(self) -> None:
            self.parameters = [*(self.parameters or []), *described]

    return WithParameters


class QueryParameters(Struct, frozen=True):
    """The query parameters of one request: known names, each at most once."""

    values: dict[str, str]

    def text_of(self, name: str) -> str | None:
        """A text; null when absent or empty."""
        return self.values.get(name) or None

    def limit(self) -> int:
        """The largest number of items in the response.

        Raises:
            BadRequestError: Not a whole number from 1 to 500.
        """
        text = self.values.get("limit")
        if text is None:
            return LIMIT_DEFAULT
        if not _LIMIT.fullmatch(text) or int(text) > LIMIT_MAX:
            raise BadRequestError(f"limit must be a whole number from 1 to {LIMIT_MAX}.", code="bad_limit")
        return int(text)

    def list_of(self, name: str) -> list[str]:
        """A comma-separated list.

        Raises:
            BadRequestError: It has more than 200 values.
        """
        words = [word for word in self.values.get(name, "").split(",") if word]
        if len(words) > VALUES_MAX:
            raise BadRequestError(f"{name} takes at most {VALUES_MAX} values.", code="too_many_values")
        return words

    def time_range(self, now: datetime) -> tuple[int | None, int | None]:
        """``from`` and ``to`` in microseconds UTC.

        Raises:
            BadRequestError: A time is not RFC 3339 or has no zone, the order is wrong, or the range is too long.
        """
        start, end = self._time("from"), self._time("to")
        if start is not None:
            until = end if end is not None else max(start, (now - _EPOCH) // _MICROSECOND)
            if until < start:
                raise BadRequestError("from is after to.", code="empty_range")
            if until - start > RANGE_DAYS_MAX * 86_400_000_000:
                raise BadRequestError(f"The time range is too long. Use at most {RANGE_DAYS_MAX} days.", code="range_too_wide")
        return start, end

    def _time(self, name: str) -> int | None:
        text = self.values.get(name)
        if text is None:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise BadRequestError(f"{name} is not a valid time. Write it like 2026-11-26T08:00:00Z (with + as %2B).", code="bad_time")
        date, clock, fraction, zone = match.groups()
        if zone is None:
            raise BadRequestError(f"{name} needs a time zone, such as Z or %2B01:00.", code="time_zone_required")
        try:
            moment = datetime.fromisoformat(f"{date}T{clock}{zone.upper()}")
        except ValueError as error:
            raise BadRequestError(f"{name} is not a valid time: the date does not exist.", code="bad_time") from error
        return (moment - _EPOCH) // _MICROSECOND + int((fraction or ".0")[1:7].ljust(6, "0"))


def read_parameters(request: Request[Any, Any, Any], parameters: Sequence[Parameter]) -> QueryParameters:
    """The query parameters of a request.

    Raises:
        UriTooLongError: The query string has more than 16 KiB.
        BadRequestError: An unknown or repeated name, bytes that are not UTF-8, a NUL, or a value of more than 4 KiB.
    """
    raw: bytes = request.scope["query_string"]
    if len(raw) > QUERY_STRING_BYTES_MAX:
        raise UriTooLongError(f"The query string is too long. Use at most {QUERY_STRING_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except UnicodeDecodeError as error:
        raise BadRequestError("The query string is not UTF-8.", code="not_utf8") from error
    except ValueError as error:
        raise BadRequestError("The query string has too many parameters.", code="unknown_parameter") from error
    known = {parameter.name for parameter in parameters}
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise BadRequestError(
                f"The parameter {name[:64]!r} is unknown. The parameters of this route: {', '.join(sorted(known)) or 'none'}.",
                code="unknown_parameter",
            )
        if name in values:
            raise BadRequestError(f"{name} is given twice. Send it once.", code="duplicate_parameter")
        if "\0" in value:
            raise BadRequestError(f"{name} contains a NUL character.", code="nul_character")
        if len(value.encode()) > TEXT_CHARS_MAX:
            code = "query_too_long" if name == "q" else "too_long"
            raise BadRequestError(f"{name} is too long. Use at most {TEXT_CHARS_MAX} bytes.", code=code)
        values[name] = value
    return QueryParameters(values)


def hex_id(text: str, digits: int, what: str) -> str:
    """An id from a path, in lower case.

    Raises:
        BadRequestError: It does not have that many hex digits.
    """
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text):
        raise BadRequestError(f"The {what} id is not valid. It has {digits} hex digits.", code=f"bad_{what}_id")
    return text.lower()


def uuid_id(text: str, what: str) -> str:
    """A UUID from a path. Raises the error of an id that does not exist when it is malformed."""
    if not is_uuid(text):
        raise not_found(what)
    return text


def not_found(what: str) -> NotFoundError:
    """The error for a resource that does not exist or belongs to another project, without a difference between the two."""
    return NotFoundError(f"No such {what} exists in this project.", code=f"{what}_not_found")
