"""Slot ``original``: everything a span said, as JSON, so that a better mapping can read it again from the log."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from ams_contracts.events import PAYLOAD_CHARS_MAX
from ams_trace_ingest.mapping.payloads import ENCODED_BYTES_MAX, SAFE_CHARS
from ams_trace_ingest.mapping.spans import Resource, Scope, Span


class _Around(Struct):
    resource: Raw
    scope: Raw


class _Scope(Struct):
    name: str = ""
    version: str = ""
    attributes: dict[str, Any] = {}


class _Resource(Struct):
    attributes: dict[str, Any] = {}


_STEPS = (65_536, 8_192, 1_024, 128)  # characters that are left of a string, tried until the whole fits into a record
_decode = msgspec.json.Decoder().decode
_read_span = msgspec.json.Decoder(Span).decode
_read_around = msgspec.json.Decoder(_Around).decode
_encode = msgspec.json.Encoder().encode


def original_of(canonical: bytes, consumed: list[str], resource: Resource, scope: Scope) -> str:
    """The JSON text: ``{trace_id, span_id, ..., attributes, events, links, dropped, consumed, scope, resource}``.

    Args:
        canonical: The span's JSON.
        consumed: Its attributes that the step and its other payloads hold whole.
        resource: Its JSON is made already.
        scope: The same.

    Returns:
        At most what a record of the log takes. What had to be cut for it is named in ``cut``: ``{path: characters}``.
    """
    text = (b'%b,"consumed":%b,"scope":%b,"resource":%b}' % (canonical[:-1], _encode(consumed), scope.encoded, resource.encoded)).decode()
    return text if len(text) <= SAFE_CHARS or _fits(text) else _shrunk(text)


def read_original(text: str) -> tuple[Resource, Scope, Span]:
    """What ``original_of`` wrote, to be mapped again: the same span gives the same events.

    Raises:
        msgspec.MsgspecError: Something else wrote it.
    """
    around = _read_around(text)
    resource = msgspec.json.decode(around.resource, type=_Resource)
    scope = msgspec.json.decode(around.scope, type=_Scope)
    encoded = bytes(around.resource)
    encoded_scope = bytes(around.scope)
    return (
        Resource(resource.attributes, encoded, encoded),
        Scope(scope.name, scope.version, scope.attributes, encoded_scope, encoded_scope),
        _read_span(text),
    )


def _fits(text: str) -> bool:
    return len(text) <= PAYLOAD_CHARS_MAX and len(_encode(text)) <= ENCODED_BYTES_MAX


def _shrunk(text: str) -> str:
    value: dict[str, Any] = _decode(text)
    for chars_max in _STEPS:
        cut: dict[str, int] = {}
        smaller = {key: _cut(item, key, chars_max, cut) for key, item in value.items()}
        result = _encode({**smaller, "cut": cut}).decode()
        if _fits(result):
            return result
    # many small values: keep what identifies the span, and say how much there was
    counts = {key: len(item) for key, item in value.items() if isinstance(item, list | dict)}
    kept = {key: item for key, item in value.items() if not isinstance(item, list | dict)}
    return _encode({**kept, "attributes": {}, "cut": counts}).decode()


def _cut(value: Any, path: str, chars_max: int, cut: dict[str, int]) -> Any:
    if isinstance(value, str):
        if len(value) <= chars_max:
            return value
        cut[path] = len(value)
        return value[:chars_max]
    if isinstance(value, list):
        return [_cut(item, f"{path}.{index}", chars_max, cut) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _cut(item, f"{path}.{key}", chars_max, cut) for key, item in value.items()}
    return value
