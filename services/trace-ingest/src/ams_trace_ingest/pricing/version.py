"""The version of the prices, without loading the catalog."""

import hashlib
from importlib.metadata import version

DIGEST_CHARACTERS = 12


def price_version(prices_file: str | None = None) -> str:
    """The version of the list prices, and of the price file that replaces some of them.

    Args:
        prices_file: The JSON of ``ams replay --prices``; null or ``{}`` for the list prices alone.

    Returns:
        For example ``genai-prices 0.2.3`` or ``genai-prices 0.2.3, file sha256:0123456789ab``.
    """
    catalog = f"genai-prices {version('genai-prices')}"
    if prices_file is None or prices_file.strip() == "{}":
        return catalog
    return f"{catalog}, file sha256:{hashlib.sha256(prices_file.encode()).hexdigest()[:DIGEST_CHARACTERS]}"
