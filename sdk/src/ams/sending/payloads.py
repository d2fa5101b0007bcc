"""What was captured -> payload and preview, in the sender's thread."""

import msgspec
from msgspec import Struct

from ams.tracing.capture import Captured, Cut, clean
from ams.tracing.messages import as_messages, preview_of_json, preview_of_messages, short
from ams.tracing.runtime import runtime
from ams_contracts.documents import Slot
from ams_contracts.events import BATCH_BYTES_MAX

MIME_JSON = "application/json"
MIME_MESSAGES = "application/vnd.ams.messages+json"
MIME_TEXT = "text/plain"
ENCODED_BYTES_MAX = BATCH_BYTES_MAX - 16_384  # room for the event around the text and the batch around the event
DECODED_BYTES_MAX = 262_144  # a longer value keeps its beginning as preview: decoding it would cost the agent's interpreter milliseconds


class Payload(Struct, frozen=True):
    """A payload as it will be stored, and its words for the step's document."""

    mime: str
    text: str
    bytes: int
    truncated: bool
    preview: str | None


def masked(captured: Captured) -> Captured:
    """What was captured, without its secrets."""
    masker = runtime.masker
    if not masker.active:
        return captured
    if isinstance(captured, Cut):
        return Cut(masker.text(captured.text), captured.bytes, captured.is_json)
    return masker.text(captured) if isinstance(captured, str) else masker.json(captured)


def payload_of(captured: Captured, slot: Slot) -> Payload:
    """Text, JSON or a conversation: whatever it is, without its secrets."""
    captured = masked(captured)
    if isinstance(captured, Cut):
        return _bounded(
            MIME_JSON if captured.is_json else MIME_TEXT, clean(captured.text), captured.bytes, short(clean(captured.text)), truncated=True
        )
    if isinstance(captured, str):
        text = clean(captured)
        return _bounded(MIME_TEXT, text, None, short(text))
    if len(captured) > DECODED_BYTES_MAX:
        text = captured.decode()
        return _bounded(MIME_JSON, text, None, short(text))
    value = msgspec.json.decode(captured)
    messages = as_messages(value)
    if messages is None:
        return _bounded(MIME_JSON, captured.decode(), None, clean(preview_of_json(value)))
    text = msgspec.json.encode(messages).decode()
    return _bounded(MIME_MESSAGES, text, None, clean(preview_of_messages(messages, is_input=slot is Slot.INPUT)))


def _bounded(mime: str, text: str, true_bytes: int | None, preview: str, *, truncated: bool = False) -> Payload:
    length = len(text) if text.isascii() else len(text.encode())
    if length * 6 > ENCODED_BYTES_MAX:  # six bytes for one is JSON's worst (a control character)
        encoded = len(msgspec.json.encode(text))
        while encoded > ENCODED_BYTES_MAX:
            text = text[: int(len(text) * ENCODED_BYTES_MAX / encoded * 0.99)]
            encoded = len(msgspec.json.encode(text))
            truncated = True
    return Payload(mime, text, true_bytes if true_bytes is not None else length, truncated, preview or None)
