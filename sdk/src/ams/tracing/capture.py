"""Values to text, immediately: the agent may change them afterwards.

A ``str`` stays itself (it cannot change), everything else becomes JSON bytes. Nothing here raises.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ams.tracing.runtime import PAYLOAD_BYTES_MAX

REPR_CHARS_MAX = 4_096
_DEPTH_MAX = 24
_ITEMS_MAX = 10_000


class Cut(msgspec.Struct, frozen=True):
    """The beginning of a value that is too long. ``bytes`` is the true length of the complete text in UTF-8."""

    text: str
    bytes: int
    is_json: bool

    def __len__(self) -> int:
        return len(self.text)


Captured = str | bytes | Cut
"""``str`` is plain text, ``bytes`` is JSON."""


def words(value: object) -> str:
    """``repr`` that cannot fail, bounded."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= REPR_CHARS_MAX else text[:REPR_CHARS_MAX] + "..."


def _unknown(value: Any) -> object:
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)  # pydantic
    if callable(dump) and not isinstance(value, type):
        return dump()
    item: Callable[[], object] | None = getattr(value, "item", None)  # numpy and torch scalars
    if callable(item) and getattr(value, "shape", None) == ():
        return item()
    if isinstance(value, Mapping):
        return dict(value)
    return words(value)


_encode = msgspec.json.Encoder(enc_hook=_unknown).encode


def capture(value: object) -> Captured:
    """A snapshot of a value, at most 1 MB of it."""
    if value.__class__ is str:
        return value if len(value) <= PAYLOAD_BYTES_MAX else _cut_text(value)  # type: ignore[arg-type,return-value]  # its class was checked
    try:
        data = _encode(value)
    except Exception:  # noqa: BLE001 - cycles, odd keys, lone surrogates, what a user's object raises
        data = _encode(_plain(value, 0, set()))
    return data if len(data) <= PAYLOAD_BYTES_MAX else Cut(data[:PAYLOAD_BYTES_MAX].decode("utf-8", "ignore"), len(data), is_json=True)


def _cut_text(text: str) -> Cut:
    return Cut(text[:PAYLOAD_BYTES_MAX], len(text) if text.isascii() else len(text.encode("utf-8", "replace")), is_json=False)


def clean(text: str) -> str:
    """Replace NUL and lone surrogates, which databases and encoders refuse."""
    text = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def _plain(value: Any, depth: int, above: set[int]) -> object:  # noqa: PLR0911 - a table of types
    """The slow path: only dicts, lists and scalars, without cycles."""
    if value is None or value.__class__ in {bool, float}:
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if id(value) in above or depth > _DEPTH_MAX:
        return "<...>"
    above.add(id(value))
    try:
        return _plain_container(value, depth, above)
    except Exception:  # noqa: BLE001 - whatever a user's object raises while it is read
        return clean(words(value))
    finally:
        above.discard(id(value))


def _plain_container(value: Any, depth: int, above: set[int]) -> object:
    if isinstance(value, Mapping):
        return {clean(str(key)): _plain(item, depth + 1, above) for key, item in list(value.items())[:_ITEMS_MAX]}
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(item, depth + 1, above) for item in list(value)[:_ITEMS_MAX]]
    other = _unknown(value)
    return clean(other) if isinstance(other, str) else _plain(other, depth + 1, above)
