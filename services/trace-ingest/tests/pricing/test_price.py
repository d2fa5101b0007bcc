"""Prices: the catalog's own arithmetic in whole numbers, the search for a model, overrides."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from ams_contracts.documents import Usage
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Override, Prices, Tier, UnitPrice, UnitPrices, cost_nusd

NOW_US = 1_795_300_000_000_000
CATALOG = GenaiPrices()
PRICES = Prices(CATALOG)


def price(
    model: str | None, provider: str | None = "openai", *, requested: str | None = None, at_us: int = NOW_US, usage: Usage | None = None
) -> int | None:
    return PRICES.price(provider=provider, model=model, requested=requested, at_us=at_us, usage=usage or Usage(input=1_000, output=100))


@pytest.mark.parametrize(
    ("usage", "genai"),
    [
        (Usage(input=1_000, output=100), GenaiUsage(input_tokens=1_000, output_tokens=100)),
        (Usage(input=300_000, output=7), GenaiUsage(input_tokens=300_000, output_tokens=7)),
        (
            Usage(input=1_000, output=100, cache_read=300, cache_write=200),
            GenaiUsage(input_tokens=1_000, output_tokens=100, cache_read_tokens=300, cache_write_tokens=200),
        ),
        (
            Usage(input=1_000, output=100, cache_write=200, cache_write_1h=50),
            GenaiUsage(input_tokens=1_000, output_tokens=100, cache_write_tokens=200, cache_write_1h_tokens=50),
        ),
        (
            Usage(input=1_000, output=100, audio_input=30, audio_output=20),
            GenaiUsage(input_tokens=1_000, output_tokens=100, input_audio_tokens=30, output_audio_tokens=20),
        ),
    ],
)
def test_every_model_costs_what_the_catalog_says(usage: Usage, genai: GenaiUsage) -> None:
    at = datetime.fromtimestamp(NOW_US / 1e6, UTC)
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            got = CATALOG.find(provider.id, model.id, NOW_US)
            if got is None or got.input is None or got.output is None:
                continue
            expected = calc_price(genai, model.id, provider_id=provider.id, genai_request_timestamp=at).total_price
            nano = int((expected * 10**9).to_integral_value(ROUND_HALF_EVEN))
            assert cost_nusd(got, usage) == nano, (provider.id, model.id)
            compared += 1
    assert compared > 1_000


def test_a_price_by_hand() -> None:
    assert price("gpt-4o-mini") == 1_000 * 150 + 100 * 600


@pytest.mark.parametrize(
    ("model", "provider", "requested"),
    [
        ("gpt-4o-mini", "openai", None),
        ("gpt-4o-mini-2026-01-01", "openai", None),
        ("unheard-of", "openai", "gpt-4o-mini"),
        (None, "openai", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", None, None),
        ("openai/gpt-4o-mini", "litellm", None),
        ("ft:gpt-4o-mini:acme::1", "openai", None),
        ("gpt-4o-mini", "strands-agents", None),
        ("gpt-4o-mini", "langchain", None),
        ("gpt-4o-mini", None, None),
        ("gpt-4o-mini", "azure.ai.openai", None),
    ],
)
def test_the_search_for_a_model(model: str | None, provider: str | None, requested: str | None) -> None:
    assert price(model, provider, requested=requested) == price("gpt-4o-mini")


@pytest.mark.parametrize(
    ("model", "provider"), [("my-model", "openai"), ("gpt-4o-mini", "ollama"), ("claude-sonnet-4-5", "mistral_ai"), (None, "openai")]
)
def test_what_is_not_found_is_unknown_not_zero(model: str | None, provider: str) -> None:
    assert price(model, provider) is None


def test_nothing_used_has_no_price() -> None:
    assert price("gpt-4o-mini", usage=Usage(cache_read=5)) is None
    assert price("gpt-4o-mini", usage=Usage(input=0, output=0)) is None


def test_prices_change_with_the_date() -> None:
    before = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp() * 1e6)
    after = int(datetime(2025, 7, 1, tzinfo=UTC).timestamp() * 1e6)

    assert price("o3", at_us=before, usage=Usage(input=1_000)) == 10_000_000
    assert price("o3", at_us=after, usage=Usage(input=1_000)) == 2_000_000


def test_x_ai_is_found() -> None:
    assert price("grok-3", "x_ai") is not None


def test_parts_over_the_whole_are_clamped() -> None:
    prices = UnitPrices(input=UnitPrice(1_000_000), cache_read=UnitPrice(100_000), cache_write=UnitPrice(2_000_000))

    assert cost_nusd(prices, Usage(input=10, cache_read=8, cache_write=8)) == 8 * 100 + 2 * 2_000


def test_a_tier_holds_for_every_token() -> None:
    prices = UnitPrices(input=UnitPrice(1_000_000, (Tier(200_000, 2_000_000),)), output=UnitPrice(1_000_000))

    assert cost_nusd(prices, Usage(input=200_000)) == 200_000_000
    assert cost_nusd(prices, Usage(input=200_001)) == 400_002_000


def test_a_model_without_token_prices_is_unknown() -> None:
    assert cost_nusd(UnitPrices(request_pico=5_000), Usage(input=5)) is None


def test_rounding_is_half_to_even() -> None:
    prices = UnitPrices(input=UnitPrice(500))

    assert [cost_nusd(prices, Usage(input=count)) for count in (1, 2, 3, 5)] == [0, 1, 2, 2]
    assert Decimal("2.5").to_integral_value(ROUND_HALF_EVEN) == 2


def test_a_projects_own_price_beats_the_catalog() -> None:
    own = UnitPrices(input=UnitPrice(1_000_000))
    prices = Prices(CATALOG, [Override("My-Model*", own), Override("gpt-4o-mini", own, provider="openai")])

    def ask(model: str, provider: str) -> int | None:
        return prices.price(provider=provider, model=model, requested=None, at_us=NOW_US, usage=Usage(input=10))

    assert ask("my-model-7b", "ollama") == 10_000
    assert ask("gpt-4o-mini", "openai") == 10_000
    assert ask("gpt-4o-mini", "azure.ai.openai") == 1_500


@pytest.mark.parametrize("tier", ["default", "priority", "flex", "batch", "standard", "unheard of"])
def test_a_tier_that_was_asked_for_before_still_changes_with_the_date(tier: str) -> None:
    warm, models = (
        GenaiPrices(),
        [("openai", "gpt-5"), ("openai", "gpt-4o"), ("anthropic", "claude-opus-4-6"), ("google", "gemini-2.5-pro")],
    )
    moments = [int(datetime(year, 6, 15, tzinfo=UTC).timestamp()) * 1_000_000 for year in (2024, 2026, 2025, 2024)]
    for at_us in moments:
        for provider, model in models:
            assert warm.find(provider, model, at_us, tier) == GenaiPrices().find(provider, model, at_us, tier)
