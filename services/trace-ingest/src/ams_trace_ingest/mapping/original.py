"""Slot ``original``: the complete span as JSON, so that a later mapping can read it again from the log."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ams_contracts.documents import Slot
from ams_contracts.events import PAYLOAD_CHARS_MAX, PayloadStored
from ams_trace_ingest.mapping.payloads import ENCODED_BYTES_MAX, SAFE_CHARS
from ams_trace_ingest.mapping.span_model import Resource, Scope, Span


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


def original_of(
    canonical: bytes, span: Span, *, consumed: list[str], held: Mapping[str, Slot], resource: Resource, scope: Scope
) -> tuple[str, str | None]:
    """The JSON text ``{trace_id, span_id, ..., attributes, events, links, dropped, scope, resource}``, and the attributes that are not in it.

    Args:
        canonical: The span's JSON.
        span: The same, not encoded.
        consumed: Its attributes that the step and its other payloads hold whole; some may be named twice.
        held: Which of them are, letter by letter, the text of a payload.
        resource: Its JSON is made already.
        scope: The same.

    Returns:
        At most what a record of the log takes, and ``PayloadStored.consumed``. A large span's text is whole, with the keys in ``consumed``;
        what had to be cut for the record is named in ``cut``: ``{path: characters}``.
    """
    if len(canonical) + len(resource.encoded) + len(scope.encoded) > SAFE_CHARS:
        whole = b'%b,"consumed":%b,"scope":%b,"resource":%b}' % (
            canonical[:-1],
            _encode(list(dict.fromkeys(consumed))),
            scope.encoded,
            resource.encoded,
        )
        text = whole.decode()
        return (text if _fits(text) else _shrunk(text)), None
    keys = set(consumed)
    left: dict[str, Any] = {}
    moved: list[tuple[Any, ...]] = []
    for place, (key, value) in enumerate(span.attributes.items()):
        if key not in keys:
            left[key] = value
        elif key in held:
            moved.append((place, key, None, held[key]))
        else:
            moved.append((place, key, value))
    if moved:
        canonical = _encode(replace(span, attributes=left))
    return (b'%b,"scope":%b,"resource":%b}' % (canonical[:-1], scope.encoded, resource.encoded)).decode(), _encode(moved).decode()


def read_original(payloads: Iterable[PayloadStored]) -> tuple[Resource, Scope, Span]:
    """What ``original_of`` wrote, to be mapped again: the same span gives the same events.

    Args:
        payloads: All of the step.

    Raises:
        msgspec.MsgspecError: Something else wrote it.
    """
    texts = {payload.slot: payload for payload in payloads}
    original = texts[Slot.ORIGINAL]
    around = _read_around(original.text)
    resource = msgspec.json.decode(around.resource, type=_Resource)
    scope = msgspec.json.decode(around.scope, type=_Scope)
    encoded = bytes(around.resource)
    encoded_scope = bytes(around.scope)
    span = _read_span(original.text)
    if original.consumed is not None:
        attributes = list(span.attributes.items())
        for place, key, *value in _decode(original.consumed):
            attributes.insert(place, (key, texts[Slot(value[1])].text if len(value) > 1 else value[0]))
        span.attributes = dict(attributes)
    return (
        Resource(resource.attributes, encoded, encoded),
        Scope(scope.name, scope.version, scope.attributes, encoded_scope, encoded_scope),
        span,
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
