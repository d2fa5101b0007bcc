"""A Bloom filter of about 200,000 common passwords. ``services/identity/tools/build_common_passwords.py`` builds it and names the source."""

import hashlib
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FILTER_FILE = Path(__file__).with_name("common_passwords.bin")
HASHES = 14


def comparable(password: str) -> str:
    """The form in which passwords are compared with the list: NFKC, without case."""
    return unicodedata.normalize("NFKC", password).casefold()


def positions(entry: str, bits: int) -> Iterator[int]:
    """The bits of an entry in a filter of ``bits`` bits."""
    digest = hashlib.blake2b(entry.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    first, step = int.from_bytes(digest[:8]), int.from_bytes(digest[8:]) | 1
    return ((first + number * step) % bits for number in range(HASHES))


@cache
def _filter() -> bytes:
    return FILTER_FILE.read_bytes()


def is_listed(password: str) -> bool:
    """Whether a password is in the list, ignoring case. Of other passwords, one in 16,000 counts as listed too."""
    bits = _filter()
    return all(bits[position >> 3] >> (position & 7) & 1 for position in positions(comparable(password), len(bits) * 8))
