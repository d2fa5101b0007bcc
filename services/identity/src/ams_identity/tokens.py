"""Rules of tokens: how access tokens are signed, how refresh tokens are derived, and what happens to one that comes back. Pure.

A refresh token is ``<session>.<generation>.<mac>``. The mac is derived from the session's salt and the platform's secret, so the newest token
can be made again without being stored. That lets the twenty tabs of one browser that refresh at the same moment all get the one new token.
"""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from ams_identity.store.sessions import Session
from ams_kit.auth.encoding import encode_base64url
from ams_kit.auth.tokens import ALGORITHM, TOKEN_TYPE, is_uuid

ACCESS_SECONDS = 600
INGEST_AUDIENCE = "ams-ingest"
SESSION_IDLE = timedelta(days=30)
SESSION_LIFE = timedelta(days=90)
REFRESH_GRACE = timedelta(seconds=10)  # tabs of one browser refresh at the same moment; the loser of the race is no thief
REFRESH_CHARS_MAX = 256
GENERATION_DIGITS_MAX = 9
_TOKEN_PARTS = 3


def derive_key(secret: str, purpose: str) -> bytes:
    """32 bytes of ``AMS_SECRET_KEY`` for one purpose."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"ams identity {purpose}".encode()).derive(secret.encode())


def sign(key: Ed25519PrivateKey, kid: str, claims: dict[str, Any]) -> str:
    """A signed token of type ``at+jwt``."""
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE, "kid": kid})


class RefreshToken(Struct, frozen=True):
    """What a refresh token says, before anything is believed."""

    session_id: str
    generation: int
    mac: str


def parse_refresh(text: str) -> RefreshToken | None:
    """A refresh token, or ``None`` when it has not the form of one."""
    parts = text.split(".")
    if len(text) > REFRESH_CHARS_MAX or len(parts) != _TOKEN_PARTS or not text.isascii():
        return None
    session_id, generation, mac = parts
    if not is_uuid(session_id) or not generation.isdecimal() or len(generation) > GENERATION_DIGITS_MAX:
        return None
    return RefreshToken(session_id, int(generation), mac)


def refresh_token(key: bytes, session: Session, generation: int) -> str:
    """The refresh token of a session's generation."""
    message = f"{session.session_id}.{generation}.".encode() + session.salt
    return f"{session.session_id}.{generation}.{encode_base64url(hmac.new(key, message, hashlib.sha256).digest())}"


class Rotated(Struct, frozen=True):
    """It was the newest token: it is used up, and this generation follows."""

    generation: int
    expires_at: datetime


class WithinGrace(Struct, frozen=True):
    """It was used up a moment ago by somebody who has the right to it: they get the newest token again."""

    generation: int


class Reused(Struct, frozen=True):
    """It was used up before: somebody else has it. The session dies."""


class Refused(Struct, frozen=True):
    """It is good for nothing."""


def rotate(session: Session, token: RefreshToken, key: bytes, at: datetime) -> Rotated | WithinGrace | Reused | Refused:
    """Decide what a refresh token that came back is worth.

    Args:
        session: As stored, locked by the caller.
        token: As sent.
        key: ``derive_key(secret, "refresh")``.
        at: Now.
    """
    if not hmac.compare_digest(refresh_token(key, session, token.generation), f"{token.session_id}.{token.generation}.{token.mac}"):
        return Refused()
    if session.ended_at is not None or at >= session.expires_at:
        return Refused()
    if token.generation == session.generation:
        return Rotated(session.generation + 1, min(at + SESSION_IDLE, session.created_at + SESSION_LIFE))
    if token.generation == session.generation - 1 and at - session.rotated_at <= REFRESH_GRACE:
        return WithinGrace(session.generation)
    return Reused()
