"""Images, sounds and files inside content: their bytes become media of their own, and what held them refers to their hash.

A message or any other JSON value may hold bytes as base64, as a ``data:`` URI, or as a list or map of numbers. A reference is a part of a message
(``docs/messages.md``): ``{"type": "media", "mime", "bytes", "sha256"}``; when the bytes are not kept, ``absent`` says why instead of the hash.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ams_contracts.events import MEDIA_BYTES_MAX, MediaStored

MEDIA_PER_STEP_MAX = 64
MEDIA_BYTES_PER_REQUEST_MAX = 32 * 1024 * 1024
DEPTH_MAX = 32
BASE64_CHARS_MIN = 32  # a shorter string may be a word
TOO_LARGE = "too_large"
TOO_MANY = "too_many"
MIME_KEYS = ("mime_type", "media_type", "mimeType", "mediaType", "mimetype", "image_mimetype")
BYTES_KEYS = ("data", "bytes", "base64", "content", "blob", "b64_json")
ANY_BYTES = "application/octet-stream"

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}:")
_DATA_URI = re.compile(r"data:([^,;]{0,128})((?:;[^,;]{0,128}){0,8}),")
_LINE_ENDS = re.compile(r"[\r\n]+")
_LEFT_OUT = re.compile(r"\[(\d{1,12}) bytes of base64\]\Z")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/_-]{4096,}={0,2}")
_HINTS = ('"type":"media"', ";base64,", *(f'"{key}"' for key in (*MIME_KEYS, "b64_json")))


class Bytes(Struct, gc=False):
    """Bytes that content held.

    Attributes:
        size: Their number.
        data: ``None`` when they are not kept.
    """

    size: int
    data: bytes | None


class MediaBudget:
    """What the steps of one request may store as media together, so that a request of 64 MiB is not published twice."""

    def __init__(self, bytes_max: int = MEDIA_BYTES_PER_REQUEST_MAX) -> None:
        self.bytes_left = bytes_max
        self.stored: set[tuple[str, str]] = set()  # task and hash


class MediaCollector:
    """The media of one step. Bytes that an earlier step of the task brought in the same request are not stored again."""

    def __init__(self, task_id: str, budget: MediaBudget | None = None) -> None:
        self._task_id = task_id
        self._budget = budget or MediaBudget()
        self._hashes: set[str] = set()
        self.found: dict[str, tuple[str, bytes]] = {}

    def reference(self, mime: str, held: Bytes) -> dict[str, Any]:
        """The part that refers to these bytes, which are stored if there is room for them."""
        part: dict[str, Any] = {"type": "media", "mime": mime, "bytes": held.size}
        if held.data is None or held.size > MEDIA_BYTES_MAX:
            return {**part, "absent": TOO_LARGE}
        sha256 = hashlib.sha256(held.data).hexdigest()
        if not self._has_room(sha256, held.size):
            return {**part, "absent": TOO_MANY}
        if (self._task_id, sha256) not in self._budget.stored:
            self._budget.stored.add((self._task_id, sha256))
            self._budget.bytes_left -= held.size
            self.found[sha256] = (mime[:256], held.data)
        return {**part, "sha256": sha256}

    def _has_room(self, sha256: str, size: int) -> bool:
        if sha256 not in self._hashes:
            if len(self._hashes) >= MEDIA_PER_STEP_MAX:
                return False
            self._hashes.add(sha256)
        return (self._task_id, sha256) in self._budget.stored or size <= self._budget.bytes_left

    def events(self, project_id: str, at_us: int) -> list[MediaStored]:
        """One event for each, with an id that is the same for the same bytes in the same task."""
        return [
            MediaStored(
                event_id=hashlib.blake2b(f"{self._task_id}{sha256}".encode(), digest_size=16, key=project_id.encode()).hexdigest(),
                seq=0,
                at_us=at_us,
                sha256=sha256,
                mime=mime,
                bytes=len(data),
                data=data,
            )
            for sha256, (mime, data) in self.found.items()
        ]


def bytes_of(value: Any) -> Bytes | None:
    """The bytes that a value is: base64, a list of numbers, a map of them (JavaScript's ``Uint8Array``) or Node's ``Buffer``."""
    if isinstance(value, str):
        return _decoded(value)
    if isinstance(value, bytes):
        return Bytes(len(value), value)
    if isinstance(value, dict):
        if value.get("type") == "Buffer":
            return bytes_of(value.get("data"))
        if not value or any(key != str(index) for index, key in enumerate(value)):
            return None
        value = list(value.values())
    if isinstance(value, list) and value and all(item.__class__ is int and 0 <= item < 256 for item in value):  # noqa: PLR2004  a byte
        return Bytes(len(value), bytes(value))
    return None


def _decoded(text: str) -> Bytes | None:
    left_out = _LEFT_OUT.match(text)
    if left_out is not None:
        return Bytes(int(left_out[1]), None)
    if _BASE64.match(text) is None:
        text = _LINE_ENDS.sub("", text)  # MIME breaks lines
        if _BASE64.match(text) is None:
            return None
    size = base64_size(text)
    if size > MEDIA_BYTES_MAX:
        return Bytes(size, None)
    try:
        data = base64.b64decode(text.translate({45: "+", 95: "/"}).rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Bytes(len(data), data)


def base64_size(text: str) -> int:
    """The number of bytes that a base64 text encodes."""
    return len(text.rstrip("=")) * 3 // 4


def data_uri(text: str) -> tuple[str, Bytes] | None:
    """MIME type and bytes of a ``data:`` URI in base64, or ``None``."""
    head = _DATA_URI.match(text) if text[:5] == "data:" else None
    if head is None or ";base64" not in head[2]:
        return None
    held = bytes_of(text[head.end() :])
    return None if held is None else (head[1] or ANY_BYTES, held)


def is_link(text: str) -> bool:
    """Whether a string is an address (of any scheme but ``data``, or a path) and not base64."""
    if text[:5] == "data:":
        return False
    # base64 of any file has letters of both cases and digits; a path without them is no file's content
    is_base64 = len(text) >= BASE64_CHARS_MIN and _BASE64.match(text) is not None and not text.islower() and not text.isalpha()
    return _URI.match(text) is not None or not is_base64


def may_hold_media(text: str) -> bool:
    """Whether this JSON may contain bytes."""
    if "media" not in text and "mime" not in text and "base64" not in text and "b64_json" not in text:
        return False
    return any(hint in text for hint in _HINTS)


def referenced(value: Any, collector: MediaCollector, depth: int = 0) -> Any:
    """A JSON value in which references replace bytes; the same object when it holds none.

    Args:
        value: Parts of messages whose bytes are still in ``data``, and any other JSON.
        collector: Takes the bytes.
        depth: Of the value; what lies deeper than ``DEPTH_MAX`` stays as it is.
    """
    if isinstance(value, str):
        found = data_uri(value)
        return value if found is None else collector.reference(*found)
    if depth >= DEPTH_MAX or not isinstance(value, list | dict):
        return value
    if isinstance(value, list):
        items = [referenced(item, collector, depth + 1) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    own = _own_bytes(value)
    if own is not None:
        key, mime, held = own
        rest = {name: item for name, item in value.items() if name not in {"type", "mime", "bytes", key, *MIME_KEYS}}
        return {**collector.reference(mime, held), **_each(rest, lambda item: referenced(item, collector, depth + 1))}
    return _each(value, lambda item: referenced(item, collector, depth + 1))


def _each(value: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    changed = {key: change(item) for key, item in value.items()}
    return changed if any(changed[key] is not item for key, item in value.items()) else value


def _own_bytes(value: dict[str, Any]) -> tuple[str, str, Bytes] | None:
    """The key, MIME type and bytes of a map that is a file: a media part, or a map with a MIME type and base64."""
    if value.get("type") == "media" and isinstance(value.get("mime"), str):
        held = bytes_of(value["data"]) if "data" in value else None
        return None if held is None else ("data", value["mime"], held)
    mime = next((value[key] for key in MIME_KEYS if isinstance(value.get(key), str)), "image/png" if "b64_json" in value else None)
    if mime is None or mime.startswith("text/"):
        return None
    for key in (*BYTES_KEYS, "image", "audio", "video", "file_data"):
        item = value.get(key)
        if isinstance(item, str) and len(item) >= BASE64_CHARS_MIN and not is_link(item):
            held = bytes_of(item)
            if held is not None:
                return key, mime, held
    return None


def left_out(text: str, bytes_max: int) -> str:
    """A text whose longest runs of base64 are named by their size, as many as are needed to bring it under a limit.

    A conversation that is cut in the middle is no JSON any more and would be shown as raw text, because of one picture.
    """
    excess = len(text.encode()) - bytes_max
    runs = sorted(_LONG_RUN.finditer(text), key=lambda run: run.start() - run.end())
    chosen: list[re.Match[str]] = []
    for run in runs:
        if excess <= 0:
            break
        chosen.append(run)
        excess -= run.end() - run.start()
    for run in sorted(chosen, key=lambda run: -run.start()):
        text = f"{text[: run.start()]}[{base64_size(run[0])} bytes of base64]{text[run.end() :]}"
    return text
