"""The wire format of protobuf, as far as it is needed to split a request into spans before any message is parsed.

An empty message has two bytes on the wire and some 130 in memory, so a large request is not parsed at once: its spans are found first and
parsed one by one. The messages of a large span are counted before it is parsed.
"""

from msgspec import Struct

from ams_trace_ingest.intake.otlp_values import SPANS_MAX, VALUES_MAX, MalformedOtlpError, TooManySpansError, TooManyValuesError

SMALL_BYTES = 65_536  # 32,768 messages at most, some 2 MB: not worth counting

_MORE = 0x80
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10

_VALUE: dict[int, "Kind"] = {}
_ATTRIBUTE = {2: _VALUE}
_VALUE.update({5: {1: _VALUE}, 6: {1: _ATTRIBUTE}})
Kind = dict[int, "Kind"]
"""The fields of a message that are messages themselves, by number."""

RESOURCE_GROUP: Kind = {1: {1: _ATTRIBUTE, 3: {}}}
SCOPE_GROUP: Kind = {1: {3: _ATTRIBUTE}}
SPAN: Kind = {9: _ATTRIBUTE, 11: {3: _ATTRIBUTE}, 13: {4: _ATTRIBUTE}, 15: {}}
LOG_RECORD: Kind = {5: _VALUE, 6: _ATTRIBUTE}


class WireScope(Struct, gc=False):
    """``ScopeSpans`` or ``ScopeLogs``: its own fields, and its items, each still as bytes."""

    head: bytes
    items: list[bytes]


class WireResource(Struct, gc=False):
    """``ResourceSpans`` or ``ResourceLogs``, likewise."""

    head: bytes
    scopes: list[WireScope]


class Room:
    """How many messages a request may still make."""

    __slots__ = ("messages",)

    def __init__(self) -> None:
        self.messages = VALUES_MAX

    def count(self, data: bytes, kind: Kind) -> bytes:
        """Let a message pass that is about to be parsed.

        Raises:
            MalformedOtlpError: It is large and malformed.
            TooManyValuesError: It has more messages in it than there is room for.
        """
        if len(data) > SMALL_BYTES:
            self._count_messages(data, kind)
        return data

    def _count_messages(self, data: bytes, kind: Kind) -> None:
        left = [(0, len(data), kind)]
        while left:
            at, end, fields = left.pop()
            while at < end:
                number, wire, at, stop = _field(data, at, end)
                inner = fields.get(number) if wire == _LENGTH else None
                if inner is not None:
                    self.messages -= 1
                    if self.messages < 0:
                        raise TooManyValuesError
                    if inner and stop > at:
                        left.append((at, stop, inner))
                at = stop


def take_apart(body: bytes, items_max: int = SPANS_MAX) -> list[WireResource]:
    """An export request's resources, scopes and items. Groups without items are left out.

    Raises:
        MalformedOtlpError: Not protobuf, or no export request: it is not empty and has no resource.
        TooManySpansError: More than ``items_max`` items, or resources, or scopes.
    """
    resources: list[WireResource] = []
    _, groups = _split(body, 0, len(body), 1, items_max)
    if body and not groups:
        raise MalformedOtlpError("the body is not empty and has no resource in it: is it an export request?")
    items = scopes = 0
    for at, end in groups:
        head, inner = _split(body, at, end, 2, items_max - scopes)
        scopes += len(inner)
        resource = WireResource(head, [])
        for start, stop in inner:
            scope_head, places = _split(body, start, stop, 2, items_max - items)
            items += len(places)
            if places:
                resource.scopes.append(WireScope(scope_head, [body[first:last] for first, last in places]))
        if resource.scopes:
            resources.append(resource)
    return resources


def _split(data: bytes, at: int, end: int, item: int, items_max: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A message's fields without those of number ``item``, and the places of these."""
    head: list[bytes] = []
    items: list[tuple[int, int]] = []
    start = at
    while at < end:
        field_at = at
        number, wire, at, stop = _field(data, at, end)
        if number == item and wire == _LENGTH:
            if len(items) >= items_max:
                raise TooManySpansError(f"more than {SPANS_MAX} in a request")
            items.append((at, stop))
            if start < field_at:
                head.append(data[start:field_at])
            start = stop
        at = stop
    if start < end:
        head.append(data[start:end])
    return b"".join(head), items


def _field(data: bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Number and wire type of the field at a place, and where its value begins and ends."""
    tag = data[at]
    at += 1
    if tag & _MORE:
        tag, at = _varint(data, at - 1, end)
    wire = tag & 7
    if wire == _LENGTH:
        if at >= end:
            raise _malformed()
        size = data[at]
        at += 1
        if size & _MORE:
            size, at = _varint(data, at - 1, end)
        stop = at + size
    elif wire == _VARINT:
        _, stop = _varint(data, at, end)
    elif wire == _FIXED_64:
        stop = at + 8
    elif wire == _FIXED_32:
        stop = at + 4
    else:
        raise _malformed()
    if stop > end or not tag >> 3:
        raise _malformed()
    return tag >> 3, wire, at, stop


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(at, min(end, at + _VARINT_BYTES_MAX)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if not byte & _MORE:
            return value, place + 1
        shift += 7
    raise _malformed()


def _malformed() -> MalformedOtlpError:
    return MalformedOtlpError("the body is not a protobuf message of this kind")
