"""Payload events, bounded so that each fits into a record of the log."""

import hashlib

import msgspec

from ams_contracts.documents import Slot
from ams_contracts.events import PAYLOAD_CHARS_MAX, PayloadStored, StepRecorded, StepStarted

ENCODED_BYTES_MAX = 1_500_000  # of `text` as JSON; a record may have 2 MiB, envelope included
SAFE_CHARS = ENCODED_BYTES_MAX // 6  # no character needs more than six bytes in JSON
_encode = msgspec.json.Encoder().encode
_SLOT_BITS = {Slot.INPUT: 1, Slot.OUTPUT: 2, Slot.ORIGINAL: 3, Slot.ERROR_STACK: 4}


def payload(event: StepRecorded | StepStarted, slot: Slot, mime: str, text: str, *, cut_from: int = 0) -> PayloadStored:
    """The payload of a step's slot.

    Args:
        event: The step's event; the payload takes its time, and an id that is the same for the same span and slot.
        slot: Which.
        mime: What ``text`` is.
        text: Cut here at a code point when it is too long for a record.
        cut_from: The true length in bytes when it was cut before; else 0.
    """
    encoded = text.encode()
    size = cut_from or len(encoded)
    kept = _fitting(text)
    return PayloadStored(
        event_id=payload_id(event.event_id, slot),
        seq=0,
        at_us=event.at_us,
        step_id=event.step_id,
        slot=slot,
        mime=mime,
        text=kept,
        bytes=size,
        sha256=hashlib.sha256(encoded).hexdigest(),
        truncated=bool(cut_from) or len(kept) != len(text),
    )


def payload_id(event_id: str, slot: Slot) -> str:
    """The step event's id with other last bits: never that of the step or of another slot."""
    return f"{event_id[:31]}{int(event_id[31], 16) ^ _SLOT_BITS[slot]:x}"


def _fitting(text: str) -> str:
    if len(text) <= SAFE_CHARS:
        return text
    text = text[:PAYLOAD_CHARS_MAX]
    while len(_encode(text)) > ENCODED_BYTES_MAX:
        text = text[: len(text) * 3 // 4]
    return text
