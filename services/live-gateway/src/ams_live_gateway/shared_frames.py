"""How a subscription sees the records of a task: as they are, or as a public link shows them."""

from collections.abc import Callable
from functools import partial

from ams_contracts.claims import ShareClaims
from ams_contracts.codec import MalformedError, decode_batch, encode
from ams_contracts.sharing import shared_batch
from ams_live_gateway.encoding import encode_frame
from ams_live_gateway.ring import Entry

View = Callable[[Entry], bytes]

_BATCH = b'"batch":'


def view_of(share: ShareClaims | None) -> View:
    """The encoder of frames for a subscription. Subscriptions with the same encoder share their messages.

    Args:
        share: The public link of the subscription; ``None`` for people and programs.
    """
    if share is None:
        return encode_frame
    return _WITH_CONTENTS if share.payloads else _STRUCTURE


def encode_shared_frame(entry: Entry, *, payloads: bool) -> bytes:
    """The frame of an entry as visitors see it. Empty when the value is not a batch."""
    frame = encode_frame(entry)
    start = frame.find(_BATCH)
    if start < 0:
        return frame  # a reset, or nothing
    start += len(_BATCH)
    try:
        batch = decode_batch(frame[start:-1]).batch
    except MalformedError:
        return b""
    return b"".join((frame[:start], encode(shared_batch(batch, payloads=payloads)), b"}"))


_WITH_CONTENTS: View = partial(encode_shared_frame, payloads=True)
_STRUCTURE: View = partial(encode_shared_frame, payloads=False)
