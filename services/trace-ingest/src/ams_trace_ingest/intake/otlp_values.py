"""Limits of attribute values, and notes about what was cut or replaced."""

import base64
import math
from collections.abc import Callable
from typing import Any

import msgspec

from ams_contracts.ids import TIME_MAX_US
from ams_trace_ingest.characters import replace_nul
from ams_trace_ingest.mapping.media import left_out, may_hold_media
from ams_trace_ingest.mapping.span_model import Dropped, SpanEvent

SPANS_MAX = 10_000  # a request
LOG_RECORDS_MAX = 100_000  # a request
VALUES_MAX = 1_000_000  # messages or objects of a request: some 130 MB; 10,000 ordinary spans have 400,000
ATTRIBUTES_MAX = 10_000  # a span; real ones have 180
EVENTS_MAX = 1_000
LINKS_MAX = 1_000
VALUE_BYTES_MAX = 1_048_576
SPAN_BYTES_MAX = 4 * 1_048_576
KEY_CHARS_MAX = 1_024
NAME_CHARS_MAX = 1_024
DEPTH_MAX = 32
SHRUNK_BYTES = 65_536  # what is left of the largest values of a span that is over its cap
TIME_NS_END = (TIME_MAX_US + 1) * 1_000  # the year 2255: later moments are exact nowhere in a browser

SAFE_CHARS = VALUE_BYTES_MAX // 4  # no need to measure: UTF-8 has at most four bytes a character
_encode = msgspec.json.Encoder().encode


class MalformedOtlpError(ValueError):
    """The request cannot be decoded: 400. The message is for the sender and contains nothing of the content."""


class TooManySpansError(ValueError):
    """More spans than a request may have: 413."""

    code = "too_many_spans"


class TooManyValuesError(TooManySpansError):
    """More small parts than fit into memory: 413."""

    code = "too_many_values"

    def __init__(self) -> None:
        super().__init__(f"more than {VALUES_MAX} attributes, values, events and links in a request")


class Notes:
    """What happened to the values of one span or record while it was decoded."""

    __slots__ = ("cut", "media_left_out", "replaced")

    def __init__(self) -> None:
        self.cut: dict[str, int] = {}
        self.media_left_out = False
        self.replaced = False


def cut_bytes(text: str, bytes_max: int) -> str:
    """The beginning of ``text`` that has at most ``bytes_max`` bytes in UTF-8, ending at a code point."""
    return text.encode()[:bytes_max].decode(errors="ignore")


def clean(text: str, key: str, notes: Notes) -> str:
    """A string without U+0000 and within the limit; notes the changes. Called only for a text that is long or has U+0000."""
    if "\0" in text:
        text = replace_nul(text)
        notes.replaced = True
    if len(text) > SAFE_CHARS:
        size = len(text.encode())
        if size > VALUE_BYTES_MAX and may_hold_media(text):
            shorter = left_out(text, VALUE_BYTES_MAX)
            if shorter is not text:
                notes.media_left_out = True
                text, size = shorter, len(shorter.encode())
        if size > VALUE_BYTES_MAX:
            notes.cut[key] = max(size, notes.cut.get(key, 0))
            return cut_bytes(text, VALUE_BYTES_MAX)
    return text


def number(value: float) -> float | str:
    """A double; NaN and the infinities become their names, which JSON lacks."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def binary(value: bytes, key: str, notes: Notes) -> str:
    """Bytes as base64."""
    return clean(base64.b64encode(value).decode(), key, notes)


def as_text(value: Any, key: str, notes: Notes) -> str:
    """A value nested deeper than ``DEPTH_MAX``, as JSON text."""
    return clean(_encode(value).decode(), key, notes)


def bound_keys(attributes: dict[str, Any], dropped: Callable[[], Dropped]) -> dict[str, Any]:
    """The attributes without empty keys, over-long keys and those over the limit; the same dict when nothing changes."""
    if (
        len(attributes) <= ATTRIBUTES_MAX
        and "" not in attributes
        and max(map(len, attributes), default=0) <= KEY_CHARS_MAX
        and "\0" not in "".join(attributes)
    ):
        return attributes
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key or len(key) > KEY_CHARS_MAX:
            dropped().keys += 1
        elif len(kept) >= ATTRIBUTES_MAX:
            dropped().attributes += 1
        else:
            if "\0" in key:
                dropped().replaced = True
            kept[replace_nul(key)] = value
    return kept


def bound_size(attributes: dict[str, Any], events: list[SpanEvent], dropped: Callable[[], Dropped]) -> list[SpanEvent]:
    """Reduce a span to ``SPAN_BYTES_MAX``: the largest values are cut first, then the last events and attributes are dropped.

    Changes ``attributes`` in place and returns the events that are kept. Called for requests that are larger than the limit.
    """
    total = len(_encode(attributes)) + len(_encode(events))
    if total <= SPAN_BYTES_MAX:
        return events
    sizes = sorted(((len(_encode(value)), key) for key, value in attributes.items()), reverse=True)
    for size, key in sizes:
        if total <= SPAN_BYTES_MAX or size <= SHRUNK_BYTES:
            break
        value = attributes[key]
        text = value if isinstance(value, str) else _encode(value).decode()
        attributes[key] = cut_bytes(text, SHRUNK_BYTES)
        dropped().cut.setdefault(key, len(text.encode()))
        total += len(_encode(attributes[key])) - size
    kept = list(events)
    while total > SPAN_BYTES_MAX and kept:
        total -= len(_encode(kept.pop()))
        dropped().events += 1
    for key in reversed(list(attributes)):
        if total <= SPAN_BYTES_MAX:
            break
        total -= len(_encode(attributes.pop(key))) + len(key)
        dropped().attributes += 1
    return kept
