"""Ids and secrets: UUIDv7 for ids that sort by time, base 62 for what people copy."""

import secrets
import uuid

from ams_kit.auth.api_keys import ALPHABET


def uuid7(at_s: float) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, 74 random bits.

    Args:
        at_s: Seconds since the epoch.
    """
    value = (int(at_s * 1_000) & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def random_text(chars: int) -> str:
    """Random letters and digits, 5.95 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(chars))
