"""Numbers as people read them: durations, costs and counts, the same on the command line, in answers to coding agents and in tests."""

from decimal import Decimal

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
_THOUSAND = 1_000
_MILLISECOND_US = 1_000


def duration_text(microseconds: int | None) -> str:
    """A duration: ``870 us``, ``12.4 ms``, ``2.66 s``, ``1 m 12 s``, ``2 h 05 m``; ``-`` when it is unknown."""
    if microseconds is None:
        return "-"
    us = max(microseconds, 0)
    if us < _MILLISECOND_US:
        return f"{us} us"
    if us < SECOND_US:
        return f"{us / 1_000:.3g} ms" if us < SECOND_US - 500 else "1.00 s"
    if us < MINUTE_US:
        return f"{us / SECOND_US:.2f} s"
    if us < HOUR_US:
        return f"{us // MINUTE_US} m {us % MINUTE_US // SECOND_US:02} s"
    return f"{us // HOUR_US} h {us % HOUR_US // MINUTE_US:02} m"


def cost_text(nano_usd: int | None) -> str:
    """A cost in US dollars, exact, without trailing zeros: ``$0.0042``; ``-`` when it is unknown."""
    if nano_usd is None:
        return "-"
    text = f"{Decimal(nano_usd).scaleb(-9):f}"
    return f"${text.rstrip('0').rstrip('.') if '.' in text else text}"


def count_text(number: int) -> str:
    """A count: ``812``, ``12.4k``, ``1.3m``."""
    if number < _THOUSAND:
        return str(number)
    if number < _THOUSAND**2:
        return f"{number / _THOUSAND:.3g}k" if number < 999_500 else "1m"  # noqa: PLR2004  rounds to a million
    return f"{number / _THOUSAND**2:.3g}m"


def plural(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cut(text: str, characters_max: int) -> str:
    """The text on one line, shortened to at most that many characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= characters_max else line[: characters_max - 1].rstrip() + "…"
