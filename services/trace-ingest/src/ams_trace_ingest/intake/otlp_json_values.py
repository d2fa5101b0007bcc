"""Numbers, bytes and enum names of OTLP in JSON, where integers may be strings. Values out of the range of their type are refused."""

import base64
import binascii
import re

from ams_trace_ingest.intake.otlp_values import MalformedOtlpError, number

_INT64_MIN = -(2**63)
_INT64_END = 2**63
_UINT64_END = 2**64
_UINT32_END = 2**32
_NUMBER = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_DOUBLES = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}


def base64_bytes(text: str) -> bytes:
    """``bytesValue``: base64, also the alphabet for addresses, with or without padding."""
    try:
        return base64.b64decode(text.translate({45: "+", 95: "/"}) + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedOtlpError("bytesValue is not base64") from error


def _integer(value: int | str | None) -> int:
    if isinstance(value, str):
        if _NUMBER.match(value) is None:
            raise MalformedOtlpError("an integer in a string must be decimal digits")
        return int(value)
    return value or 0


def int64(value: int | str) -> int:
    """An ``intValue``, as a number or in a string."""
    result = _integer(value)
    if not _INT64_MIN <= result < _INT64_END:
        raise MalformedOtlpError("intValue is beyond int64")
    return result


def uint64(value: int | str | None) -> int:
    """A time."""
    result = _integer(value)
    if not 0 <= result < _UINT64_END:
        raise MalformedOtlpError("a time is beyond uint64")
    return result


def uint32(value: int | str | None) -> int:
    """A count or flags; 0 when out of range."""
    return 0 if value is None or not 0 <= (result := _integer(value)) < _UINT32_END else result


def double(value: float | str) -> float | str:
    """A ``doubleValue``; NaN and the infinities keep their names."""
    if isinstance(value, str):
        if value in _DOUBLES:
            return _DOUBLES[value]
        try:
            return number(float(value))
        except ValueError as error:
            raise MalformedOtlpError("doubleValue is not a number") from error
    return number(float(value))


def enum_number(value: int | str | None, names: dict[str, int]) -> int:
    """A kind or code, by number or by name; an unknown name is 0."""
    if isinstance(value, str):
        return names.get(value, 0)
    return value if value is not None and abs(value) < _INT64_END else 0
