"""Encodes frames and websocket messages. A frame contains the record's value unchanged, and is encoded once for all sockets."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw

from ams_contracts.frames import Reset, ServerMessage
from ams_contracts.positions import Position
from ams_contracts.topics import STEPS
from ams_live_gateway.ring import Entry

RECORD_BYTES_MAX = 256 * 1024
MESSAGE_BYTES_MAX = 256 * 1024
LENGTH_16, LENGTH_64 = 126, 127  # RFC 6455, 5.2: a length of two bytes, or of eight bytes, follows
LENGTH_7_MAX, LENGTH_16_MAX = 125, 65_535
TEXT_FINAL = 0x81

_encoder = msgspec.json.Encoder()
_raw = msgspec.json.Decoder(Raw)


def position_text(partition: int, offset: int) -> str:
    """A position of the steps topic as text: the client has everything before ``offset``."""
    return str(Position(STEPS.version, partition, offset))


def task_sub(task_id: str) -> str:
    """The name of a task's subscription, the same for every socket."""
    return f"task:{task_id}"


def is_json(value: bytes) -> bool:
    """Whether a text message can contain a record's value. Clients close the socket on a message that is not valid UTF-8."""
    try:
        if not value.isascii():
            value.decode()
        _raw.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def encode_frame(entry: Entry) -> bytes:
    """The frame of an entry, encoded once. Empty when the value is not valid JSON (the projector sends it to the dead letters)."""
    if entry.frame is None:
        value, entry.value = entry.value or b"", None
        entry.frame = _step_frame(entry, value)
    return entry.frame


def _step_frame(entry: Entry, value: bytes) -> bytes:
    sub = task_sub(entry.key.decode("latin-1").rpartition(":")[2])
    position = position_text(entry.partition, entry.offset + 1)
    if len(value) > RECORD_BYTES_MAX:
        return _encoder.encode(Reset(sub=sub, position=position))
    if not is_json(value):
        return b""
    prev = "null" if entry.prev is None else f'"{position_text(entry.partition, entry.prev)}"'
    return b"".join((f'{{"op":"frame","sub":"{sub}","prev":{prev},"position":"{position}","batch":'.encode(), value, b"}"))


def encode_task_frame(task_id: str, change: bytes | None) -> bytes:
    """The frame of a task that changed, or was deleted (``None``). Empty when the record's value is not valid JSON."""
    if change is not None and not is_json(change):
        return b""
    return b"".join((f'{{"op":"task","sub":"list","task_id":"{task_id}","change":'.encode(), change or b"null", b"}"))


def frames_to_messages(frames: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Pack frames into encoded websocket messages of about 256 KiB at most, each with the number of its frames."""
    group: list[bytes] = []
    size = 0
    for frame in frames:
        if group and size + len(frame) > MESSAGE_BYTES_MAX:
            yield _websocket_message(group), len(group)
            group, size = [], 0
        if frame:
            group.append(frame)
            size += len(frame)
    if group:
        yield _websocket_message(group), len(group)


def encode_messages(*messages: ServerMessage) -> bytes:
    """Encode a message of the server as one websocket message."""
    return _websocket_message([_encoder.encode(message) for message in messages])


def _websocket_message(frames: Sequence[bytes]) -> bytes:
    """Encode a text message of a server. It is not masked, so all sockets share the same bytes."""
    length = sum(map(len, frames)) + len(frames) + 1
    if length <= LENGTH_7_MAX:
        header = bytes((TEXT_FINAL, length))
    elif length <= LENGTH_16_MAX:
        header = bytes((TEXT_FINAL, LENGTH_16)) + length.to_bytes(2, "big")
    else:
        header = bytes((TEXT_FINAL, LENGTH_64)) + length.to_bytes(8, "big")
    return b"".join((header, b"[", b",".join(frames), b"]"))
