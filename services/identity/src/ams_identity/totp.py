"""Time-based one-time codes (RFC 6238) of an authenticator app: 6 digits, SHA-1, steps of 30 s, as every app supports. Pure functions."""

import hmac
import re

import segno
from pyotp import random_base32
from pyotp.totp import TOTP

STEP_SECONDS = 30
WINDOW_STEPS = 1  # a clock may differ by a step, and a code may be typed at the end of its own
ISSUER = "AMS"
_CODE = re.compile(r"[0-9]{6}")


def new_secret() -> str:
    """160 random bits as base 32."""
    return random_base32()


def address_of(secret: str, *, account: str, host: str) -> str:
    """The ``otpauth://`` address that an authenticator app reads."""
    return TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=f"{account}@{host}", issuer_name=ISSUER)


def picture_of(address: str) -> list[str]:
    """The QR code of an address without its quiet zone: one text per row, ``1`` for a dark module."""
    return ["".join("1" if module else "0" for module in row) for row in segno.make(address, error="m", micro=False).matrix]


def is_code(text: str) -> bool:
    """Whether a text has the form of a code."""
    return _CODE.fullmatch(text) is not None


def step_of(secret: str, code: str, *, now_s: float, after: int) -> int | None:
    """The time step that a code belongs to.

    Args:
        secret: Base 32.
        code: As typed, without spaces.
        now_s: Seconds since the epoch.
        after: The step of the last accepted code; this one and older ones are refused.

    Returns:
        ``None`` when the code is wrong, too old, or was used already.
    """
    if not is_code(code):
        return None
    generator = TOTP(secret, interval=STEP_SECONDS)
    current = int(now_s // STEP_SECONDS)
    steps = range(current - WINDOW_STEPS, current + WINDOW_STEPS + 1)
    matching = [step for step in steps if hmac.compare_digest(generator.generate_otp(step), code)]
    return next((step for step in matching if step > after), None)
