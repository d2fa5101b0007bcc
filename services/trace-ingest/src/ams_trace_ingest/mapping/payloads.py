"""Payload events, each cut to fit into a record of the log."""

import msgspec

from ams_contracts.documents import Slot
from ams_contracts.events import PAYLOAD_CHARS_MAX, PayloadStored, StepRecorded, StepStarted

ENCODED_BYTES_MAX = 1_500_000  # of `text` as JSON; a record may have 2 MiB, envelope included
SAFE_CHARS = ENCODED_BYTES_MAX // 6  # no character needs more than six bytes in JSON
_encode = msgspec.json.Encoder().encode
_DIGITS = "0123456789abcdef"
_FLIPPED = {
    slot: {digit: _DIGITS[int(digit, 16) ^ bits] for digit in _DIGITS}
    for bits, slot in enumerate((Slot.INPUT, Slot.OUTPUT, Slot.ORIGINAL, Slot.ERROR_STACK), start=1)
}


def payload(
    event: StepRecorded | StepStarted, slot: Slot, mime: str, text: str, *, cut_from: int = 0, consumed: str | None = None
) -> PayloadStored:
    """The payload of a step's slot.

    Args:
        event: The step's event; the payload takes its time, and an id that is the same for the same span and slot.
        slot: Which.
        mime: What ``text`` is.
        text: Cut at a code point when it is too long for a record.
        cut_from: The true length in bytes when it was cut before; else 0.
        consumed: Of an original.
    """
    return _payload(payload_id(event.event_id, slot), event.at_us, event.step_id, slot, mime, text, cut_from, consumed)


def payload_of(
    step_id: str, slot: Slot, mime: str, text: str, *, event_id: str, at_us: int, cut_from: int = 0, consumed: str | None = None
) -> PayloadStored:
    """A payload with an id of its own; otherwise as ``payload``."""
    return _payload(event_id, at_us, step_id, slot, mime, text, cut_from, consumed)


def _payload(  # noqa: PLR0917  three of each span: positions cost less than names
    event_id: str, at_us: int, step_id: str, slot: Slot, mime: str, text: str, cut_from: int, consumed: str | None
) -> PayloadStored:
    kept = text if len(text) <= SAFE_CHARS else _fitting(text)
    return PayloadStored(
        event_id=event_id,
        seq=0,
        at_us=at_us,
        step_id=step_id,
        slot=slot,
        mime=mime,
        text=kept,
        bytes=cut_from or (len(text) if text.isascii() else len(text.encode())),
        truncated=cut_from != 0 or len(kept) != len(text),
        consumed=consumed,
    )


def payload_id(event_id: str, slot: Slot) -> str:
    """The step event's id with other last bits: never that of the step or of another slot."""
    return event_id[:31] + _FLIPPED[slot][event_id[31]]


def _fitting(text: str) -> str:
    text = text[:PAYLOAD_CHARS_MAX]
    while len(_encode(text)) > ENCODED_BYTES_MAX:
        text = text[: len(text) * 3 // 4]
    return text
