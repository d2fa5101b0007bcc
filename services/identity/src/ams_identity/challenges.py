"""Challenges: short-lived tokens for one purpose, which a person sends back with the proof. Pure functions.

``<purpose>.<subject>.<expires_s>.<nonce>.<mac>``. They are signed and not stored, so nobody fills a table by asking for them; ``store.spent_challenges`` has those
that were answered. The MAC also covers a binding that the token does not contain, such as the hash of the current password: when it changes, the token is void.
"""

import hashlib
import hmac
from typing import Literal

from msgspec import Struct

from ams_kit.auth.encoding import encode_base64url

Purpose = Literal[
    "second-factor", "passkey-sign-in", "passkey-registration", "passkey-proof", "verify-email", "oidc-sign-in", "oidc-link", "oidc-proof"
]
NOBODY = "-"
CHALLENGE_CHARS_MAX = 256
_PARTS = 5
_DIGITS_MAX = 12


class Challenge(Struct, frozen=True):
    """A challenge whose MAC is right.

    Attributes:
        subject: The account that it is for; ``NOBODY`` when it is not known yet.
        expires_s: Seconds since the epoch.
        digest: 32 bytes: what is stored of an answered challenge, and what a passkey signs.
    """

    subject: str
    expires_s: int
    digest: bytes


def digest_of(token: str) -> bytes:
    """The 32 bytes that a passkey signs for a challenge."""
    return hashlib.sha256(token.encode()).digest()


def issue(key: bytes, purpose: Purpose, subject: str, *, expires_s: int, nonce: str, binding: bytes = b"") -> str:
    """Make a challenge."""
    text = f"{purpose}.{subject}.{expires_s}.{nonce}"
    return f"{text}.{_mac(key, text, binding)}"


def subject_of(token: str) -> str:
    """The subject that a token claims, to find its binding. It is not verified; empty when the token does not have the form of one."""
    parts = token.split(".")
    return parts[1] if len(parts) == _PARTS and len(token) <= CHALLENGE_CHARS_MAX and token.isascii() else ""


def read(key: bytes, purpose: Purpose, token: str, *, now_s: float, binding: bytes = b"") -> Challenge | None:
    """Verify a challenge. ``None`` when it is forged, of another purpose, for another binding, or over."""
    text, _, mac = token.rpartition(".")
    parts = text.split(".")
    if not subject_of(token) or parts[0] != purpose or not parts[2].isdecimal() or len(parts[2]) > _DIGITS_MAX:
        return None
    if not hmac.compare_digest(mac, _mac(key, text, binding)) or now_s >= int(parts[2]):
        return None
    return Challenge(parts[1], int(parts[2]), digest_of(token))


def _mac(key: bytes, text: str, binding: bytes) -> str:
    return encode_base64url(hmac.new(key, f"{text}.".encode() + binding, hashlib.sha256).digest())
