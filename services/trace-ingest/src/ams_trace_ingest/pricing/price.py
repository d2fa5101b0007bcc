"""The cost of a call: unit prices times tokens, in integer nano-USD. Pure; the catalog is a port (``pricing.catalog`` implements it).

Overrides come first, by any name of the call. The catalog is asked for the response model, then the same without a trailing date, then the
requested model, then both without ``ft:`` and ``vendor/``. The cost of an unknown model is ``None``, never 0.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
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
    """A price of a model that replaces the catalog's.

    Attributes:
        model: The model's name, or its beginning followed by ``*``; any case.
        prices: In pico-USD a token; ``None``: the list price.
        provider: Only for this provider; ``None`` for any.
        from_us: For calls that began then or later.
    """

    model: str
    prices: UnitPrices | None
    provider: str | None = None
    from_us: int = 0

    def matches(self, provider: str | None, model: str) -> bool:
        if self.provider is not None and self.provider != provider:
            return False
        return self.names(model)

    def names(self, model: str) -> bool:
        """Whether this is a price of the model, of whichever provider."""
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


Call = tuple[str | None, str | None, str | None]
"""Provider, response model and requested model."""


class Prices:
    """Prices of calls: overrides first, then the catalog. A project may have prices of its own."""

    def __init__(self, catalog: Catalog, overrides: Iterable[Override] = (), projects: "Mapping[str, Prices] | None" = None) -> None:
        """Of several overrides of a call the first one counts."""
        self._catalog = catalog
        self._overrides = tuple(overrides)
        # a project may set a thousand prices, and spans may name a new model each: only the few that can match are compared
        self._by_name: dict[str, list[int]] = {}
        self._by_beginning: list[tuple[str, int]] = []
        for number, override in enumerate(self._overrides):
            wanted = override.model.lower()
            if wanted.endswith("*"):
                self._by_beginning.append((wanted[:-1], number))
            else:
                self._by_name.setdefault(wanted, []).append(number)
        self._projects = projects or {}
        self._routes: dict[Call, tuple[tuple[str | None, str], ...]] = {}
        self._matching: dict[Call, tuple[Override, ...]] = {}

    def with_own(self, overrides: Iterable[Override]) -> "Prices":
        """The same with other overrides before these ones."""
        own = Prices(self._catalog, (*overrides, *self._overrides))
        own._routes = self._routes  # they depend on the catalog alone
        return own

    def with_projects(self, overrides: Mapping[str, Iterable[Override]]) -> "Prices":
        """The same for projects of which some have overrides before these ones."""
        return Prices(self._catalog, self._overrides, {project_id: self.with_own(own) for project_id, own in overrides.items()})

    def of(self, project_id: str) -> "Prices":
        """The prices of a project."""
        return self._projects.get(project_id, self)

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
        call = (provider, model, requested)
        if self._overrides:
            override = self.override_of(call, at_us)
            if override is not None and override.prices is not None:
                return cost_nusd(override.prices, usage)
        for candidate_provider, candidate in self._routes_of(call):
            prices = self._catalog.find(candidate_provider, candidate, at_us, usage.service_tier)
            if prices is not None:
                return cost_nusd(prices, usage)
        return None

    def unit_prices(self, model: str, at_us: int) -> UnitPrices | None:
        """What the catalog bills a call of a model by at a moment, of any provider that has it; ``None`` when no price is known.

        The catalog recognises some names (embeddings, above all) only together with their provider, so the vendors of models are tried, too.
        """
        for vendor in (None, *_VENDORS):
            for provider, candidate in self._candidates(vendor, model, None):
                prices = self._catalog.find(provider, candidate, at_us)
                if prices is not None:
                    return prices
        return None

    def override_of(self, call: Call, at_us: int) -> Override | None:
        """The override that counts for a call that begins at a moment."""
        matching = self._matching.get(call)
        if matching is None:
            if len(self._matching) >= ANSWERS_MAX:
                self._matching.clear()
            matching = self._matching[call] = tuple(override for override in self._possible(call) if self._matches(override, call))
        return next((override for override in matching if override.from_us <= at_us), None)

    def override_of_model(self, model: str, at_us: int) -> Override | None:
        """The first override of a model at a moment, whichever provider it is for."""
        names = [candidate for _, candidate in self._routes_of((None, model, None))]
        return next((one for one in self._overrides if one.from_us <= at_us and any(map(one.names, names))), None)

    def _possible(self, call: Call) -> list[Override]:
        """The overrides of the names of a call, whatever their provider, in order."""
        names = {name.lower() for _, name in self._routes_of(call)}
        found = {number for name in names for number in self._by_name.get(name, ())}
        found |= {number for beginning, number in self._by_beginning if any(name.startswith(beginning) for name in names)}
        return [self._overrides[number] for number in sorted(found)]

    def _matches(self, override: Override, call: Call) -> bool:
        # a gateway that the catalog does not know may have prices of its own
        return any(override.matches(call[0], name) or override.matches(provider, name) for provider, name in self._routes_of(call))

    def _routes_of(self, call: Call) -> tuple[tuple[str | None, str], ...]:
        routes = self._routes.get(call)
        if routes is None:
            if len(self._routes) >= ANSWERS_MAX:
                self._routes.clear()
            routes = self._routes[call] = tuple(self._candidates(*call))
        return routes

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
