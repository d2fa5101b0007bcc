"""Secrets are replaced before anything leaves the process. Pure; runs in the sender's thread, so the agent does not wait for it.

Two rules, on by default: a value under a name that says that it is secret (``api_key``, ``password``, ``Authorization`` ...), and a text that looks
like one (keys of providers, ``Bearer ...``, JSON Web Tokens, private keys, card numbers that pass their check digit). Own functions come after them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

MASKED = "[masked]"
FAILED = "[masked: the mask function failed]"
Mask = Callable[[str], str]

_SECRET_NAMES = frozenset(
    {
        *(
            "password",
            "passwd",
            "passphrase",
            "pwd",
            "secret",
            "clientsecret",
            "secretkey",
            "privatekey",
            "accesskey",
            "accesskeyid",
            "apikey",
        ),
        *(
            "authtoken",
            "accesstoken",
            "refreshtoken",
            "idtoken",
            "sessiontoken",
            "bearertoken",
            "apitoken",
            "authorization",
            "proxyauthorization",
        ),
        *("cookie", "setcookie", "credential", "credentials", "connectionstring", "cardnumber", "cvv", "cvc", "xapikey", "secretaccesskey"),
    }
)
"""Without case and separators. A longer name that ends with one of at least 6 letters counts too: ``OPENAI_API_KEY``."""
_LONG_NAMES = tuple(name for name in _SECRET_NAMES if len(name) >= 6)  # noqa: PLR2004 - "tcvc" is no secret
_NAME_HINTS = ("pass", "pwd", "secret", "key", "token", "auth", "cookie", "credential", "connection", "card", "cvv", "cvc")
_TOKEN_CHARS_MIN = 16  # of a value named "token": shorter ones are words of a model, as in log probabilities
_SEPARATORS = re.compile(r"[^a-z0-9]")


@cache
def _patterns() -> tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...]:
    """A character and words of which one must be in the text, and what is replaced then. Most texts have none of them.

    The search for one character costs 0.05 us for 1 KB, for a word 1 us, for a pattern 10. Compiled at the first text: an import should not wait for it.
    """
    return (
        ("-", ("sk-",), re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}")),
        ("B", ("Bearer ", "BEARER "), re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}")),
        ("b", ("bearer ",), re.compile(r"(?<=bearer )[A-Za-z0-9._~+/=-]{8,}")),
        ("B", ("Basic ",), re.compile(r"(?<=Basic )[A-Za-z0-9+/]{16,}={0,2}")),
        ("J", ("eyJ",), re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*")),
        (
            "-",
            ("PRIVATE KEY",),
            re.compile(r"-----BEGIN (?:[A-Z ]{0,20})PRIVATE KEY-----[^-]{0,20000}(?:-----END (?:[A-Z ]{0,20})PRIVATE KEY-----)?"),
        ),
        ("A", ("AKIA", "ASIA"), re.compile(r"(?<![A-Z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Z0-9])")),
        ("_", ("gh", "github_pat_"), re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
        ("-", ("xox",), re.compile(r"(?<![A-Za-z0-9])xox[abposr]-[A-Za-z0-9-]{10,}")),
        ("A", ("AIza",), re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}")),
        ("_", ("ams_",), re.compile(r"(?<![A-Za-z0-9])ams_[A-Za-z0-9_-]{20,}")),
        ("@", ("://",), re.compile(r"(?<=://)[^\s/:@\"']{1,200}:[^\s/@\"']{1,200}(?=@)")),
    )


@cache
def _assigned() -> re.Pattern[str]:
    """``password=hunter2`` in a text, and in JSON that was cut off."""
    return re.compile(
        r"""(?ix) \b([a-z0-9_.-]{0,40}(?:password|passwd|secret|api[_-]?key|access[_-]?key|access[_-]?token|auth[_-]?token|private[_-]?key))
    (["']?\s{0,4}[=:]\s{0,4})(?!\s)("(?:[^"\\]|\\.){1,2000}"|'(?:[^'\\]|\\.){1,2000}'|[^\s"',;&)}\]]{4,500})"""
    )


@cache
def _digits() -> re.Pattern[str]:
    """Where a card number may be. Its first character is a plain class, which the engine finds fast."""
    return re.compile(r"[0-9][0-9 -]{11,30}")


@cache
def _card_start() -> re.Pattern[str]:
    return re.compile(r"(?<![\w.-])(?:4|5[1-5]|2[2-7]|3[47]|6(?:011|5|4[4-9]))(?=[0-9 -]{9})")


_CARD_LENGTHS = (19, 16, 15, 13)


class Masker:
    """Replaces secrets in texts, JSON values and attributes."""

    __slots__ = ("_functions", "_obvious", "report")

    def __init__(self, functions: Sequence[Mask] = (), *, obvious: bool = True, report: Callable[[], None] | None = None) -> None:
        """A masker.

        Args:
            functions: Each gets a text and returns what may leave the process. When one raises, the text is replaced completely.
            obvious: Whether the two rules of this module apply.
            report: Called when a function raises.
        """
        self._functions = tuple(functions)
        self._obvious = obvious
        self.report = report

    @property
    def active(self) -> bool:
        """Whether anything is replaced at all."""
        return self._obvious or bool(self._functions)

    def hides(self, name: str) -> bool:
        """Whether every value under this name is replaced."""
        return self._obvious and is_secret_name(name)

    def text(self, text: str) -> str:
        """A text without its secrets."""
        if self._obvious:
            text = _without_secrets(text)
        for function in self._functions:
            try:
                text = str(function(text))
            except Exception:  # noqa: BLE001 - the agent's code
                if self.report is not None:
                    self.report()
                return FAILED
        return text

    def json(self, data: bytes) -> bytes:
        """JSON without its secrets; the same object when there are none."""
        if not self.active or (not self._functions and not may_hold_secret(data.decode("utf-8", "replace"))):
            return data
        try:
            return msgspec.json.encode(self.value(msgspec.json.decode(data)))
        except (msgspec.DecodeError, RecursionError):  # cut off, or nested deeper than Python's stack
            return self.text(data.decode("utf-8", "replace")).encode()

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON value without its secrets.

        Args:
            value: What ``json.loads`` gives.
            name: The name under which it is.
        """
        if self._obvious and name and value not in (None, "", True, False) and is_secret_name(name, value):
            return MASKED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item, str(key)) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, int) and not isinstance(value, bool) and self._obvious and _without_cards(str(value)) == MASKED:
            return MASKED
        return value

    def attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of a span without their secrets. For span processors and exporters of OpenTelemetry.

        Args:
            attributes: Values are texts, numbers, booleans or sequences of them; texts may hold JSON.
        """
        return {name: self._attribute(name, value) for name, value in attributes.items()}

    def _attribute(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and value[:1] in ("{", "["):
            return self.json(value.encode("utf-8", "replace")).decode()
        masked = self.value(value, name.rpartition(".")[2])
        return tuple(masked) if isinstance(masked, list) else masked


def is_secret_name(name: str, value: object = None) -> bool:
    """Whether a name says that its value is secret.

    Args:
        name: ``api_key``, ``X-Api-Key``, ``clientSecret`` ...
        value: A value named ``token`` is secret only when it is a long word.
    """
    folded = _SEPARATORS.sub("", name.lower())
    if folded == "token":
        return isinstance(value, str) and len(value) >= _TOKEN_CHARS_MIN and " " not in value
    return folded in _SECRET_NAMES or folded.endswith(_LONG_NAMES)


def _without_secrets(text: str) -> str:
    for character, words, pattern in _patterns():
        if character in text and any(word in text for word in words):
            text = pattern.sub(MASKED, text)
    lower = text.lower()
    if any(hint in lower for hint in ("pass", "secret", "key", "token")):
        text = _assigned().sub(lambda match: f"{match[1]}{match[2]}{_quoted(match[3])}", text)
    return _without_cards(text) if _may_hold_card(text) else text


def _without_cards(text: str) -> str:
    pieces: list[str] = []
    done = place = 0
    while (start := _card_start().search(text, place)) is not None:
        end = _end_of_card(text, start.start())
        place = end or start.end()
        if end:
            pieces += text[done : start.start()], MASKED
            done = end
    return "".join(pieces) + text[done:] if pieces else text


def _end_of_card(text: str, start: int) -> int:
    """Where the card number that begins at ``start`` ends; 0: none does."""
    digits: list[int] = []
    ends: dict[int, int] = {}
    for place in range(start, min(len(text), start + 2 * _CARD_LENGTHS[0])):
        character = text[place]
        if character in "0123456789":
            digits.append(int(character))
            ends[len(digits)] = place + 1
        elif character not in " -" or text[place - 1] in " -":
            break
    for length in _CARD_LENGTHS:
        end = ends.get(length)
        if end is not None and not text[end : end + 1].isalnum() and _has_check_digit(digits[:length]):
            return end
    return 0


def _quoted(value: str) -> str:
    return f"{value[0]}{MASKED}{value[0]}" if value[:1] in ('"', "'") else MASKED


def may_hold_secret(text: str) -> bool:
    """Whether a text, or JSON, is worth the thorough look; false when it holds no secret. About 2 us for 1 KB."""
    lower = text.lower()
    return (
        any(hint in lower for hint in _NAME_HINTS)
        or any(character in text and any(word in text for word in words) for character, words, _ in _patterns())
        or _may_hold_card(text)
    )


def _may_hold_card(text: str) -> bool:
    return ("4" in text or "5" in text or "3" in text or "2" in text or "6" in text) and _digits().search(text) is not None


def _has_check_digit(digits: list[int]) -> bool:
    """Luhn, ISO/IEC 7812-1."""
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])  # noqa: PLR2004 - the sum of the digits of its double
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
