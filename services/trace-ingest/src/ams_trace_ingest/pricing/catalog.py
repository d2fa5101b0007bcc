"""The public list prices of the ``genai-prices`` package, used offline: its updates are not enabled.

Importing it costs 0.3 s and its data as much again, so only intake imports this module, and loads the data while it starts.
"""

from datetime import UTC, datetime
from decimal import Decimal

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, TieredPrices

from ams_trace_ingest.pricing.price import ANSWERS_MAX, Tier, UnitPrice, UnitPrices

_MICROSECONDS = 1_000_000
_PICO_PER_USD_MTOK = 1_000_000  # 1 USD a million tokens = 1,000,000 pico-USD a token
_PICO_PER_USD_KREQUEST = 10**9
_NAMES = {"x_ai": "x-ai"}  # the one of OpenTelemetry's names that it does not know
_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "input_image": "input_image_mtok",
    "input_video": "input_video_mtok",
    "cache_audio_read": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "output_image": "output_image_mtok",
    "output_reasoning": "output_reasoning_mtok",
}


class GenaiPrices:
    """The catalog. Found models are cached by provider and name, compiled prices by what they were compiled from."""

    def __init__(self) -> None:
        self._snapshot: DataSnapshot = get_snapshot()
        self._models: dict[tuple[str | None, str], ModelInfo | None] = {}
        self._compiled: dict[int, UnitPrices] = {}
        self._compiled_tiers: dict[tuple[int, ...], UnitPrices] = {}
        self._tiers: dict[tuple[int, str], tuple[PriceVariant, ...]] = {}
        self._known: dict[str, bool] = {}

    def find(self, provider: str | None, model: str, at_us: int, service_tier: str | None = None) -> UnitPrices | None:
        key = (provider, model)
        if key in self._models:
            found = self._models[key]
        else:
            if len(self._models) >= ANSWERS_MAX:
                self._models.clear()
            found = self._models[key] = self._find(provider, model)
        if found is None:
            return None
        if service_tier is not None and found.price_variants:
            variants = self._variants(found, service_tier)
            if variants:
                return self._of_tier(found, variants, service_tier, at_us)
        prices = found.prices
        if isinstance(prices, list):  # they change with the date or the hour
            prices = found.get_prices(_moment(at_us))
        compiled = self._compiled.get(id(prices))
        if compiled is None:
            compiled = self._compiled[id(prices)] = _compile(prices)
        return compiled

    def _of_tier(self, found: ModelInfo, variants: tuple[PriceVariant, ...], service_tier: str, at_us: int) -> UnitPrices:
        """The catalog makes a new object for each question, so the answer is cached by what it is made of: standard and active variants."""
        at = _moment(at_us)
        active = (id(variant) for variant in variants if variant.constraint is None or variant.constraint.active(at))
        key = (id(found.get_prices(at)), *active)
        compiled = self._compiled_tiers.get(key)
        if compiled is None:
            compiled = self._compiled_tiers[key] = _compile(found.get_prices(at, _context(service_tier)))
        return compiled

    def _variants(self, found: ModelInfo, service_tier: str) -> tuple[PriceVariant, ...]:
        """The model's price variants for a tier, at whatever time; for most tiers none."""
        key = (id(found), service_tier)
        variants = self._tiers.get(key)
        if variants is None:
            if len(self._tiers) >= ANSWERS_MAX:
                self._tiers.clear()
            asked = _context(service_tier).items()
            variants = self._tiers[key] = tuple(variant for variant in found.price_variants or () if variant.when.items() <= asked)
        return variants

    def knows(self, provider: str) -> bool:
        if provider not in self._known:
            if len(self._known) >= ANSWERS_MAX:
                self._known.clear()
            self._known[provider] = find_provider_by_id(self._snapshot.providers, _NAMES.get(provider, provider)) is not None
        return self._known[provider]

    def _find(self, provider: str | None, model: str) -> ModelInfo | None:
        try:
            _, found = self._snapshot.find_provider_model(model, None, _NAMES.get(provider, provider) if provider else None, None)
        except LookupError:
            return None
        return found


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / _MICROSECONDS, UTC)


def _context(service_tier: str) -> dict[str, str]:
    tier = service_tier.lower()
    return {"processing": "batch"} if tier == "batch" else {"service_tier": tier}


def _compile(prices: ModelPrice) -> UnitPrices:
    units = {name: _unit(getattr(prices, key, None)) for name, key in _KEYS.items()}
    request = getattr(prices, "requests_kcount", None)
    return UnitPrices(**units, request_pico=int(request * _PICO_PER_USD_KREQUEST) if isinstance(request, Decimal) else 0)


def _unit(price: Decimal | TieredPrices | None) -> UnitPrice | None:
    if price is None:
        return None
    if isinstance(price, TieredPrices):
        return UnitPrice(_pico(price.base), tuple(Tier(tier.start, _pico(tier.price)) for tier in price.tiers))
    return UnitPrice(_pico(price))


def _pico(usd_per_mtok: Decimal) -> int:
    return int((usd_per_mtok * _PICO_PER_USD_MTOK).to_integral_value())
