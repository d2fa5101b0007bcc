"""List prices as the page of models shows them."""

from ams_trace_ingest.intake.prices import _list_price
from ams_trace_ingest.intake.usd import decimal_text
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices, Tier, UnitPrice, UnitPrices

NOW_US = 1_782_000_000_000_000


def test_a_known_model_has_its_price_whatever_date_its_name_ends_with() -> None:
    prices = Prices(GenaiPrices())

    plain, dated = (prices.unit_prices(name, NOW_US) for name in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"))

    assert plain == dated
    shown = _list_price("gpt-4o-mini", plain)
    assert (shown.known, shown.usd_per_million["input"], shown.usd_per_million["output"]) == (True, "0.15", "0.6")


def test_a_model_that_is_known_only_with_its_provider_has_its_price() -> None:
    assert Prices(GenaiPrices()).unit_prices("text-embedding-3-small", NOW_US) is not None


def test_a_model_that_the_catalog_does_not_have_is_unknown() -> None:
    prices = Prices(GenaiPrices())

    shown = _list_price("our-own-model", prices.unit_prices("our-own-model", NOW_US))

    assert (shown.known, shown.usd_per_million, shown.usd_per_request) == (False, {}, None)


def test_prices_keep_all_their_digits() -> None:
    prices = UnitPrices(input=UnitPrice(75_000, (Tier(200_000, 150_000),)), output=UnitPrice(3_000_000), request_pico=5_000_000_000)

    shown = _list_price("m", prices)

    assert shown.usd_per_million == {"input": "0.075", "output": "3"}
    assert shown.usd_per_request == "0.005"
    assert shown.has_tiers
    assert decimal_text(1, 1_000_000) == "0.000001"
