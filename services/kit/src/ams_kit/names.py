"""Validation of the names that people give to objects. Pure functions."""

import unicodedata

from ams_kit.errors import InvalidError

NAME_CHARS_MAX = 100
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # fillers of Hangul, and the empty pattern of Braille


def check_name(name: str, what: str) -> str:
    """Validate a name that a person gives to an object; ``what`` names its kind, such as "project".

    Raises:
        InvalidError: invalid_name.
    """
    if not has_visible_characters(name) or len(name) > NAME_CHARS_MAX or has_control_characters(name) or name != name.strip():
        raise InvalidError(f"The name of the {what} is not valid. Use 1 to {NAME_CHARS_MAX} visible characters.", code="invalid_name")
    return name


def has_visible_characters(text: str) -> bool:
    """Whether a text shows anything: a letter, digit, sign or symbol that is not drawn as blank."""
    return any(unicodedata.category(char)[0] in "LNPS" and char not in _BLANKS for char in text)


def has_control_characters(text: str) -> bool:
    """Whether a text has control characters, lone surrogates, or marks that change the writing direction."""
    return any(unicodedata.category(char) in {"Cc", "Cs"} or "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069" for char in text)
