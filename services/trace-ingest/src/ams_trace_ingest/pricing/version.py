"""The version of the prices, without loading the catalog."""

import hashlib
from importlib.metadata import version

DIGEST_CHARACTERS = 12


def price_version(prices_file: str | None = None, own: str = "") -> str:
    """The version of the list prices, and of the price file that replaces some of them.

    Args:
        prices_file: The JSON of ``ams replay --prices``; null or ``{}`` for the list prices alone.
        own: The digest of the projects' own prices; empty when there are none.

    Returns:
        For example ``genai-prices 0.2.3`` or ``genai-prices 0.2.3, file sha256:0123456789ab, own prices sha256:456789abcdef``.
    """
    catalog = f"genai-prices {version('genai-prices')}"
    file = "" if prices_file is None or prices_file.strip() == "{}" else hashlib.sha256(prices_file.encode()).hexdigest()
    return catalog + (f", file sha256:{file[:DIGEST_CHARACTERS]}" if file else "") + (f", own prices sha256:{own}" if own else "")
