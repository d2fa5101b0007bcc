"""The format of a spool segment: frames, each with a mark, its length and the CRC of its content.

    4 bytes "AMS" and 1 | length, 4 bytes little-endian | CRC-32 of the content, 4 bytes | content

The first frame is a ``Header``; others hold a ``SpooledEvent`` (as it would be sent) or what ``ams.spool.journal`` writes. A process may die
in the middle of a frame and a disk may be full: the reader skips what its CRC does not confirm, and continues at the next mark.
"""

import struct
import zlib
from typing import Any

import msgspec

MARK = b"AMS\x01"
FRAME_BYTES_MAX = 16 * 1024 * 1024
_HEAD = struct.Struct("<4sII")
_pack = _HEAD.pack
_crc = zlib.crc32


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a segment.

    Attributes:
        v: Of the format.
        instance_id: Of the producer; events made from the journal's records have ids that begin with its first 8 digits.
        producer: The contract's ``Producer`` as JSON.
        journal: Whether it holds records of the agent's threads, unmasked, instead of events.
    """

    v: int = 1
    instance_id: str
    producer: bytes
    journal: bool
    pid: int
    endpoint: str
    created_ns: int


class SpooledEvent(msgspec.Struct, frozen=True, array_like=True):
    """An encoded event that waits on disk."""

    task_id: str | None
    event_id: str
    step_id: int
    data: bytes


_header = msgspec.msgpack.Decoder(Header)
_event = msgspec.msgpack.Decoder(SpooledEvent)
pack_value = msgspec.msgpack.Encoder().encode
unpack_value = msgspec.msgpack.Decoder().decode


def frame(content: bytes) -> bytes:
    """The content with its mark, length and CRC."""
    return _pack(MARK, len(content), _crc(content)) + content


def contents(data: bytes) -> tuple[list[bytes], int]:
    """The contents of a segment's frames.

    Args:
        data: All bytes of the file.

    Returns:
        The contents in order, and how many damaged places were skipped.
    """
    found: list[bytes] = []
    damaged = 0
    place = 0
    while place < len(data):
        content = _content_at(data, place)
        if content is not None:
            found.append(content)
            place += _HEAD.size + len(content)
            continue
        damaged += 1
        place = data.find(MARK, place + 1)
        if place < 0:
            break
    return found, damaged


def _content_at(data: bytes, place: int) -> bytes | None:
    if len(data) - place < _HEAD.size:
        return None
    mark, length, crc = _HEAD.unpack_from(data, place)
    first = place + _HEAD.size
    if mark != MARK or length > FRAME_BYTES_MAX or first + length > len(data):
        return None
    content = data[first : first + length]
    return content if _crc(content) == crc else None


def header_of(content: bytes) -> Header | None:
    """The header, None when another version wrote it or it is damaged."""
    try:
        header = _header.decode(content)
    except msgspec.DecodeError:
        return None
    return header if header.v == 1 else None


def events_of(some: list[bytes]) -> tuple[list[SpooledEvent], int]:
    """Events, and how many frames hold none."""
    events: list[SpooledEvent] = []
    for content in some:
        try:
            events.append(_event.decode(content))
        except msgspec.DecodeError:
            continue
    return events, len(some) - len(events)


def record_of(content: bytes) -> list[Any] | None:
    """A record of the journal, None when it is none."""
    try:
        value = unpack_value(content)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType]  # its items are checked where they are used
