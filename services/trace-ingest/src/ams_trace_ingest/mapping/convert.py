"""Converters of attribute values. Each returns ``None`` for a value without meaning, so that the next attribute of the ladder is used."""

import json
import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ams_trace_ingest.characters import replace_invalid_escapes

WORD_CHARS_MAX = 256
NAME_CHARS_MAX = 1_024
TOKENS_MAX = 10**15
DURATION_US_MAX = 10**15  # 31 years
_SECONDS_US = 1_000_000
_MILLIS_US = 1_000
Convert = Callable[[Any], Any]
_decode = msgspec.json.Decoder().decode


def load(text: str) -> Any:
    """JSON, or ``None`` when it is not.

    Lone surrogates, and Python's words for numbers that JSON has none for, do not make the rest unreadable.
    """
    try:
        value = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _load_leniently(text) if "\\u" in text or "NaN" in text or "Infinity" in text else None
    return _load_leniently(text) if "\\u0000" in text else value


def _load_leniently(text: str) -> Any:
    try:
        return json.loads(replace_invalid_escapes(text.encode()), parse_constant=str)
    except (ValueError, RecursionError):
        return None


def present(value: Any) -> Any:
    """Anything but an empty string, list or map."""
    return value if value or value is False or value == 0 else None


def word(value: Any) -> str | None:
    """A short string; numbers become one."""
    if value.__class__ is str:
        return (value if len(value) <= WORD_CHARS_MAX else value[:WORD_CHARS_MAX]) or None
    if value is None or value.__class__ is bool or isinstance(value, list | dict):
        return None
    return str(value)[:WORD_CHARS_MAX]


def name(value: Any) -> str | None:
    """A longer string."""
    return value[:NAME_CHARS_MAX] or None if value.__class__ is str else None


def json_word(value: Any) -> str | None:
    """A short string that may be JSON-quoted (MLflow, Langfuse)."""
    if value.__class__ is str and value[:1] == '"':
        value = load(value)
    return word(value)


def json_map(value: Any) -> dict[str, Any] | None:
    """A map, as it is or written as JSON."""
    if value.__class__ is str and value[:1] == "{":
        value = load(value)
    return value or None if isinstance(value, dict) else None


def json_items(value: Any) -> Any:
    """A list whose items may be written as JSON, each by itself."""
    if not isinstance(value, list):
        return present(value)
    read = [load(item) if isinstance(item, str) else item for item in value]
    return [item if loaded is None else loaded for item, loaded in zip(value, read, strict=True)] or None


def tokens(value: Any) -> int | None:
    """A count of tokens: a whole number from 0, also as a float or in a string (``"100"``, ``"100.0"``)."""
    if value.__class__ is not int:
        if value.__class__ is str:
            value = value.strip().removesuffix(".0")
            if not value.isascii() or not value.isdigit() or len(value) > len(str(TOKENS_MAX)):
                return None
        elif value.__class__ is not float or not value.is_integer():
            return None
        value = int(value)
    return value if 0 <= value <= TOKENS_MAX else None


def number(value: Any) -> float | None:
    """A finite number, also in a string."""
    if value.__class__ is bool or value is None or isinstance(value, list | dict):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def decimal(value: Any) -> Decimal | None:
    """A finite decimal, also in a string. Floats by their shortest form: 0.1 is 0.1."""
    if value.__class__ is bool or value is None or isinstance(value, list | dict):
        return None
    try:
        result = Decimal(str(value)[:64])
    except InvalidOperation:
        return None
    return result if result.is_finite() else None


def _duration_us(value: float | None, unit_us: int) -> int | None:
    if value is None or value <= 0 or value * unit_us > DURATION_US_MAX:
        return None
    return round(value * unit_us)


def seconds_us(value: Any) -> int | None:
    """Seconds to microseconds; ``None`` for 0 and less."""
    return _duration_us(number(value), _SECONDS_US)


def millis_us(value: Any) -> int | None:
    """Milliseconds to microseconds; ``None`` for 0 and less."""
    return _duration_us(number(value), _MILLIS_US)


def moment_us(value: Any) -> int | None:
    """An ISO 8601 time with its zone, maybe JSON-quoted, to microseconds since the epoch."""
    text = json_word(value)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * _SECONDS_US)
