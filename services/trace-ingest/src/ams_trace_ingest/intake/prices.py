"""List prices over REST: what the models that a project uses cost today, with the project's own prices beside them."""

import time
from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from ams_contracts.claims import Access
from ams_kit.errors import BadRequestError
from ams_trace_ingest.intake.publish import IntakeContext
from ams_trace_ingest.intake.usd import PICO_PER_USD, PICO_PER_USD_MTOK, decimal_text
from ams_trace_ingest.pricing.own_prices import overrides_of
from ams_trace_ingest.pricing.price import Override, UnitPrice, UnitPrices
from ams_trace_ingest.pricing.version import price_version
from ams_trace_ingest.store import own_prices

MODELS_MAX = 100
NAME_CHARS_MAX = 256
ACQUIRE_SECONDS = 5
_PARTS = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio", "output_reasoning")


class CurrentOwnPrice(Struct, frozen=True, kw_only=True):
    """The project's own price that counts for a model.

    Attributes:
        model: What it was set for: a name, or its beginning followed by ``*``.
        provider: Only calls of this provider; null: of any.
        from_us: For calls that begin then or later, microseconds since the epoch.
        usd_per_million: Decimal US dollars for a million tokens, by part.
        usd_per_request: Decimal US dollars for each request; null when there is no such price.
    """

    model: str
    provider: str | None
    from_us: int
    usd_per_million: dict[str, str]
    usd_per_request: str | None


class ListPrice(Struct, frozen=True, kw_only=True):
    """The list price of a model.

    Attributes:
        model: The name that was asked for.
        known: Whether the catalog has a price for it. Calls of an unknown model have no cost, unless they report one.
        usd_per_million: Decimal US dollars for a million tokens, by part: ``input``, ``output``, ``cache_read``, ``cache_write``, ``input_audio``,
            ``output_audio``, ``output_reasoning``. A part that is missing is billed as the whole that it belongs to.
        usd_per_request: Decimal US dollars for each request; null when there is no such price.
        has_tiers: Whether long inputs cost more; the prices here are those of short ones.
        own: The project's own price, which counts instead; null when there is none.
    """

    model: str
    known: bool
    usd_per_million: dict[str, str]
    usd_per_request: str | None
    has_tiers: bool
    own: CurrentOwnPrice | None = None


class ListPrices(Struct, frozen=True, kw_only=True):
    """List prices in the order of the request. ``version`` names the catalog."""

    items: list[ListPrice]
    version: str


@get("/api/ingest/{project:str}/prices", summary="Look up list prices")
async def look_up_prices(
    state: State,
    access: NamedDependency[Access],
    model: FromQuery[Annotated[list[str] | None, QueryParameter(description="Models, each as its provider calls it: at most 100.")]] = None,
) -> ListPrices:
    """The list prices of some models, and the project's own ones, as a call that starts now would be billed. Requires membership of the project."""
    intake: IntakeContext = state.intake
    names = model or []
    if len(names) > MODELS_MAX or any(not 0 < len(name) <= NAME_CHARS_MAX for name in names):
        raise BadRequestError(f"model takes at most {MODELS_MAX} names of 1 to {NAME_CHARS_MAX} characters.", code="bad_model")
    now_us = time.time_ns() // 1_000
    async with intake.pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
        own = intake.prices.with_own(overrides_of(await own_prices.of_project(connection, access.project_id)))
    items = [_list_price(name, intake.prices.unit_prices(name, now_us), own.override_of_model(name, now_us)) for name in names]
    return ListPrices(items=items, version=price_version())


def _list_price(model: str, prices: UnitPrices | None, own: Override | None = None) -> ListPrice:
    if prices is None or (prices.input is None and prices.output is None):
        return ListPrice(model=model, known=False, usd_per_million={}, usd_per_request=None, has_tiers=False, own=_own(own))
    parts = _parts(prices)
    return ListPrice(
        model=model,
        known=True,
        usd_per_million={name: decimal_text(price.pico, PICO_PER_USD_MTOK) for name, price in parts.items()},
        usd_per_request=decimal_text(prices.request_pico, PICO_PER_USD) if prices.request_pico else None,
        has_tiers=any(price.tiers for price in parts.values()),
        own=_own(own),
    )


def _own(own: Override | None) -> CurrentOwnPrice | None:
    if own is None or own.prices is None:
        return None
    return CurrentOwnPrice(
        model=own.model,
        provider=own.provider,
        from_us=own.from_us,
        usd_per_million={name: decimal_text(price.pico, PICO_PER_USD_MTOK) for name, price in _parts(own.prices).items()},
        usd_per_request=decimal_text(own.prices.request_pico, PICO_PER_USD) if own.prices.request_pico else None,
    )


def _parts(prices: UnitPrices) -> dict[str, UnitPrice]:
    return {name: price for name in _PARTS if (price := getattr(prices, name)) is not None}
