"""Recovery codes: each replaces a lost second factor once. 79 random bits in groups, stored as SHA-256. Pure functions."""

import hashlib
import re
import secrets

CODES = 10
GROUPS = 4
GROUP_CHARS = 4
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that nobody mistakes for each other: no i, l, o, 0 and 1."""
_CODE = re.compile(rf"[{ALPHABET}]{{{GROUPS * GROUP_CHARS}}}")


def new_codes() -> list[str]:
    """A set of codes, as people see them: ``k7mf-2qwp-9xtn-c4hd``."""
    return ["-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARS)) for _ in range(GROUPS)) for _ in range(CODES)]


def hash_of(user_id: str, typed: str) -> bytes | None:
    """What is stored of a code. Case, spaces and hyphens do not count. ``None`` when the text does not have the form of a code."""
    plain = re.sub(r"[\s-]", "", typed).lower()
    return hashlib.sha256(f"{user_id}.{plain}".encode()).digest() if _CODE.fullmatch(plain) else None
