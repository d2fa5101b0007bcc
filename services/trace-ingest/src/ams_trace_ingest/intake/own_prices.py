"""A project's own prices over REST: owners set them from a date on, everybody in the project sees them and their history."""

import secrets
import time
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from ams_contracts.claims import Access, Role
from ams_contracts.codec import encode
from ams_contracts.events import PRICE_PICO_USD_MAX, REQUEST_PICO_USD_MAX, PricePart, PriceSet, Producer
from ams_contracts.scores import person_author
from ams_kit.auth import require_role
from ams_kit.errors import ConflictError, InvalidError
from ams_kit.http.json_body import read_json, with_json_body
from ams_kit.telemetry.metrics import EVENTS_ACCEPTED
from ams_trace_ingest.intake.publish import PUBLISH_TIMEOUT_SECONDS, IntakeContext
from ams_trace_ingest.intake.records import pack_price
from ams_trace_ingest.intake.usd import PICO_PER_USD, PICO_PER_USD_MTOK, decimal_text, pico_of
from ams_trace_ingest.intake.visible import VISIBLE_TIMEOUT_SECONDS, becomes_visible
from ams_trace_ingest.pricing.own_prices import State as PriceState
from ams_trace_ingest.pricing.own_prices import states
from ams_trace_ingest.store import own_prices

BODY_BYTES_MAX = 16_384
AHEAD_US_MAX = 10 * 366 * 86_400_000_000
PRODUCER = Producer(sdk="ams-rest", instance_id="intake")

AnyRequest = Request[Any, Any, Any]
Usd = Annotated[str, Meta(max_length=32, description="Decimal US dollars.")]


class NewOwnPrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to set.

    Attributes:
        model: The model as its provider calls it, or the beginning of names followed by ``*``. Letter case does not matter.
        usd_per_million: Decimal US dollars for a million tokens by part; ``input`` or ``output`` is required, and a part that is missing is
            billed as the whole that it belongs to. Null: the list price counts again.
        provider: Only calls of this provider, as OpenTelemetry names it; null: of any.
        from_us: For calls that begin then or later, microseconds since the epoch, at most ten years ahead; null: now.
        usd_per_request: Decimal US dollars for each request in addition.
        note: Why, such as the contract.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    usd_per_million: dict[PricePart, Usd] | None
    provider: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    from_us: Annotated[int, Meta(ge=0)] | None = None
    usd_per_request: Usd | None = None
    note: Annotated[str, Meta(max_length=500)] | None = None


class OwnPrice(Struct, frozen=True, kw_only=True):
    """One version of a price.

    Attributes:
        price_id: Names the version.
        model: The model, or the beginning of names followed by ``*``.
        provider: Only calls of this provider; null: of any.
        from_us: For calls that begin then or later.
        usd_per_million: Decimal US dollars for a million tokens by part; null: the list price.
        usd_per_request: Decimal US dollars for each request in addition; null: none.
        note: Why.
        set_by: ``user:<user_id>``.
        set_at_us: When it was set.
        state: ``current`` counts for calls that begin now, ``planned`` will from its date on, ``past`` did before a later one, ``replaced``
            does not count because another one for the same date was set after it.
    """

    price_id: str
    model: str
    provider: str | None
    from_us: int
    usd_per_million: dict[PricePart, str] | None
    usd_per_request: str | None
    note: str | None
    set_by: str
    set_at_us: int
    state: PriceState


class OwnPrices(Struct, frozen=True, kw_only=True):
    """All versions, those that were set last first; at most 1,000."""

    items: list[OwnPrice]


class SetPrice(Struct, frozen=True, kw_only=True):
    """A price that is durable in the log. ``visible``: lists have it already; intake computes with it 30 s later at the latest."""

    price: OwnPrice
    visible: bool


_new_price = msgspec.json.Decoder(NewOwnPrice)


@get("/api/ingest/{project:str}/own-prices", summary="List a project's own prices")
async def list_own_prices(state: State, access: NamedDependency[Access]) -> OwnPrices:
    """The project's own prices of models with all their versions. Requires membership of the project."""
    intake: IntakeContext = state.intake
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection:
        events = await own_prices.of_project(connection, access.project_id)
    known = states(events, _now_us())
    return OwnPrices(items=[_shown(event, known[event.event_id]) for event in events])


@post("/api/ingest/{project:str}/own-prices", status_code=200, operation_class=with_json_body(NewOwnPrice), summary="Set an own price")
async def set_own_price(request: AnyRequest, state: State, access: NamedDependency[Access]) -> SetPrice:
    """Set the project's own price of a model from a moment on. Calls that arrive later are billed by it, stored costs stay. Requires the role owner."""
    intake: IntakeContext = state.intake
    require_role(access, Role.OWNER)
    given = await read_json(request, _new_price, bytes_max=BODY_BYTES_MAX)
    event = event_of(given, person_author(access.user_id))
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection:
        if await own_prices.count(connection, access.project_id) >= own_prices.VERSIONS_MAX:
            raise ConflictError(f"A project may set prices {own_prices.VERSIONS_MAX} times.", code="too_many_prices")
    record = pack_price(access.project_id, PRODUCER, encode(event))
    (position,) = await intake.log.publish([record], timeout_seconds=PUBLISH_TIMEOUT_SECONDS)
    EVENTS_ACCEPTED.labels("prices").inc()
    visible = await becomes_visible(intake.pool, position)
    intake.own_prices.forget(access.project_id)
    async with intake.pool.acquire(timeout=VISIBLE_TIMEOUT_SECONDS) as connection:
        events = await own_prices.of_project(connection, access.project_id)
    known = states([*(one for one in events if one.event_id != event.event_id), event], _now_us())
    return SetPrice(price=_shown(event, known[event.event_id]), visible=visible)


def event_of(given: NewOwnPrice, by: str) -> PriceSet:
    """The event that sets a price.

    Raises:
        InvalidError: It says no price, or one that is out of range.
    """
    now_us = _now_us()
    from_us = now_us if given.from_us is None else given.from_us
    if from_us > now_us + AHEAD_US_MAX:
        raise InvalidError("The price begins more than ten years from now.")
    texts = (given.model, given.provider, given.note)
    if any("\0" in text for text in texts if text is not None) or not given.model.strip(" *") or given.model != given.model.strip():
        raise InvalidError("The model has no name. Write the name that the calls have, or its beginning followed by *.")
    if given.usd_per_million is None and given.usd_per_request is not None:
        raise InvalidError("A price for each request needs prices of tokens.")
    return PriceSet(
        event_id=secrets.token_hex(16),
        seq=0,
        at_us=now_us,
        model=given.model,
        provider=given.provider,
        from_us=from_us,
        pico_usd=_parts(given),
        request_pico_usd=0
        if given.usd_per_request is None
        else pico_of(given.usd_per_request, PICO_PER_USD, REQUEST_PICO_USD_MAX, "a request"),
        note=given.note,
        by=by,
    )


def _parts(given: NewOwnPrice) -> dict[PricePart, int] | None:
    if given.usd_per_million is None:
        return None
    if "input" not in given.usd_per_million and "output" not in given.usd_per_million:
        raise InvalidError("A price needs input or output. Send null to go back to the list price.")
    return {part: pico_of(usd, PICO_PER_USD_MTOK, PRICE_PICO_USD_MAX, part) for part, usd in given.usd_per_million.items()}


def _shown(event: PriceSet, state: PriceState) -> OwnPrice:
    return OwnPrice(
        price_id=event.event_id,
        model=event.model,
        provider=event.provider,
        from_us=event.from_us,
        usd_per_million=usd_per_million(event),
        usd_per_request=decimal_text(event.request_pico_usd, PICO_PER_USD) if event.request_pico_usd else None,
        note=event.note,
        set_by=event.by,
        set_at_us=event.at_us,
        state=state,
    )


def usd_per_million(event: PriceSet) -> dict[PricePart, str] | None:
    """The prices of tokens as text; ``None`` for the list price."""
    if event.pico_usd is None:
        return None
    return {part: decimal_text(pico, PICO_PER_USD_MTOK) for part, pico in event.pico_usd.items()}


def _now_us() -> int:
    return time.time_ns() // 1_000
