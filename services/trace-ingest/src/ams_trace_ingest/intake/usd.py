"""Prices as decimal US dollars, exactly: the smallest unit is a pico-dollar."""

import re
from decimal import Decimal

from ams_kit.errors import InvalidError

PICO_PER_USD_MTOK = 1_000_000
PICO_PER_USD = 10**12
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,15})?", re.ASCII)


def decimal_text(pico: int, per_usd: int) -> str:
    """Exact: the units are powers of ten of the smallest one."""
    whole, rest = divmod(pico, per_usd)
    digits = f"{rest:0{len(str(per_usd)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def pico_of(text: str, per_usd: int, pico_max: int, what: str) -> int:
    """The price in pico-dollars.

    Args:
        text: Decimal US dollars.
        per_usd: Pico-dollars a dollar of it.
        pico_max: The largest price.
        what: Names the price in the error.

    Raises:
        InvalidError: No number, out of range, or with more digits than are kept.
    """
    if _USD.fullmatch(text) is None:
        raise InvalidError(f"The price of {what} is not a number. Write US dollars, such as 0.15.")
    pico = Decimal(text) * per_usd
    if pico > pico_max:
        raise InvalidError(f"The price of {what} must be between 0 and {decimal_text(pico_max, per_usd)} US dollars.")
    if pico != int(pico):
        raise InvalidError(f"The price of {what} has more than {len(str(per_usd)) - 1} digits after the point.")
    return int(pico)
