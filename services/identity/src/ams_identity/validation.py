"""Validation of usernames, email addresses and passwords. Pure functions."""

import re

from ams_kit.errors import InvalidError
from ams_kit.names import has_control_characters

USERNAME_CHARS_MAX = 64
EMAIL_CHARS_MAX = 254
PASSWORD_CHARS_MAX = 1_024

RESERVED_USERNAMES = frozenset({"local", "demo", "system", "machine"})
"""Names reserved for machine accounts, which commands of the platform create."""
RESERVED_EMAIL_DOMAIN = "localhost"

# excludes look-alike and invisible characters, and those with a meaning in a path, a header or HTML
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# the pattern of HTML's <input type=email>, so that the form and the service agree
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)

_KEYBOARD_SEQUENCES = (
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "01234567890123456789",
    "1234567890qwertyuiop",
)
_COMMON = frozenset(
    {
        "password1234", "password12345", "password123456", "password123!", "passw0rd1234", "administrator", "administrator1", "qwerty123456", "qwertyqwerty1",
        "letmein12345", "letmein123456", "welcome12345", "welcome123456", "iloveyou1234", "changeme1234", "changeme12345", "trustno1trustno1", "1q2w3e4r5t6y7u8i",
        "1q2w3e4r5t6y", "1qazxsw23edc", "q1w2e3r4t5y6", "abcdefg12345", "abc123456789", "123456789abc", "a123456789012", "unknownunknown",
        "monkey123456", "dragon123456", "football1234", "baseball1234", "superman1234", "princess1234", "sunshine1234", "master123456", "p@ssw0rd1234", "p@ssword1234",
        "mypassword123", "mypassword1234", "secret123456", "default12345", "test12345678", "testtest1234", "admin1234567", "admin12345678", "adminadmin12", "root12345678",
    }
)  # fmt: skip


def check_username(username: str) -> str:
    """Validate a username for registration.

    Raises:
        InvalidError: not_ascii | invalid_username.
    """
    if not username.isascii():
        raise InvalidError("The username has characters outside ASCII. Use letters from a to z and digits.", code="not_ascii")
    if len(username) > USERNAME_CHARS_MAX or _USERNAME.fullmatch(username) is None:
        raise InvalidError(
            f"A username has 1 to {USERNAME_CHARS_MAX} letters, digits, dots, hyphens and underscores, and begins with a letter or digit.",
            code="invalid_username",
        )
    return username


def check_new_person(username: str, email: str) -> None:
    """Reject usernames and addresses that are reserved for machine accounts.

    Raises:
        InvalidError: reserved_username | reserved_email.
    """
    if username.lower() in RESERVED_USERNAMES:
        raise InvalidError("This username is reserved for machine accounts. Choose another one.", code="reserved_username")
    if email.lower().rpartition("@")[2] == RESERVED_EMAIL_DOMAIN:
        raise InvalidError(
            f"Addresses at {RESERVED_EMAIL_DOMAIN} are reserved for machine accounts. Use another address.", code="reserved_email"
        )


def check_email(email: str) -> str:
    """Validate an email address for registration.

    Raises:
        InvalidError: not_ascii | invalid_email.
    """
    if not email.isascii():
        raise InvalidError("The email address has characters outside ASCII. Write the domain in punycode.", code="not_ascii")
    if len(email) > EMAIL_CHARS_MAX or _EMAIL.fullmatch(email) is None:
        raise InvalidError("The email address is not valid. Write it like name@example.com.", code="invalid_email")
    return email


def check_password(password: str, *, chars_min: int, username: str, email: str) -> str:
    """Validate a new password. It is kept unchanged, including leading and trailing spaces.

    Raises:
        InvalidError: too_short | too_long | control_characters | blocklisted.
    """
    if len(password) < chars_min:
        raise InvalidError(f"The password is too short. Use at least {chars_min} characters.", code="too_short")
    if len(password) > PASSWORD_CHARS_MAX:
        raise InvalidError(f"The password is too long. Use at most {PASSWORD_CHARS_MAX} characters.", code="too_long")
    if has_control_characters(password):
        raise InvalidError("The password contains control characters. Remove them.", code="control_characters")
    if is_common(password) or password.lower() in {username.lower(), email.lower()}:
        raise InvalidError("This password is easy to guess. Choose another one.", code="blocklisted")
    return password


def is_common(password: str) -> bool:
    """Whether a password is a common one, a repeated short piece, or a sequence of neighbouring keys or letters."""
    text = password.lower()
    if text in _COMMON:
        return True
    if any(text in sequence or text[::-1] in sequence for sequence in _KEYBOARD_SEQUENCES):
        return True
    return text.isascii() and any(_repeats(text, period) for period in range(1, len(text) // 2 + 1))


def _repeats(text: str, period: int) -> bool:
    return all(text[index] == text[index - period] for index in range(period, len(text)))
