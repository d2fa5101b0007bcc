"""The rules for new passwords. Pure functions, except that the list of common passwords is read from its file once.

There are no composition rules: length, a list of common passwords, the words of the account and of the product, and an estimate of the number of guesses.
"""

import importlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from ams_identity.common_passwords import comparable, is_listed
from ams_identity.faults import Fault
from ams_kit.names import has_control_characters

PASSWORD_CHARS_MAX = 256
GUESSES_LOG10_MIN = 9.0  # zxcvbn calls 8 "safely unguessable", but a capital, a year and two signs reach 8.4
ESTIMATED_CHARS = 40  # zxcvbn's time grows with the square of the length; a prefix that is hard to guess suffices
DECORATION_CHARS_MAX = 8  # digits and signs around one common word: a year, two signs, and some
OWN_CHARS_MIN = 6  # letters of a password that are not the account's or the product's words
WORD_CHARS_MIN = 3
PRODUCT_WORDS = ("ams", "agent", "agents", "trace", "traces", "tracing", "platform", "explorer", "opentelemetry", "langfuse", "langsmith")

_ESTIMATOR = "zxcvbn"  # its word lists take 15 MB, so only a process that checks a password loads them
_KEYBOARD_SEQUENCES = (
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "01234567890123456789",
    "1234567890qwertyuiop",
)
_LOOK_ALIKES = str.maketrans("@4831!05$7+2", "aabeiiosstt" + "z")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_GUESSABLE = "The password is easy to guess. Use four or more unrelated words, or a password manager."


def normalized(password: str) -> str:
    """The form of a password that is hashed: NFKC, so that two keyboards that compose a letter differently agree. Spaces and case are kept."""
    return unicodedata.normalize("NFKC", password)


def password_faults(password: str, *, chars_min: int, username: str, email: str, field: str = "password") -> list[Fault]:
    """Everything that is wrong with a new password, each with what would pass. Takes up to 0.1 s of computing.

    Args:
        password: As typed.
        chars_min: The minimum length, in characters after normalization.
        username: Of the account, for the rule about its words.
        email: Of the account.
        field: The name of the form's field.
    """
    text = normalized(password)
    faults: list[Fault] = []
    if len(text) < chars_min:
        faults.append(Fault(field, "too_short", f"The password is too short. Use at least {chars_min} characters."))
    if len(text) > PASSWORD_CHARS_MAX or len(password) > PASSWORD_CHARS_MAX:
        return [Fault(field, "too_long", f"The password is too long. Use at most {PASSWORD_CHARS_MAX} characters.")]
    if has_control_characters(text):
        faults.append(Fault(field, "control_characters", "The password contains control characters. Remove them."))
    words = list(_words_of((username, email)))
    if is_common(text):
        faults.append(Fault(field, "blocklisted", f"The password is a common one. {_GUESSABLE.partition('. ')[2]}"))
    elif _consists_of(text, words):
        message = "The password consists of the username, the email address or words of this product. Use other words."
        faults.append(Fault(field, "own_words", message))
    elif text and guesses_log10(text, words) < GUESSES_LOG10_MIN:
        faults.append(Fault(field, "guessable", _GUESSABLE))
    return faults


def is_common(password: str) -> bool:
    """Whether a password is a listed one, perhaps with digits and signs around it or for letters, a repeated piece, or a sequence of keys."""
    text = comparable(password)
    core = text.strip("".join(_decoration(text)))
    if is_listed(text) or (core and len(text) - len(core) <= DECORATION_CHARS_MAX and is_listed(core.translate(_LOOK_ALIKES))):
        return True
    if text and any(text in sequence or text[::-1] in sequence for sequence in _KEYBOARD_SEQUENCES):
        return True
    return any(_repeats(text, period) for period in range(1, len(text) // 2 + 1))


def _decoration(text: str) -> Iterator[str]:
    return (char for char in set(text) if not char.isalpha() and char.isascii())


def _repeats(text: str, period: int) -> bool:
    return all(text[index] == text[index - period] for index in range(period, len(text)))


def _words_of(texts: Iterable[str]) -> Iterator[str]:
    """The words of names and addresses, and those of the product, longest first."""
    own = {
        piece for text in texts for piece in (*_NOT_LETTERS.split(comparable(text)), comparable(text), comparable(text).partition("@")[0])
    }
    return iter(sorted({word for word in (*own, *PRODUCT_WORDS) if len(word) >= WORD_CHARS_MIN}, key=len, reverse=True))


def _consists_of(password: str, words: Iterable[str]) -> bool:
    """Whether fewer than ``OWN_CHARS_MIN`` letters remain once the words are removed; digits and signs do not count."""
    plain = comparable(password)
    if not any(word in plain or word in plain.translate(_LOOK_ALIKES) for word in words):
        return False
    remaining = [plain, plain.translate(_LOOK_ALIKES)]
    for word in words:
        remaining = [text.replace(word, " ") for text in remaining]
    # digits of the second form have become letters, so that form counts only when it removed more words
    return min(len(_NOT_LETTERS.sub("", text)) for text in remaining) < OWN_CHARS_MIN


def guesses_log10(password: str, words: Iterable[str]) -> float:
    """How many guesses a password resists, as a power of ten, by zxcvbn.

    Args:
        password: Only its first ``ESTIMATED_CHARS`` characters count.
        words: An attacker's first guesses: the account's and the product's words.
    """
    estimator: Any = importlib.import_module(_ESTIMATOR)
    guesses = estimator.zxcvbn(password[:ESTIMATED_CHARS], user_inputs=list(words))["guesses"]
    return math.log10(max(1, int(guesses)))
