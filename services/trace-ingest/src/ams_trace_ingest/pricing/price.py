"""The cost of a call: unit prices times tokens, in integer nano-USD. Pure; the catalog is a port (``pricing.catalog`` implements it).

Looks up the response model, then the same without a trailing date, then the requested model, then both without ``ft:`` and ``vendor/``.
The cost of an unknown model is ``None``, never 0.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec import Struct

from ams_contracts.documents import Usage

PICO_PER_NANO = 1_000
ANSWERS_MAX = 10_000  # cached; model names come from outside
_DATED = re.compile(r"-20\d\d-?[01]\d-?[0-3]\d\Z", re.ASCII)
_LOCAL = frozenset({"ollama", "vllm", "llamacpp", "llama.cpp", "lmstudio", "lm_studio", "huggingface_local", "test", "fake"})

_VENDORS = ("openai", "anthropic", "google", "mistral", "cohere")


class Tier(Struct, frozen=True):
    """From more than ``above`` input tokens on, every token of the unit costs this."""

    above: int
    pico: int


class UnitPrice(Struct, frozen=True):
    """Pico-USD for one token (0.15 USD a million = 150,000)."""

    pico: int
    tiers: tuple[Tier, ...] = ()

    def at(self, input_tokens: int) -> int:
        for tier in reversed(self.tiers):
            if input_tokens > tier.above:
                return tier.pico
        return self.pico


class UnitPrices(Struct, frozen=True, kw_only=True):
    """A model's prices. A part without a price of its own is billed as what it is part of."""

    input: UnitPrice | None = None
    output: UnitPrice | None = None
    cache_read: UnitPrice | None = None
    cache_write: UnitPrice | None = None
    cache_write_1h: UnitPrice | None = None
    input_audio: UnitPrice | None = None
    input_image: UnitPrice | None = None
    input_video: UnitPrice | None = None
    cache_audio_read: UnitPrice | None = None
    output_audio: UnitPrice | None = None
    output_image: UnitPrice | None = None
    output_reasoning: UnitPrice | None = None
    request_pico: int = 0


class Override(Struct, frozen=True):
    """A price that a project sets itself; it beats the catalog.

    Attributes:
        model: The model's name, or its beginning followed by ``*``; any case.
        prices: In pico-USD a token.
        provider: Only for this provider; ``None`` for any.
    """

    model: str
    prices: UnitPrices
    provider: str | None = None

    def matches(self, provider: str | None, model: str) -> bool:
        if self.provider is not None and self.provider != provider:
            return False
        wanted = self.model.lower()
        return model.lower().startswith(wanted[:-1]) if wanted.endswith("*") else model.lower() == wanted


class Catalog(Protocol):
    """Public list prices."""

    def find(self, provider: str | None, model: str, at_us: int, service_tier: str | None = None) -> UnitPrices | None:
        """The prices of a model at a moment.

        Args:
            provider: OpenTelemetry's name; ``None``: any that has the model.
            model: As the provider calls it.
            at_us: Prices change by date, some by the hour.
            service_tier: ``priority``, ``flex``, ``batch``; ``None`` for the default. A tier without prices of its own has the default's.

        Returns:
            ``None`` when provider or model are not in the catalog.
        """
        ...

    def knows(self, provider: str) -> bool:
        """Whether the catalog has this provider."""
        ...


class Prices:
    """Prices of calls: overrides first, then the catalog."""

    def __init__(self, catalog: Catalog, overrides: Iterable[Override] = ()) -> None:
        self._catalog = catalog
        self._overrides = tuple(overrides)
        self._routes: dict[tuple[str | None, str | None, str | None], tuple[tuple[str | None, str], ...]] = {}

    def price(self, *, provider: str | None, model: str | None, requested: str | None, at_us: int, usage: Usage) -> int | None:
        """Nano-USD, or ``None`` when no price is known or nothing was used.

        Args:
            provider: OpenTelemetry's name.
            model: What answered.
            requested: What was asked for.
            at_us: When the call began.
            usage: Tokens.
        """
        if not (usage.input or usage.output) or (model is None and requested is None):
            return None
        key = (provider, model, requested)
        routes = self._routes.get(key)
        if routes is None:
            if len(self._routes) >= ANSWERS_MAX:
                self._routes.clear()
            routes = self._routes[key] = tuple(self._candidates(*key))
        for candidate_provider, candidate in routes:
            prices = self._override(candidate_provider, candidate) or self._catalog.find(
                candidate_provider, candidate, at_us, usage.service_tier
            )
            if prices is not None:
                return cost_nusd(prices, usage)
        return None

    def unit_prices(self, model: str, at_us: int) -> UnitPrices | None:
        """What a call of a model is billed by at a moment, of any provider that has it; ``None`` when no price is known.

        The catalog recognises some names (embeddings, above all) only together with their provider, so the vendors of models are tried, too.
        """
        for vendor in (None, *_VENDORS):
            for provider, candidate in self._candidates(vendor, model, None):
                prices = self._override(provider, candidate) or self._catalog.find(provider, candidate, at_us)
                if prices is not None:
                    return prices
        return None

    def _override(self, provider: str | None, model: str) -> UnitPrices | None:
        if not self._overrides:
            return None
        return next((override.prices for override in self._overrides if override.matches(provider, model)), None)

    def _candidates(self, provider: str | None, model: str | None, requested: str | None) -> Iterator[tuple[str | None, str]]:
        # a framework's name in place of a provider (`langchain`, `strands-agents`) is ignored; a local server has no known price
        if provider is not None and provider not in _LOCAL and not self._catalog.knows(provider):
            where: str | None = None
        else:
            where = provider
        names = [name for name in (model, requested) if name]
        for name in names:
            yield where, name
            if _DATED.search(name):
                yield where, _DATED.sub("", name)
        for name in names:
            bare = name.removeprefix("ft:").partition(":")[0] if name.startswith("ft:") else name
            vendor, slash, rest = bare.partition("/")
            if slash:
                yield (vendor if self._catalog.knows(vendor) else where), rest
            elif bare != name:
                yield where, bare
                yield where, _DATED.sub("", bare)


def cost_nusd(prices: UnitPrices, usage: Usage) -> int | None:
    """Tokens times prices, in nano-USD, half to even. ``None`` when the model has no token price."""
    if prices.input is None and prices.output is None:
        return None
    pico = prices.request_pico
    tokens_in = rest = usage.input or 0
    if usage.cache_read or usage.cache_write or usage.audio_input or usage.image_input or usage.video_input:
        of_parts, rest = _input_parts(prices, usage, tokens_in)
        pico += of_parts
    if prices.input is not None:
        pico += rest * prices.input.at(tokens_in)
    rest = usage.output or 0
    if usage.reasoning or usage.audio_output or usage.image_output:
        parts = (
            (prices.output_audio, usage.audio_output),
            (prices.output_image, usage.image_output),
            (prices.output_reasoning, usage.reasoning),
        )
        of_parts, rest = _priced(parts, rest, tokens_in)
        pico += of_parts
    if prices.output is not None:
        pico += rest * prices.output.at(tokens_in)
    return _half_even(pico, PICO_PER_NANO)


def _input_parts(prices: UnitPrices, usage: Usage, tokens_in: int) -> tuple[int, int]:
    # reported parts may exceed the whole; the whole is what is billed
    write_1h = min(usage.cache_write_1h or 0, usage.cache_write or 0) if prices.cache_write_1h is not None else 0
    cached_audio = min(usage.audio_cache_read or 0, usage.cache_read or 0) if prices.cache_audio_read is not None else 0
    audio = usage.audio_input
    if audio is not None and prices.cache_read is not None:
        audio = max(0, audio - (usage.audio_cache_read or 0))  # billed as cached
    parts = (
        (prices.cache_audio_read, cached_audio),
        (prices.cache_read, (usage.cache_read or 0) - cached_audio),
        (prices.cache_write_1h, write_1h),
        (prices.cache_write, (usage.cache_write or 0) - write_1h),
        (prices.input_audio, audio),
        (prices.input_image, usage.image_input),
        (prices.input_video, usage.video_input),
    )
    return _priced(parts, tokens_in, tokens_in)


def _priced(parts: Iterable[tuple[UnitPrice | None, int | None]], rest: int, tokens_in: int) -> tuple[int, int]:
    """The cost of the parts that have a price of their own, and how many tokens are left."""
    pico = 0
    for price, count in parts:
        if price is not None and count:
            taken = min(count, rest)
            rest -= taken
            pico += taken * price.at(tokens_in)
    return pico, rest


def _half_even(value: int, unit: int) -> int:
    whole, rest = divmod(value, unit)
    if 2 * rest > unit or (2 * rest == unit and whole % 2):
        whole += 1
    return whole
