"""A project's own prices: which version counts, for which calls, from when; what intake does while the database is unavailable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from ams_contracts.documents import CostSource, Usage
from ams_contracts.events import PRICE_PICO_USD_MAX, PriceSet
from ams_kit.errors import InvalidError
from ams_trace_ingest.intake import project_prices
from ams_trace_ingest.intake.own_prices import NewOwnPrice, event_of
from ams_trace_ingest.intake.price_preview import Comparison
from ams_trace_ingest.intake.project_prices import CACHED_SECONDS, RETRY_SECONDS, ProjectPrices
from ams_trace_ingest.intake.usd import PICO_PER_USD_MTOK, pico_of
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.own_prices import digest, override_of, overrides_of, states, tried_for_all
from ams_trace_ingest.pricing.price import Prices

NOW_US = 1_795_300_000_000_000
HOUR_US = 3_600_000_000
LIST = Prices(GenaiPrices())
ALL_NUSD = 1_000_000_000  # of a million tokens at 1 USD
USAGE = Usage(input=1_000_000)


def price(model: str, usd: int | None, *, number: int = 1, from_us: int = 0, provider: str | None = None) -> PriceSet:
    pico = None if usd is None else {"input": usd * PICO_PER_USD_MTOK}
    return PriceSet(
        event_id=f"{number:032x}",
        seq=0,
        at_us=number,
        model=model,
        provider=provider,
        from_us=from_us,
        pico_usd=cast("Any", pico),
        by="user:ann",
    )


def cost(
    events: list[PriceSet], model: str, *, provider: str | None = "openai", requested: str | None = None, at_us: int = NOW_US
) -> int | None:
    prices = LIST.with_own(overrides_of(events))
    return prices.price(provider=provider, model=model, requested=requested, at_us=at_us, usage=USAGE)


@pytest.mark.parametrize("model", ["gpt-4o", "GPT-4o", "gpt-4o-2024-08-06", "ft:gpt-4o:our-team", "openai/gpt-4o"])
def test_an_own_price_counts_by_any_name_of_the_model(model: str) -> None:
    assert cost([price("gpt-4o", 7)], model) == 7 * ALL_NUSD


def test_an_own_price_counts_for_what_was_requested() -> None:
    assert cost([price("router", 7)], "gpt-4o-2024-08-06", requested="router") == 7 * ALL_NUSD


def test_a_gateway_that_no_catalog_knows_has_prices_of_its_own() -> None:
    events = [price("gpt-4o", 7, provider="our-gateway")]

    assert cost(events, "gpt-4o", provider="our-gateway") == 7 * ALL_NUSD
    assert cost(events, "gpt-4o") == LIST.price(provider="openai", model="gpt-4o", requested=None, at_us=NOW_US, usage=USAGE)


def test_the_closest_name_counts_and_of_one_name_the_latest_date() -> None:
    events = [
        price("gpt-*", 1, number=1),
        price("gpt-4o*", 2, number=2),
        price("gpt-4o", 3, number=3),
        price("gpt-4o", 4, number=4, from_us=NOW_US - HOUR_US),
        price("gpt-4o", 5, number=5, from_us=NOW_US + HOUR_US),
        price("gpt-4o-2024-08-06", 6, number=6),
    ]

    assert [cost(events, model) for model in ("gpt-x", "gpt-4o-mini", "gpt-4o", "gpt-4o-2024-08-06")] == [
        usd * ALL_NUSD for usd in (1, 2, 4, 6)
    ]
    assert [cost(events, "gpt-4o", at_us=NOW_US + hours * HOUR_US) for hours in (-2, -1, 0, 1)] == [usd * ALL_NUSD for usd in (3, 4, 4, 5)]


def test_the_list_price_counts_again_from_its_date_on() -> None:
    events = [price("gpt-4o*", 1), price("gpt-4o", 3), price("gpt-4o", None, number=2, from_us=NOW_US)]

    assert cost(events, "gpt-4o", at_us=NOW_US - 1) == 3 * ALL_NUSD
    assert cost(events, "gpt-4o") == cost([], "gpt-4o")
    assert cost(events, "gpt-4o-mini") == 1 * ALL_NUSD


def test_versions_differ_by_date_and_by_when_they_were_set() -> None:
    events = [
        price("gpt-4o", 1, number=1),
        price("GPT-4o", 2, number=2),
        price("gpt-4o", 3, number=3, from_us=NOW_US - 1),
        price("gpt-4o", 4, number=4, from_us=NOW_US + 1),
        price("gpt-4o", 5, number=5, provider="azure"),
    ]

    found = states(reversed(events), NOW_US)

    assert [found[event.event_id] for event in events] == ["replaced", "past", "current", "planned", "current"]
    assert digest({"p": events}) == digest({"p": events[::-1]}) != digest({"p": events[1:]})
    assert digest({}) == ""


def test_a_price_is_exact_or_refused() -> None:
    assert pico_of("0.075", PICO_PER_USD_MTOK, PRICE_PICO_USD_MAX, "input") == 75_000
    for text in ("", "x", "NaN", "Infinity", "-1", "1000001", "0.0000001", "1" * 33, "1e999999999"):
        with pytest.raises(InvalidError):
            pico_of(text, PICO_PER_USD_MTOK, PRICE_PICO_USD_MAX, "input")


@pytest.mark.parametrize(
    "given",
    [
        NewOwnPrice(model="m", usd_per_million={}),
        NewOwnPrice(model="m", usd_per_million={"cache_read": "1"}),
        NewOwnPrice(model="m", usd_per_million=None, usd_per_request="1"),
        NewOwnPrice(model="*", usd_per_million={"input": "1"}),
        NewOwnPrice(model=" m", usd_per_million={"input": "1"}),
        NewOwnPrice(model="m\0", usd_per_million={"input": "1"}),
        NewOwnPrice(model="m", usd_per_million={"input": "1"}, from_us=2**52),
    ],
    ids=repr,
)
def test_what_is_no_price_is_refused(given: NewOwnPrice) -> None:
    with pytest.raises(InvalidError):
        event_of(given, "user:ann")


def test_a_price_that_is_tried_without_a_date_bills_all_calls_in_place_of_its_other_versions() -> None:
    stored = [price("ours", 1, from_us=NOW_US - HOUR_US), price("other", 5, number=2)]

    events = tried_for_all(stored, price("Ours", 3, number=3, from_us=NOW_US))

    assert [cost(events, "ours", at_us=at_us) for at_us in (1, NOW_US - 1, NOW_US)] == [3 * ALL_NUSD] * 3
    assert cost(events, "other") == 5 * ALL_NUSD


def test_a_preview_compares_the_calls_that_a_tried_price_bills() -> None:
    def call(model: str, cost_nusd: int | None, source: CostSource, started_at_us: int = NOW_US) -> dict[str, Any]:
        return {
            "provider": "openai", "model": model, "model_requested": None, "started_at_us": started_at_us, "stamp_at_us": 1, "cost_nusd": cost_nusd,
            "cost_source": source, "usage_shadowed": False, "rest": '{"usage":{"input":1000000}}',
        }  # fmt: skip

    tried = price("ours", 2, from_us=NOW_US)
    calls = [
        call("ours", None, CostSource.UNKNOWN),
        call("ours", 5, CostSource.REPORTED),
        call("ours", None, CostSource.UNKNOWN, NOW_US - 1),
        call("gpt-4o", 9, CostSource.COMPUTED),
    ]
    comparison = Comparison(LIST.with_own(overrides_of([tried])), override_of(tried))
    comparison.add(calls)

    found = comparison.answer(complete=True, first_day=None)

    assert (found.calls, found.unknown_before, found.unknown_after, found.before_usd) == (2, 1, 0, "0.000000005")
    assert [(item.model, item.calls, item.reported, item.after_usd) for item in found.items] == [("ours", 2, 1, "2.000000005")]


class Database:
    """A pool whose database answers or is unavailable."""

    def __init__(self) -> None:
        self.loads = 0
        self.available = True

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[SimpleNamespace]:
        self.loads += 1
        if not self.available:
            raise ConnectionRefusedError
        yield SimpleNamespace()


async def test_intake_reads_own_prices_every_half_minute_and_not_at_all_while_the_database_is_down(monkeypatch) -> None:
    stored = [price("ours", 1)]

    async def of_project(_connection: object, _project_id: str) -> list[PriceSet]:
        return list(stored)

    monkeypatch.setattr(project_prices.own_prices, "of_project", of_project)
    database, now = Database(), 0.0
    prices = ProjectPrices(cast("asyncpg.Pool", database), LIST, clock=lambda: now)

    async def cost_now() -> int | None:
        return (await prices.of("p")).price(provider=None, model="ours", requested=None, at_us=NOW_US, usage=USAGE)

    database.available = False
    assert await cost_now() is None
    assert await cost_now() is None
    assert database.loads == 1  # and is asked again after a pause
    database.available, now = True, RETRY_SECONDS
    assert await cost_now() == 1 * ALL_NUSD
    stored.append(price("ours", 2, number=2))
    now += CACHED_SECONDS - 1
    assert (await cost_now(), database.loads) == (1 * ALL_NUSD, 2)
    now += 1
    assert await cost_now() == 2 * ALL_NUSD
    database.available, now = False, now + CACHED_SECONDS
    assert await cost_now() == 2 * ALL_NUSD
    prices.forget("p")
    assert await prices.of("other") is LIST
