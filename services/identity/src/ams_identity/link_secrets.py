"""Secrets of links: sign-in codes, invitations, links that reset a password, public links. Stored as SHA-256: 190 random bits need no slow hash."""

import hashlib
import re

from ams_identity.ids import random_text

SECRET_CHARS = 32
_SECRET = re.compile(rf"[0-9A-Za-z]{{{SECRET_CHARS}}}")


def new_secret() -> str:
    """What the link has in its fragment, which browsers send to no server."""
    return random_text(SECRET_CHARS)


def hash_of(secret: str) -> bytes:
    """What is stored of a secret; of text that is none, bytes that no link has."""
    return hashlib.sha256(secret.encode()).digest() if _SECRET.fullmatch(secret) else b""
