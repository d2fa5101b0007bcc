"""Token rules: signing of access tokens, derivation and rotation of refresh tokens. Pure functions.

A refresh token is ``<session>.<generation>.<mac>``. The MAC is derived from the session's salt and the root secret, so the newest token
can be computed again without being stored. Twenty tabs of one browser that refresh at the same moment therefore all get the same new token.
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
from ams_kit.auth.tokens import ALGORITHM, LIFE_SECONDS_MAX, TOKEN_TYPE, is_uuid

ACCESS_SECONDS = LIFE_SECONDS_MAX
INGEST_AUDIENCE = "ams-ingest"
SESSION_IDLE = timedelta(days=30)
SESSION_LIFE = timedelta(days=90)
REFRESH_GRACE = timedelta(seconds=10)  # tabs of one browser refresh at the same moment, which is not a replay
REFRESH_CHARS_MAX = 256
GENERATION_DIGITS_MAX = 9
_TOKEN_PARTS = 3


def derive_key(secret: str, purpose: str) -> bytes:
    """Derive a 32-byte key for one purpose from a secret."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"ams identity {purpose}".encode()).derive(secret.encode())


def sign(key: Ed25519PrivateKey, kid: str, claims: dict[str, Any]) -> str:
    """Sign a token of type ``at+jwt``."""
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE, "kid": kid})


class RefreshToken(Struct, frozen=True):
    """The parts of a refresh token, not verified yet."""

    session_id: str
    generation: int
    mac: str


def parse_refresh(text: str) -> RefreshToken | None:
    """Parse a refresh token. ``None`` when the text does not have the form of one."""
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
    """The token was the newest one. It is consumed, and this generation follows."""

    generation: int
    expires_at: datetime


class WithinGrace(Struct, frozen=True):
    """The token was consumed within ``REFRESH_GRACE``: the client gets the newest token again."""

    generation: int


class Reused(Struct, frozen=True):
    """The token was consumed earlier, so it may be stolen. The session must end."""


class Refused(Struct, frozen=True):
    """The token is not valid."""


def rotate(session: Session, token: RefreshToken, key: bytes, at: datetime) -> Rotated | WithinGrace | Reused | Refused:
    """Decide what follows from a refresh token that a client sent.

    Args:
        session: As stored, locked by the caller.
        token: As parsed.
        key: The key of the purpose ``refresh``.
        at: The current time.
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
