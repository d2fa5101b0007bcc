"""List prices over REST: what the models that a project uses cost today."""

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
from ams_trace_ingest.pricing.price import UnitPrice, UnitPrices
from ams_trace_ingest.pricing.version import price_version

MODELS_MAX = 100
NAME_CHARS_MAX = 256
_PICO_PER_USD_MTOK = 1_000_000
_PICO_PER_USD = 10**12
_PARTS = ("input", "output", "cache_read", "cache_write", "input_audio", "output_audio", "output_reasoning")


class ListPrice(Struct, frozen=True, kw_only=True):
    """The list price of a model.

    Attributes:
        model: The name that was asked for.
        known: Whether the catalog has a price for it. Calls of an unknown model have no cost, unless they report one.
        usd_per_million: Decimal US dollars for a million tokens, by part: ``input``, ``output``, ``cache_read``, ``cache_write``, ``input_audio``,
            ``output_audio``, ``output_reasoning``. A part that is missing is billed as the whole that it belongs to.
        usd_per_request: Decimal US dollars for each request; null when there is no such price.
        has_tiers: Whether long inputs cost more; the prices here are those of short ones.
    """

    model: str
    known: bool
    usd_per_million: dict[str, str]
    usd_per_request: str | None
    has_tiers: bool


class ListPrices(Struct, frozen=True, kw_only=True):
    """List prices in the order of the request. ``version`` names the catalog."""

    items: list[ListPrice]
    version: str


@get("/api/ingest/{project:str}/prices", summary="Look up list prices")
async def look_up_prices(
    state: State,
    access: NamedDependency[Access],  # noqa: ARG001  the dependency refuses strangers
    model: FromQuery[Annotated[list[str] | None, QueryParameter(description="Models, each as its provider calls it: at most 100.")]] = None,
) -> ListPrices:
    """The list prices of some models, as a call that starts now would be billed. Requires membership of the project."""
    intake: IntakeContext = state.intake
    names = model or []
    if len(names) > MODELS_MAX or any(not 0 < len(name) <= NAME_CHARS_MAX for name in names):
        raise BadRequestError(f"model takes at most {MODELS_MAX} names of 1 to {NAME_CHARS_MAX} characters.", code="bad_model")
    now_us = time.time_ns() // 1_000
    return ListPrices(items=[_list_price(name, intake.prices.unit_prices(name, now_us)) for name in names], version=price_version())


def _list_price(model: str, prices: UnitPrices | None) -> ListPrice:
    if prices is None or (prices.input is None and prices.output is None):
        return ListPrice(model=model, known=False, usd_per_million={}, usd_per_request=None, has_tiers=False)
    parts: dict[str, UnitPrice] = {name: price for name in _PARTS if (price := getattr(prices, name)) is not None}
    return ListPrice(
        model=model,
        known=True,
        usd_per_million={name: _decimal(price.pico, _PICO_PER_USD_MTOK) for name, price in parts.items()},
        usd_per_request=_decimal(prices.request_pico, _PICO_PER_USD) if prices.request_pico else None,
        has_tiers=any(price.tiers for price in parts.values()),
    )


def _decimal(pico: int, per_usd: int) -> str:
    """Exact: both are powers of ten of the smallest unit."""
    whole, rest = divmod(pico, per_usd)
    digits = f"{rest:0{len(str(per_usd)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
